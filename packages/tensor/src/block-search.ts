// The integers of a block chosen by search: scale, and minimum where the format has one, of the least squared error, each
// number counting by an importance. What llama.cpp calls an importance matrix: the mean square of the input that a weight
// is multiplied with, so that the error of the product is small. Does not own layouts or rounding (block-format.ts).
import { f16ToF32, f32ToF16 } from './dtype.js';

/** f16 bits of what a block's integers are scaled by, and moved by. */
export interface BlockScale {
  readonly scale: number;
  readonly minimum?: number;
}

/** Scales that are tried around the one that maps the largest number onto the end of the range. */
const symmetricSteps = 9;
const rangeSteps = 36;

/**
 * How much the error of each number counts: its importance, more for large numbers (sqrt(mean square + x^2)), since these
 * are rounded to integers that matter more. As llama.cpp weighs them.
 */
function weightsOf(values: Float32Array, importance: Float32Array): Float64Array {
  let squares = 0;
  for (const value of values) squares += value * value;
  const mean = squares / values.length;
  return Float64Array.from(values, (value, i) => (importance[i] as number) * Math.sqrt(mean + value * value));
}

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value));

/** The scale of integers from `least` (negative) to `most`. */
export function searchScale(values: Float32Array, importance: Float32Array, least: number, most: number): BlockScale {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value;
  if (largest === 0) return { scale: 0 };
  const weights = weightsOf(values, importance);
  let best = { error: Number.POSITIVE_INFINITY, scale: 0 };
  for (let step = -symmetricSteps; step <= symmetricSteps; step++) {
    const inverse = (least + 0.1 * step) / largest;
    let products = 0;
    let squares = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      const q = clamp(Math.round(inverse * value), least, most);
      products += (weights[i] as number) * value * q;
      squares += (weights[i] as number) * q * q;
    }
    const bits = f32ToF16(squares > 0 ? products / squares : 1 / inverse);
    const scale = f16ToF32(bits);
    if (scale === 0) continue;
    let error = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      error += (weights[i] as number) * (value - scale * clamp(Math.round(value / scale), least, most)) ** 2;
    }
    if (error < best.error) best = { error, scale: bits };
  }
  return { scale: best.scale };
}

/** Scale and minimum of integers from 0 to `most`. */
export function searchRange(
  values: Float32Array,
  importance: Float32Array,
  most: number,
): BlockScale & { minimum: number } {
  let [least, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    largest = Math.max(largest, value);
  }
  const plain = { scale: f32ToF16((largest - least) / most), minimum: f32ToF16(least) };
  if (f16ToF32(plain.scale) === 0) return plain;
  const weights = weightsOf(values, importance);
  const errorOf = (bits: { scale: number; minimum: number }): number => {
    const [scale, minimum] = [f16ToF32(bits.scale), f16ToF32(bits.minimum)];
    if (!(scale > 0)) return Number.POSITIVE_INFINITY;
    let error = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      const q = clamp(Math.round((value - minimum) / scale), 0, most);
      error += (weights[i] as number) * (value - minimum - scale * q) ** 2;
    }
    return error;
  };
  let best = { ...plain, error: errorOf(plain) };
  for (let step = 0; step <= rangeSteps; step++) {
    const inverse = (most - 0.9 + 0.05 * step) / (largest - least);
    // the line through (q, x) of least weighted error
    let [w, wq, wqq, wx, wqx] = [0, 0, 0, 0, 0];
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      const weight = weights[i] as number;
      const q = clamp(Math.round(inverse * (value - least)), 0, most);
      w += weight;
      wq += weight * q;
      wqq += weight * q * q;
      wx += weight * value;
      wqx += weight * q * value;
    }
    const determinant = w * wqq - wq * wq;
    if (!(determinant > 0)) continue;
    const bits = {
      scale: f32ToF16((w * wqx - wx * wq) / determinant),
      minimum: f32ToF16((wqq * wx - wq * wqx) / determinant),
    };
    const error = errorOf(bits);
    if (error < best.error) best = { ...bits, error };
  }
  return { scale: best.scale, minimum: best.minimum };
}
