// Block formats of weights as kernels see them: int8, int4 and uint4 in blocks of 32 along the stored row, the blocks' f16
// scales after the values, then uint4's minima, rows padded to 64 bytes. The definition is block-format.ts of
// @relufy/tensor.
//
// A format is a type parameter F, as formats of single numbers are in simd.ts, told apart by its sign and size.
// Owns addresses, scales and the widening of a block; sums are block-dot.ts (row-major) and block-axpy.ts (transposed).

/** value = scale * q, q a signed byte. */
export type Int8 = i8;
/** value = scale * (nibble - 8); byte j holds element j in its low nibble and element j + 16 in its high one. */
export type Int4 = u8;
/** value = scale * nibble + minimum, in the same order. */
export type Uint4 = u16;

export const blockSize: i32 = 32;
/** Blocks are taken four at a time: a lane each. */
export const groupBlocks: i32 = 4;

@inline export function isInt8<F>(): bool {
  return isSigned<F>();
}

@inline export function hasMinimum<F>(): bool {
  return sizeof<F>() == 2;
}

/** Bytes of the values of one block. */
@inline export function blockBytes<F>(): usize {
  return isInt8<F>() ? 32 : 16;
}

@inline export function blocksOf(columns: i32): i32 {
  return (columns + blockSize - 1) >> 5;
}

/** Groups of blocks in a row, the last one perhaps not whole. */
@inline export function groupsOf(columns: i32): i32 {
  return (columns + 127) >> 7;
}

/** Where the scales of a row begin. */
@inline export function scalesAt<F>(columns: i32): usize {
  return <usize>blocksOf(columns) * blockBytes<F>();
}

/** From a scale to the minimum of its block. */
@inline export function toMinimum(columns: i32): usize {
  return <usize>blocksOf(columns) << 1;
}

/** Bytes from one row to the next. */
@inline export function blockRowBytes<F>(columns: i32): usize {
  return (<usize>blocksOf(columns) * (blockBytes<F>() + (hasMinimum<F>() ? 4 : 2)) + 63) & ~63;
}

// ---- f16 to f32, for finite numbers
//
//   n = the bits without sign, shifted to where f32 has them, the exponent's bias corrected: right but for subnormal
//       numbers, where it is what a leading one would make of them
//   magnitude = min(n, n + (n - 2^-14)): for subnormal numbers the second is right, and less; for others it is not less
//
// No step has a subnormal f32, which processors are slow at: scales below 6e-5 are common.

export const halfSign: i32 = 0x80000000;
export const halfBias: i32 = 0x38000000;
export const leastHalf: f32 = 0.00006103515625;

/** Four f16, as their 16 bits extended by sign. */
@inline export function fromHalves(bits: v128, sign: v128, bias: v128, least: v128): v128 {
  const n = i32x4.add(i32x4.shr_u(i32x4.shl(bits, 17), 4), bias);
  return v128.or(f32x4.pmin(n, f32x4.add(n, f32x4.sub(n, least))), v128.and(bits, sign));
}

/** Four f16. */
@inline export function halves(at: usize): v128 {
  return fromHalves(v128.load_ext<i16>(at), i32x4.splat(halfSign), i32x4.splat(halfBias), f32x4.splat(leastHalf));
}

/** One f16. */
@inline export function half(at: usize): f32 {
  const bits = <u32>load<u16>(at);
  const n = reinterpret<f32>(((bits & 0x7fff) << 13) + halfBias);
  const magnitude = min<f32>(n, n + (n - leastHalf));
  return bits >> 15 ? -magnitude : magnitude;
}

// ---- a block's integers as f32, times a power of two: they are moved to the top of a word and converted, which is exact

/** A scale times this, times a raw number, is the weight (without minimum): 2^-16 (int8), 2^-28 (int4) or 2^-24 (uint4). */
@inline export function rawUnit<F>(): f32 {
  if (hasMinimum<F>()) return <f32>5.9604644775390625e-8;
  return isInt8<F>() ? <f32>0.0000152587890625 : <f32>3.725290298461914e-9;
}

/** Sixteen numbers of a block of nibbles, those from 16 * `part` on, as bytes: times 16 where they are signed. */
@inline export function nibbles<F>(block: usize, part: i32): v128 {
  if (hasMinimum<F>()) {
    const both = v128.load(block);
    return v128.and(part ? i16x8.shr_u(both, 4) : both, i8x16.splat(15));
  }
  const signed = v128.xor(v128.load(block), i8x16.splat(<i8>0x88));
  return v128.and(part ? signed : i16x8.shl(signed, 4), i8x16.splat(<i8>0xf0));
}

/** The first and the last eight of sixteen bytes, at the top of words. */
@inline export function wordsLow(bytes: v128): v128 {
  return v128.shuffle<u8>(i32x4.splat(0), bytes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline export function wordsHigh(bytes: v128): v128 {
  return v128.shuffle<u8>(i32x4.splat(0), bytes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** The first and the last four of eight words, as raw numbers. */
@inline export function rawLow(words: v128): v128 {
  return f32x4.convert_i32x4_s(v128.shuffle<u16>(i32x4.splat(0), words, 0, 8, 1, 9, 2, 10, 3, 11));
}

@inline export function rawHigh(words: v128): v128 {
  return f32x4.convert_i32x4_s(v128.shuffle<u16>(i32x4.splat(0), words, 4, 12, 5, 13, 6, 14, 7, 15));
}

@inline function widenEight(to: usize, words: v128): void {
  v128.store(to, rawLow(words));
  v128.store(to, rawHigh(words), 16);
}

/** Writes the 32 weights of block b of a row. */
export function widenWeights<F>(to: usize, row: usize, b: i32, columns: i32): void {
  widenBlock<F>(to, row + <usize>b * blockBytes<F>());
  const at = row + scalesAt<F>(columns) + (<usize>b << 1);
  const scale = f32x4.splat(half(at) * rawUnit<F>());
  const minimum = f32x4.splat(hasMinimum<F>() ? half(at + toMinimum(columns)) : 0);
  for (const end = to + 128; to < end; to += 16) {
    const value = f32x4.mul(v128.load(to), scale);
    v128.store(to, hasMinimum<F>() ? f32x4.add(value, minimum) : value);
  }
}

/** Writes the 32 raw numbers of a block. */
@inline export function widenBlock<F>(to: usize, block: usize): void {
  if (isInt8<F>()) {
    for (let i: usize = 0; i < 4; i++) widenEight(to + (i << 5), v128.load_ext<i8>(block + (i << 3)));
    return;
  }
  for (let part = 0; part < 2; part++, to += 64) {
    const bytes = nibbles<F>(block, part);
    widenEight(to, wordsLow(bytes));
    widenEight(to + 32, wordsHigh(bytes));
  }
}
