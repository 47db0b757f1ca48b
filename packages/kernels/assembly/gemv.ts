// One row over listed or consecutive outputs of a row-major weight: which of the two ways of dot.ts to take.
import { dot, dotEach, dotRows, rowAddress, rowSum } from './dot';
import { at, finish } from './finish';
import { placeOf } from './lists';
import { bytesOf, floats } from './simd';

/**
 * Rows are read one whole row at a time up to this many bytes of x and of w together; above, x no longer stays in L1
 * beside the weights, and eight rows at once win (rows of 8192: 18 against 34 GB/s in f32).
 */
const oneRowBytes: usize = 24576;
/**
 * Listed rows are read one at a time, as consecutive ones, from this many in a hundred on. GB/s of one thread, one row
 * against eight at once: f32 14 / 20 at density 0.7, 17 / 21 at 0.8, 21 / 22 at 0.9, 22 / 21 at 0.95; bf16 9 / 10,
 * 10.5 / 9.9, 12.7 / 10.3, 14.1 / 10.5.
 */
@inline function denseShare<T>(): i64 {
  return sizeof<T>() == 4 ? 92 : 78;
}

@inline function output(list: usize, first: i32, i: i32): i32 {
  return list ? load<i32>(list + floats(i)) : first + i;
}

/** out[n] = residual[n] + (w[n] . x + bias[n]) for n = list[0 .. count), or first .. first + count without a list (0). `table`: see placeOf. */
export function gemv<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, inWidth: i32, list: usize, first: i32, count: i32, scratch: usize,
  table: usize = 0,
): void {
  if (count <= 0) return;
  const stride = bytesOf<T>(inWidth);
  const span = output(list, first, count - 1) - output(list, first, 0) + 1;
  if (floats(inWidth) + stride <= oneRowBytes && 100 * <i64>count >= denseShare<T>() * <i64>span) {
    for (let i = 0; i < count; i++) {
      const n = output(list, first, i);
      finish(out + floats(n), at(residual, n), at(bias, n), dot<T>(x, w + placeOf(table, n) * stride, inWidth));
    }
    return;
  }
  for (let i = 0; i < count; i += dotRows) {
    const rows = min(dotRows, count - i);
    for (let j = 0; j < rows; j++) store<u32>(rowAddress(scratch, j), <u32>(w + placeOf(table, output(list, first, i + j)) * stride));
    dotEach<T>(x, inWidth, rows, scratch);
    for (let j = 0; j < rows; j++) {
      const n = output(list, first, i + j);
      finish(out + floats(n), at(residual, n), at(bias, n), load<f32>(rowSum(scratch, j)));
    }
  }
}
