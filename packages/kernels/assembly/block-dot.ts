// Dot products of quantised activations with row-major weights in a block format: the heart of gemv, gemvRows and gemm.
//
//   for each block b:  d_b = sum of x[i] w[i] over the block, an exact integer
//                      lane (b mod 4) of sum += d_b * (wScale_b * xScale_b), in the order of b
//                      and of formats with minima += wMinimum_b * (xSum_b * xScale_b) after it
//   dot = hsum(sum)
//
// dot.ts with blocks in the place of numbers: this order of summation is the contract of row-major block formats, on every
// path. Four blocks at a time, a group: their partial sums become lanes by a tree of shuffles.
//
// x is prepared once a row, in groups of 288 bytes: 128 words (int8: in order; nibbles: as those of 16 bytes fall out by
// shifts of words), 4 scales, and 4 block sums: of int4 times 8, which take off the 8 that its nibbles have too much, of
// formats with minima times the scale, as f32. Blocks beyond the row are zeros there, so what is read of the weights after a row's end (up to 96
// bytes) counts nothing.
//
// Relaxed SIMD has dot products of bytes, exact while one side has 7 bits and no sign. Nibbles have 4: a pair of
// products is at most 2 * 127 * 15, so two such dots fit a word, and x stays bytes, in order. int8 would need x split by
// sign into two such sides: two dots and a subtraction for what extending both sides costs (LOG.md), so it is as ever.
import { blocksOf, fromHalves, groupsOf, halfBias, halfSign, hasMinimum, isInt8, leastHalf } from './block-format';
import { floats, hsum, madd, splat } from './simd';

/** Bytes of a prepared group. */
export const groupBytes: usize = 288;
export const scalesOffset: usize = 256;
export const sumsOffset: usize = 272;

/** Bytes of a prepared row of x. */
@inline export function preparedBytes(inWidth: i32): usize {
  return <usize>groupsOf(inWidth) * groupBytes;
}

/** Whether `dotBlocks` takes x as bytes; gemm always takes words. */
@inline function takesBytes<F>(): bool {
  return ASC_FEATURE_RELAXED_SIMD && !isInt8<F>();
}

/** One row of x as the format's weights want it in dotBlocks, or (`words`) in block-gemm.ts. */
export function prepare<F>(to: usize, values: usize, scales: usize, sums: usize, inWidth: i32, words: bool): void {
  const blocks = blocksOf(inWidth);
  const whole = blocks & ~3;
  const end = to + preparedBytes(inWidth);
  if (blocks != whole) memory.fill(end - groupBytes, 0, groupBytes);
  for (let b = 0; b < blocks; b++, values += 32) {
    const group = to + <usize>(b >> 2) * groupBytes;
    const at = group + (<usize>(b & 3) << 6);
    if (takesBytes<F>() && !words) {
      v128.store(at, v128.load(values));
      v128.store(at, v128.load(values, 16), 16);
    } else if (isInt8<F>()) {
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
    const scale = load<f32>(scales + floats(b));
    const sum = load<i32>(sums + floats(b));
    store<f32>(group + lane, scale, scalesOffset);
    if (hasMinimum<F>()) store<f32>(group + lane, <f32>sum * scale, sumsOffset);
    else store<i32>(group + lane, sum << 3, sumsOffset);
  }
}

/** The four partial sums of one block's integer products (of nibbles as they are). */
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
  const raw = v128.load(w);
  if (takesBytes<F>()) {
    const nibbles = i8x16.splat(15);
    const low = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(x), v128.and(raw, nibbles));
    const high = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(x, 16), v128.and(i16x8.shr_u(raw, 4), nibbles));
    return i32x4.extadd_pairwise_i16x8_s(i16x8.add(low, high));
  }
  const nibble = i16x8.splat(15);
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

/**
 * The integer dots of four blocks. The partial sums of a block are stored before the next block is loaded: V8 moves all
 * loads of a loop body to its front, up to the next store, and spills what its 16 registers do not hold.
 */
@inline function groupDots<F>(w: usize, x: usize, scratch: usize): v128 {
  const step: usize = isInt8<F>() ? 32 : 16;
  v128.store(scratch, blockDot<F>(w, x));
  v128.store(scratch, blockDot<F>(w + step, x + 64), 16);
  v128.store(scratch, blockDot<F>(w + 2 * step, x + 128), 32);
  v128.store(scratch, blockDot<F>(w + 3 * step, x + 192), 48);
  const dots = laneSums(v128.load(scratch), v128.load(scratch, 16), v128.load(scratch, 32), v128.load(scratch, 48));
  return isInt8<F>() || hasMinimum<F>() ? dots : i32x4.sub(dots, v128.load(x, sumsOffset));
}

@inline export function groupStep<F>(): usize {
  return isInt8<F>() ? 128 : 64;
}

const signAt: usize = 64;
const biasAt: usize = 80;
const leastAt: usize = 96;
const dotsAt: usize = 128;
/** Groups whose dots are held at a time. */
const heldGroups: i32 = 64;
/** Bytes of scratch: partial sums, constants and dots. */
export const dotBlocksScratch: usize = dotsAt + 16 * <usize>heldGroups;

/** Puts the constants where the dot products load them from: once for each op. V8 would make them anew in every round. */
export function startDots(scratch: usize): void {
  v128.store(scratch, i32x4.splat(halfSign), signAt);
  v128.store(scratch, i32x4.splat(halfBias), biasAt);
  v128.store(scratch, splat(leastHalf), leastAt);
}

/** Four f16 of a row, with the constants of startDots. */
@inline function scaleHalves(at: usize, scratch: usize): v128 {
  return fromHalves(
    v128.load_ext<i16>(at), v128.load(scratch, signAt), v128.load(scratch, biasAt), v128.load(scratch, leastAt),
  );
}

/**
 * One weight row, whole; `x` is prepared. First the dots, then the scales: the row is read from its beginning to its end,
 * which is what the hardware prefetcher can follow (WebAssembly has no prefetch of its own).
 */
export function dotBlocks<F>(w: usize, scales: usize, minima: usize, x: usize, groups: i32, scratch: usize): f32 {
  let sum = splat(0);
  const dots = scratch + dotsAt;
  while (groups > 0) {
    const held = min(groups, heldGroups);
    const end = dots + (<usize>held << 4);
    let xScales = x + scalesOffset;
    for (let at = dots; at < end; at += 16, x += groupBytes, w += groupStep<F>())
      v128.store(at, groupDots<F>(w, x, scratch));
    for (let at = dots; at < end; at += 16, xScales += groupBytes, scales += 8) {
      const xScale = v128.load(xScales);
      sum = madd(sum, f32x4.convert_i32x4_s(v128.load(at)), f32x4.mul(scaleHalves(scales, scratch), xScale));
      if (hasMinimum<F>()) {
        sum = madd(sum, scaleHalves(minima, scratch), v128.load(xScales, sumsOffset - scalesOffset));
        minima += 8;
      }
    }
    groups -= held;
  }
  return hsum(sum);
}
