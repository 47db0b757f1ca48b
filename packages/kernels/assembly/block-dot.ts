// Dot products of quantised activations with row-major weights in a block format: the heart of gemv, gemvRows and gemm.
//
//   for each block b:  d_b = sum of x[i] w[i] over the block, an exact integer
//                      lane (b mod 4) of sum += d_b * (wScale_b * xScale_b), in the order of b
//   dot = hsum(sum)
//
// dot.ts with blocks in the place of numbers: this order of summation is the contract of row-major block formats, on every
// path. Four blocks at a time, a group: their partial sums become lanes by a tree of shuffles.
//
// x is prepared once a row, in groups of 288 bytes: 128 words (int8: in order; int4: as the nibbles of 16 bytes fall
// out by shifts of words), 4 scales, and 4 block sums times 8, which take off the 8 that nibbles have too much. Blocks
// beyond the row are zeros there, so what is read of the weights behind a row's end (up to 96 bytes) counts nothing.
import { groupsOf, blocksOf, halfUnit, halves, isInt8 } from './block-format';
import { floats, hsum, madd, splat } from './simd';

/** Bytes of a prepared group. */
export const groupBytes: usize = 288;
export const scalesOffset: usize = 256;
const sumsOffset: usize = 272;

/** Bytes of a prepared row of x. */
@inline export function preparedBytes(inWidth: i32): usize {
  return <usize>groupsOf(inWidth) * groupBytes;
}

/** One row of x as the format's weights want it. */
export function prepare<F>(to: usize, values: usize, scales: usize, sums: usize, inWidth: i32): void {
  const blocks = blocksOf(inWidth);
  const whole = blocks & ~3;
  const end = to + preparedBytes(inWidth);
  if (blocks != whole) memory.fill(end - groupBytes, 0, groupBytes);
  for (let b = 0; b < blocks; b++, values += 32) {
    const group = to + <usize>(b >> 2) * groupBytes;
    const at = group + (<usize>(b & 3) << 6);
    if (isInt8<F>()) {
      v128.store(at, v128.load_ext<i8>(values));
      v128.store(at, v128.load_ext<i8>(values, 8), 16);
      v128.store(at, v128.load_ext<i8>(values, 16), 32);
      v128.store(at, v128.load_ext<i8>(values, 24), 48);
    } else {
      const low = v128.load(values);
      const high = v128.load(values, 16);
      v128.store(at, i16x8.shr_s(i16x8.shl(low, 8), 8));
      v128.store(at, i16x8.shr_s(i16x8.shl(high, 8), 8), 16);
      v128.store(at, i16x8.shr_s(low, 8), 32);
      v128.store(at, i16x8.shr_s(high, 8), 48);
    }
    const lane = floats(b & 3);
    store<f32>(group + lane, load<f32>(scales + floats(b)), scalesOffset);
    store<i32>(group + lane, load<i32>(sums + floats(b)) << 3, sumsOffset);
  }
}

/** The four partial sums of one block's integer products (int4: of the nibbles as they are). */
@inline function blockDot<F>(w: usize, x: usize): v128 {
  if (isInt8<F>())
    return i32x4.add(
      i32x4.add(
        i32x4.dot_i16x8_s(v128.load_ext<i8>(w), v128.load(x)),
        i32x4.dot_i16x8_s(v128.load_ext<i8>(w, 8), v128.load(x, 16)),
      ),
      i32x4.add(
        i32x4.dot_i16x8_s(v128.load_ext<i8>(w, 16), v128.load(x, 32)),
        i32x4.dot_i16x8_s(v128.load_ext<i8>(w, 24), v128.load(x, 48)),
      ),
    );
  const nibble = i16x8.splat(15);
  const raw = v128.load(w);
  return i32x4.add(
    i32x4.add(
      i32x4.dot_i16x8_s(v128.and(raw, nibble), v128.load(x)),
      i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(raw, 4), nibble), v128.load(x, 16)),
    ),
    i32x4.add(
      i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(raw, 8), nibble), v128.load(x, 32)),
      i32x4.dot_i16x8_s(i16x8.shr_u(raw, 12), v128.load(x, 48)),
    ),
  );
}

/** Lane 0: the sum of a's lanes, lane 1: of b's, ... */
@inline function laneSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<u32>(a, b, 0, 4, 1, 5), v128.shuffle<u32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<u32>(c, d, 0, 4, 1, 5), v128.shuffle<u32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<u64>(ab, cd, 0, 2), v128.shuffle<u64>(ab, cd, 1, 3));
}

/** sum, with four blocks more. */
@inline function addGroup<F>(sum: v128, w: usize, scales: usize, x: usize): v128 {
  const step: usize = isInt8<F>() ? 32 : 16;
  let dots = laneSums(
    blockDot<F>(w, x), blockDot<F>(w + step, x + 64), blockDot<F>(w + 2 * step, x + 128), blockDot<F>(w + 3 * step, x + 192),
  );
  if (!isInt8<F>()) dots = i32x4.sub(dots, v128.load(x, sumsOffset));
  const scale = f32x4.mul(halves(scales, splat(halfUnit)), v128.load(x, scalesOffset));
  return madd(sum, f32x4.convert_i32x4_s(dots), scale);
}

@inline export function groupStep<F>(): usize {
  return isInt8<F>() ? 128 : 64;
}

/** One weight row, whole; `x` is prepared. */
export function dotBlocks<F>(w: usize, scales: usize, x: usize, groups: i32): f32 {
  let sum = splat(0);
  for (const end = x + <usize>groups * groupBytes; x < end; x += groupBytes, w += groupStep<F>(), scales += 8)
    sum = addGroup<F>(sum, w, scales, x);
  return hsum(sum);
}

/** Rows that one `dotBlocksEach` takes at most. */
export const dotBlockRows: i32 = 8;
/** Bytes of its scratch: a sum and an address a row. */
export const dotBlocksScratch: usize = 192;
const addressesAt: usize = 128;

/** Where the caller puts the address of row i, and finds its dot product after. */
@inline export function blockRowAddress(scratch: usize, i: i32): usize {
  return scratch + addressesAt + floats(i);
}

/** `count` weight rows, a group of each in turn: rows that lie apart wait for memory together. */
export function dotBlocksEach<F>(scratch: usize, count: i32, scalesOf: usize, x: usize, groups: i32): void {
  memory.fill(scratch, 0, <usize>count << 4);
  let offset: usize = 0;
  let scaleOffset = scalesOf;
  const sumsEnd = scratch + (<usize>count << 4);
  for (const end = x + <usize>groups * groupBytes; x < end; x += groupBytes) {
    for (let s = scratch, row = scratch + addressesAt; s < sumsEnd; s += 16, row += 4) {
      const w = <usize>load<u32>(row);
      v128.store(s, addGroup<F>(v128.load(s), w + offset, w + scaleOffset, x));
    }
    offset += groupStep<F>();
    scaleOffset += 8;
  }
  for (let i = 0; i < count; i++) store<f32>(blockRowAddress(scratch, i), hsum(v128.load(scratch + (<usize>i << 4))));
}
