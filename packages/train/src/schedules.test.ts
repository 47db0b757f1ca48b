// Schedules at their corners, and lambda of ProSparse at the paper's numbers.
import { expect, it } from 'vitest';
import { Random } from './random.js';
import { l1At, learningRateFactor } from './schedules.js';

it('the learning rate warms up, and ends where it should', () => {
  const at = (kind: 'linear' | 'cosine', step: number) => learningRateFactor({ kind, minLrRatio: 0.1 }, step, 100, 10);
  expect(at('cosine', 0)).toBeCloseTo(0.1, 12);
  expect(at('cosine', 9)).toBe(1);
  expect(at('cosine', 10)).toBe(1);
  expect(at('cosine', 99)).toBeCloseTo(0.1, 12);
  expect(at('linear', 99)).toBeCloseTo(0.1, 12);
  expect(learningRateFactor({ kind: 'constant' }, 99, 100, 0)).toBe(1);
  const wsd = { kind: 'wsd', minLrRatio: 0, decayRatio: 0.2 } as const;
  expect(learningRateFactor(wsd, 79, 101, 1)).toBe(1);
  expect(learningRateFactor(wsd, 90, 101, 1)).toBeCloseTo((99 - 89) / 99 / 0.2, 12);
  expect(learningRateFactor(wsd, 100, 101, 1)).toBeCloseTo(0, 12);
});

it('lambda rises along half a sine within a stage', () => {
  const stages = [
    { until: 5000, lambda: 0 },
    { until: 6000, lambda: 0.005 },
    { until: 10000, lambda: 0.05 },
    { until: 12000, lambda: 0.05 },
  ];
  expect(l1At(stages, 100)).toBe(0);
  expect(l1At(stages, 7000)).toBeCloseTo(0.01159, 5);
  expect(l1At(stages, 8000)).toBeCloseTo(0.0275, 10);
  expect(l1At(stages, 9000)).toBeCloseTo(0.04341, 5);
  expect(l1At(stages, 11000)).toBeCloseTo(0.05, 12);
  expect(l1At(stages, 20000)).toBe(0.05);
  expect(l1At([], 5)).toBe(0);
});

it('seeds decide, whatever their size', () => {
  expect(new Random(1, 2).next()).toBe(new Random(1, 2).next());
  const firsts = new Set(Array.from({ length: 200 }, (_, i) => new Random(7, i).next()));
  expect(firsts.size).toBe(200);
  expect(new Random(2 ** 40).next()).not.toBe(new Random(2 ** 41).next());
});
