// axpyBlocks: sums += x[k] * w[k] over a list of rows of a transposed weight in a block format.
//
//   for k in list, in order: for each of my columns c:  sums[c] += q[k][c] * (x[k] * scale[k][c / 32])
//
// The coefficient x * scale is rounded once. This order, strictly by k from +0, is the contract of transposed block
// formats, as that of axpy.ts is: a skipped k would add x[k] = 0 times a finite weight.
// 1. Coefficients of eight rows are made first, up to 64 blocks of columns of each; then the columns pass, 16 at a time,
//    with the rows in two halves of four: eight rows wait for memory together.
// 2. Integers are converted at the top of a word (block-format.ts); the power of two is in the coefficients.
// 3. A last pass of fewer rows is padded with the last row times 0, which changes nothing either.
// Memory: `sums` are whole blocks, private to the thread; `coefficients` is 2 KB of scratch.
import {
  blockBytes,
  halves,
  isInt8,
  nibbles,
  rawHalfUnit,
  widenHigh,
  widenLow,
  wordsHigh,
  wordsLow,
} from './block-format';
import { floats, madd, splat } from './simd';

/** Bytes of scratch. */
export const coefficientBytes: usize = 2048;
/** Blocks of columns whose coefficients have fixed places, and the bytes from one row's to the next's. */
const passBlocks: i32 = 64;
const rowCoefficients: usize = 256;

/** The k at place i of the list; without a list (0) the rows follow each other. */
@inline function rowAt(list: usize, i: i32): i32 {
  return list ? load<i32>(list + floats(i)) : i;
}

/** x * scale for `blocks` blocks, four at a time; what is read behind a row's scales is not used. */
@inline function coefficients<F>(to: usize, scales: usize, x: f32, blocks: i32): void {
  const xs = splat(x);
  const unit = splat(rawHalfUnit<F>());
  for (const end = to + floats(blocks); to < end; to += 16, scales += 8) v128.store(to, f32x4.mul(halves(scales, unit), xs));
}

/** sums[0 .. 16) += four rows; `w` at the block, `c` at its coefficient in the first row. */
@inline function add16<F>(sums: usize, half: i32, w0: usize, w1: usize, w2: usize, w3: usize, c: usize): void {
  let s0 = v128.load(sums);
  let s1 = v128.load(sums, 16);
  let s2 = v128.load(sums, 32);
  let s3 = v128.load(sums, 48);
  let x = v128.load32_splat(c);
  let a = wordsAt<F>(w0, half, 0);
  let b = wordsAt<F>(w0, half, 1);
  s0 = madd(s0, widenLow(a), x);
  s1 = madd(s1, widenHigh(a), x);
  s2 = madd(s2, widenLow(b), x);
  s3 = madd(s3, widenHigh(b), x);
  x = v128.load32_splat(c, rowCoefficients);
  a = wordsAt<F>(w1, half, 0);
  b = wordsAt<F>(w1, half, 1);
  s0 = madd(s0, widenLow(a), x);
  s1 = madd(s1, widenHigh(a), x);
  s2 = madd(s2, widenLow(b), x);
  s3 = madd(s3, widenHigh(b), x);
  x = v128.load32_splat(c, 2 * rowCoefficients);
  a = wordsAt<F>(w2, half, 0);
  b = wordsAt<F>(w2, half, 1);
  s0 = madd(s0, widenLow(a), x);
  s1 = madd(s1, widenHigh(a), x);
  s2 = madd(s2, widenLow(b), x);
  s3 = madd(s3, widenHigh(b), x);
  x = v128.load32_splat(c, 3 * rowCoefficients);
  a = wordsAt<F>(w3, half, 0);
  b = wordsAt<F>(w3, half, 1);
  v128.store(sums, madd(s0, widenLow(a), x));
  v128.store(sums, madd(s1, widenHigh(a), x), 16);
  v128.store(sums, madd(s2, widenLow(b), x), 32);
  v128.store(sums, madd(s3, widenHigh(b), x), 48);
}

/** Eight of a block's words: of its half, the first or second eight. */
@inline function wordsAt<F>(block: usize, half: i32, eight: i32): v128 {
  if (isInt8<F>()) return v128.load_ext<i8>(block + (<usize>half << 4) + (<usize>eight << 3));
  const bytes = nibbles(v128.load(block), half);
  return eight ? wordsHigh(bytes) : wordsLow(bytes);
}

/**
 * `w` stands at row 0 (without a list: the first row), `stride` is a whole row, `scalesAt` where its scales begin. My
 * columns are the `blocks` blocks from `first` on.
 */
export function axpyBlocks<F>(
  sums: usize, w: usize, stride: usize, scalesAt: usize, first: i32, blocks: i32, x: usize, list: usize, count: i32,
  scratch: usize,
): void {
  const last = count - 1;
  for (let pass = 0; pass < blocks; pass += passBlocks) {
    const some = min(passBlocks, blocks - pass);
    const offset = <usize>(first + pass) * blockBytes<F>();
    const scales = scalesAt + (<usize>(first + pass) << 1);
    const from = sums + (<usize>pass << 7);
    for (let i = 0; i < count; i += 8) {
      for (let j = 0; j < 8; j++) {
        const k = rowAt(list, min(i + j, last));
        const value: f32 = i + j < count ? load<f32>(x + floats(k)) : 0;
        coefficients<F>(scratch + <usize>j * rowCoefficients, w + <usize>k * stride + scales, value, some);
      }
      let w0 = w + <usize>rowAt(list, i) * stride + offset;
      let w1 = w + <usize>rowAt(list, min(i + 1, last)) * stride + offset;
      let w2 = w + <usize>rowAt(list, min(i + 2, last)) * stride + offset;
      let w3 = w + <usize>rowAt(list, min(i + 3, last)) * stride + offset;
      let w4 = w + <usize>rowAt(list, min(i + 4, last)) * stride + offset;
      let w5 = w + <usize>rowAt(list, min(i + 5, last)) * stride + offset;
      let w6 = w + <usize>rowAt(list, min(i + 6, last)) * stride + offset;
      let w7 = w + <usize>rowAt(list, min(i + 7, last)) * stride + offset;
      let c = scratch;
      let at = from;
      for (const end = from + (<usize>some << 7); at < end; at += 128, c += 4) {
        add16<F>(at, 0, w0, w1, w2, w3, c);
        add16<F>(at, 0, w4, w5, w6, w7, c + 4 * rowCoefficients);
        add16<F>(at + 64, 1, w0, w1, w2, w3, c);
        add16<F>(at + 64, 1, w4, w5, w6, w7, c + 4 * rowCoefficients);
        w0 += blockBytes<F>();
        w1 += blockBytes<F>();
        w2 += blockBytes<F>();
        w3 += blockBytes<F>();
        w4 += blockBytes<F>();
        w5 += blockBytes<F>();
        w6 += blockBytes<F>();
        w7 += blockBytes<F>();
      }
    }
  }
}
