// Quantiles against sorting everything, over sizes that spread across many decades.
import { expect, test } from 'vitest';
import { Magnitudes } from './streaming.js';

/** Of sorted values, the one that a share of them lies below. */
const sortedQuantile = (sorted: Float32Array, share: number) =>
  sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;

test('quantiles are within 3.2 % of those of the sorted values, from 1e-9 to 1e9, whatever the zeros', () => {
  let seed = 7;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const values = Float32Array.from({ length: 20_000 }, () => (random() < 0.4 ? 0 : 10 ** (18 * random() - 9)));
  const magnitudes = new Magnitudes();
  for (let at = 0; at < values.length; at += 500) magnitudes.add(values.subarray(at, at + 500));
  const others = values.filter((value) => value !== 0).sort();
  const { zero, mean, max, quantiles } = magnitudes.result();
  expect(zero).toBeCloseTo(1 - others.length / values.length, 12);
  expect(max).toBe(others.at(-1));
  const expected = others.reduce((sum, value) => sum + value, 0) / others.length;
  expect(mean / expected).toBeCloseTo(1, 9);
  expect(quantiles.map(([share]) => share)).toEqual(expect.arrayContaining([0.01, 0.5, 0.999]));
  for (const [share, size] of quantiles)
    expect(Math.abs(Math.log(size / sortedQuantile(others, share)))).toBeLessThan(0.032);
});

test('one size, no size, and only zeros', () => {
  const of = (...values: number[]) => {
    const magnitudes = new Magnitudes();
    magnitudes.add(Float32Array.from(values));
    return magnitudes.result();
  };
  expect(of(2).quantiles.at(-1)).toEqual([0.999, 2]);
  expect(of()).toEqual({ zero: 0, mean: 0, max: 0, quantiles: [] });
  expect(of(0, 0)).toEqual({ zero: 1, mean: 0, max: 0, quantiles: [] });
});
