import { expect, test } from 'vitest';
import { LayerUse, popcount } from './active-sets.js';
import { Histogram, Running } from './streaming.js';

test('bits are counted', () => {
  expect(popcount(new Uint32Array([0, 1, 0xffffffff, 0x80000001]))).toBe(35);
});

test('a hand-made sequence', () => {
  const use = new LayerUse(4, 8);
  use.startSequence();
  for (const h of [
    [1, 0, 0, 0],
    [1, -2, 0, 0],
    [1, 0, 0.5, 0],
  ])
    use.add(new Float32Array(h), { threshold: 0 });
  const result = use.result();
  expect(result).toMatchObject({ density: 5 / 12, dead: 1, alwaysOn: 1, rare: 1, hotShare80: 0.5 });
  expect(result.aggregatedUnused).toEqual([0.75, 0.5, 0.25]);
  expect(result.randomUnused).toEqual([0.75, 0.375, 0.1875]);
  expect(result.windowUnion.slice(0, 4)).toEqual([5 / 12, (0.5 + 0.75) / 2, 0.75, 0]);
  expect(result.reuseNext).toBe(0.5);
  expect(result.hotCurve[100]).toBe(1);
  expect(result.hotCurve[25]).toBe(0.6);
});

test('a new sequence forgets the last one; a threshold is on the scaled size', () => {
  const use = new LayerUse(2, 4);
  const norms = new Float32Array([1, 10]);
  for (const h of [
    [0.5, 0.1],
    [0.5, 0.01],
  ]) {
    use.startSequence();
    use.add(new Float32Array(h), { threshold: 0.4, norms });
  }
  expect(use.result()).toMatchObject({ density: 0.75, aggregatedUnused: [0.25], reuseNext: 0 });
});

test('independent tokens lose their unused neurons as s^t', () => {
  let seed = 7;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const use = new LayerUse(4096, 16);
  for (let sequence = 0; sequence < 8; sequence++) {
    use.startSequence();
    for (let t = 0; t < 16; t++)
      use.add(
        Float32Array.from({ length: 4096 }, () => Number(random() < 0.03)),
        { threshold: 0 },
      );
  }
  const { aggregatedUnused, randomUnused } = use.result();
  expect(0.97 ** 16).toBeCloseTo(0.6143, 4);
  expect(aggregatedUnused[15]).toBeCloseTo(0.6143, 1);
  expect(randomUnused[15]).toBeCloseTo(0.6143, 1);
});

test('mean, spread and histogram', () => {
  const running = new Running();
  for (const value of [1, 2, 3, 4]) running.add(value);
  expect(running.result()).toEqual({ mean: 2.5, deviation: Math.sqrt(5 / 3), min: 1, max: 4 });
  const histogram = new Histogram(-1, 1, 4);
  histogram.add(new Float32Array([-2, -0.75, 0, 0.25, 1]));
  expect(histogram.result()).toEqual({
    low: -1,
    high: 1,
    bins: [0.2, 0, 0.4, 0],
    below: 0.2,
    above: 0.2,
    notPositive: 0.6,
  });
});
