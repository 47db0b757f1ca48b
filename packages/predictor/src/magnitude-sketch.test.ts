// Quantiles of magnitudes: exact while they are few, near enough when they are counted in bins.
import { describe, expect, it } from 'vitest';
import { MagnitudeSketch } from './magnitude-sketch.js';

describe('quantiles worked out by hand', () => {
  // k = floor(N s + 1e-9); the k-th smallest, 0 where k is 0
  it.each([
    ['a tie at the threshold', [3, 1, 2, 2, 5], 0.4, 2],
    ['every other one', [4, 1, 3, 2], 0.5, 2],
    ['none', [4, 1, 3, 2], 0.2, 0],
    ['exact zeros', [0, 0, 0, 7], 0.5, 0],
    // 100 * 0.29 is 28.999999999999996
    ['a product that is rounded down', Array.from({ length: 100 }, (_, i) => i + 1), 0.29, 29],
  ])('%s', (_, values, sparsity, threshold) => {
    const sketch = new MagnitudeSketch();
    sketch.add(Float32Array.from(values, (value, i) => (i % 2 ? -value : value)));
    expect(sketch.quantile(sparsity)).toBe(threshold);
  });
});

/** Spread over decades, as activations are. */
const numbers = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => {
    const uniform = ((i * 2654435761) >>> 0) / 2 ** 32;
    return (i % 3 === 0 ? -1 : 1) * 10 ** (6 * uniform - 4);
  });

describe('many numbers', () => {
  const values = numbers(300_000);
  const sorted = values.map(Math.abs).sort();

  it('quantiles are within a bin', () => {
    const sketch = new MagnitudeSketch();
    for (let at = 0; at < values.length; at += 1000) sketch.add(values.subarray(at, at + 1000));
    expect(sketch.count).toBe(values.length);
    for (const share of [0, 0.001, 0.25, 0.5, 0.9, 0.999, 1]) {
      const k = Math.floor(values.length * share + 1e-9);
      const exact = k === 0 ? 0 : (sorted[k - 1] as number);
      expect(Math.abs(sketch.quantile(share) - exact)).toBeLessThanOrEqual(exact * 2 ** -12);
    }
  });

  it('zeros and tiny numbers are below everything', () => {
    const sketch = new MagnitudeSketch();
    sketch.add(new Float32Array(70_000));
    sketch.add(Float32Array.from({ length: 70_000 }, () => 3));
    expect(sketch.quantile(0.4)).toBeLessThan(1e-9);
    expect(sketch.quantile(0.6)).toBeCloseTo(3, 3);
  });

  it('the weights below a crossing are at most the limit, also in bins', () => {
    const sketch = new MagnitudeSketch(true);
    for (const value of values) sketch.addWeighted(value, 2);
    expect(sketch.total).toBe(2 * values.length);
    const bar = sketch.crossing(values.length);
    const below = 2 * sorted.findIndex((value) => value >= bar);
    expect(below).toBeLessThanOrEqual(values.length);
    expect(below).toBeGreaterThan(values.length * 0.99);
    expect(sketch.crossing(2 * values.length)).toBe(Number.POSITIVE_INFINITY);
  });

  it('says that a number was none', () => {
    for (const count of [1, 100_000]) {
      const sketch = new MagnitudeSketch();
      sketch.add(numbers(count));
      expect(sketch.isBroken).toBe(false);
      sketch.add(Float32Array.of(Number.NaN));
      expect(sketch.isBroken).toBe(true);
    }
  });
});
