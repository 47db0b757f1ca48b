// Which predictors pay, of made-up timings: a clear saving, a clear loss, and noise around nothing.
import { expect, it } from 'vitest';
import { layerTimeOf } from './layer-time.js';

/** The same for the same seed. */
function noise(seed: number) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / (1 << 24) - 0.5;
  };
}

const timings = (count: number, ms: number, spread: number, next: () => number) =>
  Array.from({ length: count }, () => ms + spread * next());

it('a saving above the noise is one, a loss is none', () => {
  const next = noise(1);
  const [fast, slow] = [timings(112, 0.9, 0.1, next), timings(112, 1, 0.1, next)];
  const gain = layerTimeOf(fast, slow);
  expect(gain.predicted).toBeCloseTo(0.9, 1);
  expect(gain.exact).toBeCloseTo(1, 1);
  expect(gain.saved).toBeGreaterThan(0.05);
  expect(gain.saved).toBeLessThan(0.1);
  expect(layerTimeOf(slow, fast).saved).toBeLessThan(-0.1);
});

it('noise alone seldom passes for a saving, though medians alone would pass half of the time', () => {
  let [passed, byMedians] = [0, 0];
  for (let run = 0; run < 400; run++) {
    const next = noise(run * 7919 + 3);
    const time = layerTimeOf(timings(112, 1, 0.2, next), timings(112, 1, 0.2, next));
    if (time.saved > 0) passed++;
    if (time.predicted < time.exact) byMedians++;
  }
  expect(passed).toBeLessThan(24);
  expect(byMedians).toBeGreaterThan(120);
});

it('a few outliers, as a busy machine makes them, decide nothing', () => {
  const [predicted, exact] = [Array<number>(112).fill(1), Array<number>(112).fill(1.1)];
  predicted.fill(50, 0, 20);
  expect(layerTimeOf(predicted, exact).saved).toBeCloseTo(0.1, 6);
});

it('too few pairs say nothing', () => {
  expect(layerTimeOf([1, 1], [2, 2]).saved).toBe(Number.NEGATIVE_INFINITY);
  expect(layerTimeOf([], []).saved).toBe(Number.NEGATIVE_INFINITY);
});
