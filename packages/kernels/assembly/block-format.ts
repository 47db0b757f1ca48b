// Block formats of weights as kernels see them: int8 and int4 in blocks of 32 along the stored row, the blocks' f16 scales
// behind the values, rows padded to 64 bytes. The definition is block-format.ts of @relufy/tensor.
//
// A format is a type parameter F, as formats of single numbers are in simd.ts: Int8 or Int4, told apart by their sign.
// Owns addresses, scales and the widening of a block; sums are block-dot.ts (row-major) and block-axpy.ts (transposed).

/** value = scale * q, q a signed byte. */
export type Int8 = i8;
/** value = scale * (nibble - 8); byte j holds element j in its low nibble and element j + 16 in its high one. */
export type Int4 = u8;

export const blockSize: i32 = 32;
/** Blocks are taken four at a time: a lane each. */
export const groupBlocks: i32 = 4;

@inline export function isInt8<F>(): bool {
  return isSigned<F>();
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

/** Bytes from one row to the next. */
@inline export function blockRowBytes<F>(columns: i32): usize {
  return (<usize>blocksOf(columns) * (blockBytes<F>() + 2) + 63) & ~63;
}

/** What `halves` multiplies with to give f16 as they are: their exponent is biased by 15, that of f32 by 127. */
export const halfUnit: f32 = 5.192296858534828e33; // 2^112

/** Four f16 as f32, times unit / halfUnit, a power of two: exact. */
@inline export function halves(at: usize, unit: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(v128.load_ext<i16>(at), 13), i32x4.splat(0x8fffe000)), unit);
}

/** One f16 as f32, by the same rule. */
@inline export function half(at: usize, unit: f32): f32 {
  return reinterpret<f32>((<u32>load<i16>(at) << 13) & 0x8fffe000) * unit;
}

// ---- a block's integers as f32, times `rawUnit`: bytes are moved to the top of a word and converted, which is exact

/** The unit for `halves` by which a scale times a raw number is the weight: halfUnit / rawUnit. */
@inline export function rawHalfUnit<F>(): f32 {
  return isInt8<F>() ? <f32>7.922816251426434e28 : <f32>1.9342813113834067e25; // 2^96, 2^84
}

/** Eight signed words; `widenLow` and `widenHigh` give four f32 each. */
@inline export function widenLow(words: v128): v128 {
  return f32x4.convert_i32x4_s(v128.shuffle<u16>(i32x4.splat(0), words, 0, 8, 1, 9, 2, 10, 3, 11));
}

@inline export function widenHigh(words: v128): v128 {
  return f32x4.convert_i32x4_s(v128.shuffle<u16>(i32x4.splat(0), words, 4, 12, 5, 13, 6, 14, 7, 15));
}

/**
 * Sixteen numbers of a block, those from 16 * `part` on, as bytes: int4 times 16. `wordsLow` and `wordsHigh` make of them
 * what widenLow and widenHigh want.
 */
@inline export function nibbles(block: v128, part: i32): v128 {
  const signed = v128.xor(block, i8x16.splat(<i8>0x88));
  return v128.and(part ? signed : i16x8.shl(signed, 4), i8x16.splat(<i8>0xf0));
}

@inline export function wordsLow(bytes: v128): v128 {
  return v128.shuffle<u8>(i32x4.splat(0), bytes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline export function wordsHigh(bytes: v128): v128 {
  return v128.shuffle<u8>(i32x4.splat(0), bytes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Writes the 32 raw numbers of a block as f32. */
@inline export function widenBlock<F>(to: usize, block: usize): void {
  for (let part = 0; part < 2; part++) {
    let a: v128;
    let b: v128;
    if (isInt8<F>()) {
      a = v128.load_ext<i8>(block + (<usize>part << 4));
      b = v128.load_ext<i8>(block + (<usize>part << 4), 8);
    } else {
      const bytes = nibbles(v128.load(block), part);
      a = wordsLow(bytes);
      b = wordsHigh(bytes);
    }
    const at = to + (<usize>part << 6);
    v128.store(at, widenLow(a));
    v128.store(at, widenHigh(a), 16);
    v128.store(at, widenLow(b), 32);
    v128.store(at, widenHigh(b), 48);
  }
}
