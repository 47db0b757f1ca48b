// The end of every product: out = residual + (sum + bias), in this order on every path. Absent operands are 0 addresses.
import { floats } from './simd';

/** One output. */
@inline export function finish(out: usize, residual: usize, bias: usize, sum: f32): void {
  if (bias) sum += load<f32>(bias);
  store<f32>(out, residual ? load<f32>(residual) + sum : sum);
}

/** A run of outputs, whose sums lie in `sums`. */
export function finishRun(out: usize, residual: usize, bias: usize, sums: usize, count: i32): void {
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    let v = v128.load(sums + i);
    if (bias) v = f32x4.add(v, v128.load(bias + i));
    if (residual) v = f32x4.add(v128.load(residual + i), v);
    v128.store(out + i, v);
  }
  for (const end = floats(count); i < end; i += 4)
    finish(out + i, residual ? residual + i : 0, bias ? bias + i : 0, load<f32>(sums + i));
}

/** Address of column `i` of a vector that may be absent. */
@inline export function at(vector: usize, i: i32): usize {
  return vector ? vector + floats(i) : 0;
}
