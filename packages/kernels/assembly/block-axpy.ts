// axpyBlocks: sums += x[k] * w[k] over a list of rows of a transposed weight in a block format.
//
//   for k in list, in order: for each of my columns c:  sums[c] += q[k][c] * (x[k] * scale[k][c / 32])
//                            with minima:               sums[c] += x[k] * (q[k][c] * scale[k][c / 32] + minimum[k][c / 32])
//
// The coefficient x * scale is rounded once; with minima the weight is, and the coefficients are scales and minima. This order, by k from +0, is the contract within a part of the inputs
// (parts.ts): a skipped k would add x[k] = 0 times a finite weight.
// 1. Coefficients of eight rows are made first, up to 64 blocks of columns of each (with minima 32); then the columns pass, 16 at a time,
//    with the rows in two halves of four: eight rows wait for memory together.
// 2. Integers are converted at the top of a word (block-format.ts); the power of two is in the coefficients.
// 3. A last pass of fewer rows is padded with the last row times 0, which changes nothing either.
// Memory: `sums` are whole blocks, private to the thread.
import {
  blockBytes, halves, hasMinimum, Int4, isInt8, nibbles, rawUnit, rawHigh, rawLow, Uint4, wordsHigh, wordsLow,
} from './block-format';
import { placeOf } from './lists';
import { floats, madd, splat } from './simd';
import { mostTouched, touch } from './touch';

/** Bytes of scratch: coefficients, and addresses of rows to touch, in whose place x of eight rows comes then. */
export const axpyBlocksScratch: usize = 2048 + 64;
/** Of each scattered row, the scales and so much of its beginning are touched; the hardware prefetcher goes on from there. */
const touchedBytes: usize = 256;
/** Share of the inputs, in a hundred, from which on rows count as following each other. */
const denseShare: i64 = 85;
/** Blocks of columns whose coefficients have fixed places, and the bytes from one row's to the next's. */
const passBlocks: i32 = 64;
const rowCoefficients: usize = 256;
/** Of a row's coefficients, those behind this are minima, and blocks are half as many. */
const minimaAt: usize = 128;

/** The k at place i of the list; without a list (0) the rows follow each other. */
@inline function rowAt(list: usize, i: i32): i32 {
  return list ? load<i32>(list + floats(i)) : i;
}

/** x * scale * unit for `blocks` blocks, four at a time; what is read after a row's scales is not used. */
@inline function coefficients(to: usize, scales: usize, x: f32, power: f32, blocks: i32): void {
  const xs = splat(x);
  const unit = splat(power);
  for (const end = to + floats(blocks); to < end; to += 16, scales += 8) v128.store(to, f32x4.mul(f32x4.mul(halves(scales), unit), xs));
}

// The next rows are loaded after a store of the sums, which nothing needs: V8 moves all loads up to the next store to the
// front, and spills what its 16 registers do not hold.

/** sums[0 .. 8) += eight rows of int8. */
@inline function add8(
  sums: usize, offset: usize, w0: usize, w1: usize, w2: usize, w3: usize, w4: usize, w5: usize, w6: usize, w7: usize, c: usize,
): void {
  let low = v128.load(sums);
  let high = v128.load(sums, 16);
  let x = v128.load32_splat(c);
  let y = v128.load32_splat(c, rowCoefficients);
  let a = v128.load_ext<i8>(w0 + offset);
  let b = v128.load_ext<i8>(w1 + offset);
  low = madd(madd(low, rawLow(a), x), rawLow(b), y);
  high = madd(madd(high, rawHigh(a), x), rawHigh(b), y);
  v128.store(sums, low);
  v128.store(sums, high, 16);
  x = v128.load32_splat(c, 2 * rowCoefficients);
  y = v128.load32_splat(c, 3 * rowCoefficients);
  a = v128.load_ext<i8>(w2 + offset);
  b = v128.load_ext<i8>(w3 + offset);
  low = madd(madd(low, rawLow(a), x), rawLow(b), y);
  high = madd(madd(high, rawHigh(a), x), rawHigh(b), y);
  v128.store(sums, low);
  v128.store(sums, high, 16);
  x = v128.load32_splat(c, 4 * rowCoefficients);
  y = v128.load32_splat(c, 5 * rowCoefficients);
  a = v128.load_ext<i8>(w4 + offset);
  b = v128.load_ext<i8>(w5 + offset);
  low = madd(madd(low, rawLow(a), x), rawLow(b), y);
  high = madd(madd(high, rawHigh(a), x), rawHigh(b), y);
  v128.store(sums, low);
  v128.store(sums, high, 16);
  x = v128.load32_splat(c, 6 * rowCoefficients);
  y = v128.load32_splat(c, 7 * rowCoefficients);
  a = v128.load_ext<i8>(w6 + offset);
  b = v128.load_ext<i8>(w7 + offset);
  low = madd(madd(low, rawLow(a), x), rawLow(b), y);
  high = madd(madd(high, rawHigh(a), x), rawHigh(b), y);
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

/** sums[0 .. 16) += four rows of int4. */
@inline function add16(sums: usize, part: i32, w0: usize, w1: usize, w2: usize, w3: usize, c: usize): void {
  let s0 = v128.load(sums);
  let s1 = v128.load(sums, 16);
  let s2 = v128.load(sums, 32);
  let s3 = v128.load(sums, 48);
  let x = v128.load32_splat(c);
  let bytes = nibbles<Int4>(w0, part);
  s0 = madd(s0, rawLow(wordsLow(bytes)), x);
  s1 = madd(s1, rawHigh(wordsLow(bytes)), x);
  s2 = madd(s2, rawLow(wordsHigh(bytes)), x);
  s3 = madd(s3, rawHigh(wordsHigh(bytes)), x);
  store64(sums, s0, s1, s2, s3);
  x = v128.load32_splat(c, rowCoefficients);
  bytes = nibbles<Int4>(w1, part);
  s0 = madd(s0, rawLow(wordsLow(bytes)), x);
  s1 = madd(s1, rawHigh(wordsLow(bytes)), x);
  s2 = madd(s2, rawLow(wordsHigh(bytes)), x);
  s3 = madd(s3, rawHigh(wordsHigh(bytes)), x);
  store64(sums, s0, s1, s2, s3);
  x = v128.load32_splat(c, 2 * rowCoefficients);
  bytes = nibbles<Int4>(w2, part);
  s0 = madd(s0, rawLow(wordsLow(bytes)), x);
  s1 = madd(s1, rawHigh(wordsLow(bytes)), x);
  s2 = madd(s2, rawLow(wordsHigh(bytes)), x);
  s3 = madd(s3, rawHigh(wordsHigh(bytes)), x);
  store64(sums, s0, s1, s2, s3);
  x = v128.load32_splat(c, 3 * rowCoefficients);
  bytes = nibbles<Int4>(w3, part);
  s0 = madd(s0, rawLow(wordsLow(bytes)), x);
  s1 = madd(s1, rawHigh(wordsLow(bytes)), x);
  s2 = madd(s2, rawLow(wordsHigh(bytes)), x);
  s3 = madd(s3, rawHigh(wordsHigh(bytes)), x);
  store64(sums, s0, s1, s2, s3);
}

/** The same of uint4, whose x are at `x`. */
@inline function add16Minima(
  sums: usize, part: i32, w0: usize, w1: usize, w2: usize, w3: usize, c: usize, x: usize,
): void {
  addRowMinima(sums, nibbles<Uint4>(w0, part), c, x);
  addRowMinima(sums, nibbles<Uint4>(w1, part), c + rowCoefficients, x + 4);
  addRowMinima(sums, nibbles<Uint4>(w2, part), c + 2 * rowCoefficients, x + 8);
  addRowMinima(sums, nibbles<Uint4>(w3, part), c + 3 * rowCoefficients, x + 12);
}

@inline function addRowMinima(sums: usize, bytes: v128, c: usize, at: usize): void {
  const x = v128.load32_splat(at);
  const scale = v128.load32_splat(c);
  const minimum = v128.load32_splat(c, minimaAt);
  store64(
    sums,
    madd(v128.load(sums), madd(minimum, rawLow(wordsLow(bytes)), scale), x),
    madd(v128.load(sums, 16), madd(minimum, rawHigh(wordsLow(bytes)), scale), x),
    madd(v128.load(sums, 32), madd(minimum, rawLow(wordsHigh(bytes)), scale), x),
    madd(v128.load(sums, 48), madd(minimum, rawHigh(wordsHigh(bytes)), scale), x),
  );
}

@inline function store64(at: usize, s0: v128, s1: v128, s2: v128, s3: v128): void {
  v128.store(at, s0);
  v128.store(at, s1, 16);
  v128.store(at, s2, 32);
  v128.store(at, s3, 48);
}

/**
 * `w` stands at row 0 (without a list: the first row), `stride` is a whole row, `scalesAt` where its scales begin. My
 * columns are the `blocks` blocks from `first` on. `table`: see placeOf.
 */
export function axpyBlocks<F>(
  sums: usize, w: usize, stride: usize, scalesAt: usize, first: i32, blocks: i32, x: usize, list: usize, count: i32,
  scratch: usize, table: usize,
): void {
  const last = count - 1;
  const addresses = scratch + 8 * rowCoefficients;
  const scattered = count > 0 && 100 * <i64>count < denseShare * <i64>(rowAt(list, last) - rowAt(list, 0) + 1);
  const most = passBlocks >> <i32>hasMinimum<F>();
  for (let pass = 0; pass < blocks; pass += most) {
    const some = min(most, blocks - pass);
    const offset = <usize>(first + pass) * blockBytes<F>();
    const scales = scalesAt + (<usize>(first + pass) << 1);
    const from = sums + (<usize>pass << 7);
    const together = scattered ? mostTouched : count;
    for (let i = 0; i < count; i += 8) {
      if (scattered && i % together == 0) {
        const rows = min(together, count - i);
        for (let j = 0; j < rows; j++) store<u32>(addresses + floats(j), <u32>(w + placeOf(table, rowAt(list, i + j)) * stride));
        const sum = touch(addresses, rows, scales, <usize>some << 1);
        store<i32>(addresses, sum + touch(addresses, rows, offset, min(touchedBytes, <usize>some * blockBytes<F>())));
      }
      for (let j = 0; j < 8; j++) {
        const k = rowAt(list, min(i + j, last));
        const value: f32 = i + j < count ? load<f32>(x + floats(k)) : 0;
        const to = scratch + <usize>j * rowCoefficients;
        const at = w + placeOf(table, k) * stride + scales;
        if (hasMinimum<F>()) {
          coefficients(to, at, 1, rawUnit<F>(), some);
          coefficients(to + minimaAt, at + (scalesAt >> 3), 1, 1, some); // sixteen bytes of values have two of a scale
          store<f32>(addresses + floats(j), value);
        } else coefficients(to, at, value, rawUnit<F>(), some);
      }
      let w0 = w + placeOf(table, rowAt(list, i)) * stride + offset;
      let w1 = w + placeOf(table, rowAt(list, min(i + 1, last))) * stride + offset;
      let w2 = w + placeOf(table, rowAt(list, min(i + 2, last))) * stride + offset;
      let w3 = w + placeOf(table, rowAt(list, min(i + 3, last))) * stride + offset;
      let w4 = w + placeOf(table, rowAt(list, min(i + 4, last))) * stride + offset;
      let w5 = w + placeOf(table, rowAt(list, min(i + 5, last))) * stride + offset;
      let w6 = w + placeOf(table, rowAt(list, min(i + 6, last))) * stride + offset;
      let w7 = w + placeOf(table, rowAt(list, min(i + 7, last))) * stride + offset;
      let c = scratch;
      let at = from;
      for (const end = from + (<usize>some << 7); at < end; at += 128, c += 4) {
        if (isInt8<F>()) {
          add8(at, 0, w0, w1, w2, w3, w4, w5, w6, w7, c);
          add8(at + 32, 8, w0, w1, w2, w3, w4, w5, w6, w7, c);
          add8(at + 64, 16, w0, w1, w2, w3, w4, w5, w6, w7, c);
          add8(at + 96, 24, w0, w1, w2, w3, w4, w5, w6, w7, c);
        } else if (hasMinimum<F>()) {
          add16Minima(at, 0, w0, w1, w2, w3, c, addresses);
          add16Minima(at, 0, w4, w5, w6, w7, c + 4 * rowCoefficients, addresses + 16);
          add16Minima(at + 64, 1, w0, w1, w2, w3, c, addresses);
          add16Minima(at + 64, 1, w4, w5, w6, w7, c + 4 * rowCoefficients, addresses + 16);
        } else {
          add16(at, 0, w0, w1, w2, w3, c);
          add16(at, 0, w4, w5, w6, w7, c + 4 * rowCoefficients);
          add16(at + 64, 1, w0, w1, w2, w3, c);
          add16(at + 64, 1, w4, w5, w6, w7, c + 4 * rowCoefficients);
        }
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
