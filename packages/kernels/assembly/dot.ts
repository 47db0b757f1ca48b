// dot4: the dot products of one vector with four weight rows, the heart of every product over row-major weights.
//
//   for each of the rows i:  lane l of sum_i = x[l] w_i[l] + x[l + 4] w_i[l + 4] + ...   (one chain, in this order)
//                            out_i = ((lane 0 + lane 2) + (lane 1 + lane 3)) + what is left, one by one
//
// This order of summation is the contract of row-major weights: gemv, gemvRows and gemm (gemm.ts) all give an output
// these bits, whatever stands beside it. Parallelism comes from four independent chains, not from splitting one.
// Rows may repeat: a caller with fewer than four pads with any of them.
// Memory: rows and x contiguous, any alignment of 4 (f32) or 2 (bf16) bytes; nothing is read beyond `width` numbers.
import { bytesOf, floats, high, hsum, load1, load4, loadRaw, low, madd, splat } from './simd';

/** sum + x[0] w[0] + x[1] w[1] + ..., for the last one to three numbers. */
@inline export function dotTail<T>(sum: f32, x: usize, w: usize, count: i32): f32 {
  for (let i = 0; i < count; i++) sum += load<f32>(x + floats(i)) * load1<T>(w + bytesOf<T>(i));
  return sum;
}

export function dot4<T>(
  x: usize, width: i32, w0: usize, w1: usize, w2: usize, w3: usize, out: usize,
): void {
  let s0 = splat(0);
  let s1 = splat(0);
  let s2 = splat(0);
  let s3 = splat(0);
  const step = 8 * sizeof<T>();
  for (const end = x + floats(width & ~7); x < end; x += 32) {
    const xl = v128.load(x);
    const xh = v128.load(x, 16);
    let raw = loadRaw<T>(w0);
    s0 = madd(madd(s0, low<T>(raw), xl), high<T>(raw, w0), xh);
    raw = loadRaw<T>(w1);
    s1 = madd(madd(s1, low<T>(raw), xl), high<T>(raw, w1), xh);
    raw = loadRaw<T>(w2);
    s2 = madd(madd(s2, low<T>(raw), xl), high<T>(raw, w2), xh);
    raw = loadRaw<T>(w3);
    s3 = madd(madd(s3, low<T>(raw), xl), high<T>(raw, w3), xh);
    w0 += step;
    w1 += step;
    w2 += step;
    w3 += step;
  }
  let rest = width & 7;
  if (rest >= 4) {
    const xl = v128.load(x);
    s0 = madd(s0, load4<T>(w0), xl);
    s1 = madd(s1, load4<T>(w1), xl);
    s2 = madd(s2, load4<T>(w2), xl);
    s3 = madd(s3, load4<T>(w3), xl);
    const half = 4 * sizeof<T>();
    x += 16;
    w0 += half;
    w1 += half;
    w2 += half;
    w3 += half;
    rest -= 4;
  }
  store<f32>(out, dotTail<T>(hsum(s0), x, w0, rest), 0);
  store<f32>(out, dotTail<T>(hsum(s1), x, w1, rest), 4);
  store<f32>(out, dotTail<T>(hsum(s2), x, w2, rest), 8);
  store<f32>(out, dotTail<T>(hsum(s3), x, w3, rest), 12);
}
