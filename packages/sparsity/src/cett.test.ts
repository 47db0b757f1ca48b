import { expect, test } from 'vitest';
import { CettCurve } from './cett.js';

/** CETT at one threshold, as the definition says it. */
function naive(h: Float32Array, down: Float32Array, width: number, threshold: number): number {
  const tail = new Float64Array(width);
  const whole = new Float64Array(width);
  for (let i = 0; i < h.length; i++) {
    const row = down.subarray(i * width, (i + 1) * width);
    const size = Math.abs(h[i]!) * Math.hypot(...row);
    for (let j = 0; j < width; j++) {
      whole[j]! += h[i]! * row[j]!;
      if (size < threshold) tail[j]! += h[i]! * row[j]!;
    }
  }
  return Math.hypot(...tail) / Math.hypot(...whole);
}

const at = (curve: CettCurve, threshold: number) =>
  curve.points().reduce((best, point) => (point.threshold <= threshold ? point : best));

test('neurons (3,0), (0,0.3), (-0.1,0): 0.0343 without the smallest, 0.1085 without the two', () => {
  const curve = new CettCurve(new Float32Array([1, 0, 0, 1, 1, 0]), 3);
  curve.add(new Float32Array([3, 0.3, -0.1]));
  expect(at(curve, 0.2).cett).toBeCloseTo(0.0343, 4);
  expect(at(curve, 0.2).sparsity).toBeCloseTo(1 / 3, 6);
  expect(at(curve, 0.35).cett).toBeCloseTo(0.1085, 4);
  expect(curve.thresholdFor(0.05).cett).toBeCloseTo(0.0343, 4);
  expect(curve.thresholdFor(0.05).threshold).toBeLessThan(0.3);
  expect(curve.thresholdFor(0)).toMatchObject({ cett: 0, sparsity: 0 });
});

test('the curve is the definition, at any threshold and over several tokens', () => {
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  };
  const [neurons, width] = [40, 6];
  const down = Float32Array.from({ length: neurons * width }, random);
  const tokens = Array.from({ length: 5 }, () => Float32Array.from({ length: neurons }, () => Math.max(0, random())));
  const curve = new CettCurve(down, neurons);
  for (const h of tokens) curve.add(h);
  for (const { threshold, cett } of curve.points().filter((_, i) => i % 100 === 1)) {
    const expected = tokens.reduce((sum, h) => sum + naive(h, down, width, threshold), 0) / tokens.length;
    expect(cett).toBeCloseTo(expected, 5);
  }
  const { sparsity } = curve.thresholdFor(0);
  const zeros = tokens.flatMap((h) => [...h]).filter((value) => value === 0).length / (tokens.length * neurons);
  expect(sparsity).toBeCloseTo(zeros, 6);
});
