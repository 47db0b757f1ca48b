// One row over listed or consecutive outputs of a row-major weight: which of the two ways of dot.ts to take.
import { dot, dotEach, dotRows, rowAddress, rowSum } from './dot';
import { at, finish } from './finish';
import { bytesOf, floats } from './simd';

/**
 * Consecutive rows are read one whole row at a time up to this many bytes of x and of w together; above, x no longer
 * stays in L1 beside the weights, and eight rows at once win (rows of 8192: 18 against 34 GB/s in f32).
 */
const oneRowBytes: usize = 24576;

/**
 * out[n] = residual[n] + (w[n] . x + bias[n]) for n = list[0 .. count), or for n = first .. first + count without a list
 * (0). A list without gaps is read like consecutive rows.
 */
export function gemv<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, inWidth: i32, list: usize, first: i32, count: i32, scratch: usize,
): void {
  if (count <= 0) return;
  const stride = bytesOf<T>(inWidth);
  if (list && load<i32>(list + floats(count - 1)) - load<i32>(list) == count - 1) {
    first = load<i32>(list);
    list = 0;
  }
  if (!list && floats(inWidth) + stride <= oneRowBytes) {
    for (let n = first; n < first + count; n++)
      finish(out + floats(n), at(residual, n), at(bias, n), dot<T>(x, w + <usize>n * stride, inWidth));
    return;
  }
  for (let i = 0; i < count; i += dotRows) {
    const rows = min(dotRows, count - i);
    for (let j = 0; j < rows; j++) {
      const n = list ? load<i32>(list + floats(i + j)) : first + i + j;
      store<u32>(rowAddress(scratch, j), <u32>(w + <usize>n * stride));
    }
    dotEach<T>(x, inWidth, rows, scratch);
    for (let j = 0; j < rows; j++) {
      const n = list ? load<i32>(list + floats(i + j)) : first + i + j;
      finish(out + floats(n), at(residual, n), at(bias, n), load<f32>(rowSum(scratch, j)));
    }
  }
}
