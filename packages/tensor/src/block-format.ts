// Block formats of weights: int8 and int4 in blocks of 32 along the stored row, one f16 scale a block.
// Owns the layout of a row in memory and both directions of the conversion. Does not own files (checkpoint does).
//
// A row of `columns` numbers, padded with zeros to whole blocks:
//   int8: 32 bytes a block: q[i], a signed byte; value = scale * q
//   int4: 16 bytes a block: byte j holds element j in its low nibble and element j + 16 in its high one, each + 8;
//         value = scale * (nibble - 8)
//   then the blocks' scales, f16 little endian, in order;
// and the whole padded to 64 bytes, so that every row begins on a cache line. All of a neuron is one contiguous run.
// The blocks are those of GGUF's q8_0 and q4_0, with the scales gathered behind the values.
import { f16ToF32, f32ToF16 } from './dtype.js';
import { RelufyError } from './errors.js';

export type BlockDType = 'int8' | 'int4';

export const blockSize = 32;

export const isBlockDType = (dtype: string): dtype is BlockDType => dtype === 'int8' || dtype === 'int4';

/** Blocks in a row. */
export const blocksOf = (columns: number): number => Math.ceil(columns / blockSize);

/** Where the scales of a row begin, in bytes from the row's beginning. */
export function scalesOffset(dtype: BlockDType, columns: number): number {
  return blocksOf(columns) * (dtype === 'int8' ? blockSize : blockSize / 2);
}

/** Bytes from one row to the next. */
export function blockRowBytes(dtype: BlockDType, columns: number): number {
  return Math.ceil((scalesOffset(dtype, columns) + 2 * blocksOf(columns)) / 64) * 64;
}

/**
 * Writes one row of finite numbers. `target` is exactly the row's bytes; `where` names the tensor in an error.
 * @throws RelufyError `checkpoint` where a block's scale is too large for f16: infinity times an integer is no weight.
 */
export function quantizeRow(dtype: BlockDType, values: Float32Array, target: Uint8Array, where = 'quantizeRow'): void {
  const scales = scalesOffset(dtype, values.length);
  target.fill(0);
  for (let block = 0; block < blocksOf(values.length); block++) {
    const from = block * blockSize;
    const part = values.subarray(from, from + blockSize);
    const bits = dtype === 'int8' ? quantizeInt8(part, target, from) : quantizeInt4(part, target, from / 2);
    if ((bits & 0x7c00) === 0x7c00) throw scaleOverflow(dtype, part, where);
    target[scales + 2 * block] = bits & 0xff;
    target[scales + 2 * block + 1] = bits >> 8;
  }
}

function scaleOverflow(dtype: BlockDType, values: Float32Array, where: string): RelufyError {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return new RelufyError(
    'checkpoint',
    `${where}: expected numbers whose ${dtype} block scale fits f16 (at most 65504), got a block with ${largest.toPrecision(3)}. Use dtype bf16 or f32, which hold it.`,
  );
}

/** Reads one row of `columns` numbers. */
export function dequantizeRow(dtype: BlockDType, row: Uint8Array, columns: number): Float32Array {
  const out = new Float32Array(columns);
  for (let i = 0; i < columns; i++) out[i] = blockElement(dtype, row, columns, i);
  return out;
}

/** One number of a row. */
export function blockElement(dtype: BlockDType, row: Uint8Array, columns: number, index: number): number {
  return blockScale(dtype, row, columns, Math.floor(index / blockSize)) * blockInteger(dtype, row, index);
}

/** The scale of a block of a row. */
export function blockScale(dtype: BlockDType, row: Uint8Array, columns: number, block: number): number {
  const at = scalesOffset(dtype, columns) + 2 * block;
  return f16ToF32((row[at] as number) | ((row[at + 1] as number) << 8));
}

/** The integer behind a number of a row. */
export function blockInteger(dtype: BlockDType, row: Uint8Array, index: number): number {
  if (dtype === 'int8') return ((row[index] as number) << 24) >> 24;
  const within = index % blockSize;
  const byte = row[(index - within) / 2 + (within % 16)] as number;
  return (within < 16 ? byte & 15 : byte >> 4) - 8;
}

/** scale = largest / 127, as q8_0. Gives the bits of the scale. */
function quantizeInt8(values: Float32Array, target: Uint8Array, at: number): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const bits = f32ToF16(largest / 127);
  const scale = f16ToF32(bits);
  if (scale === 0) return bits;
  for (let i = 0; i < values.length; i++)
    target[at + i] = Math.max(-127, Math.min(127, roundEven((values[i] as number) / scale)));
  return bits;
}

/**
 * The scale of q4_0 (which maps the largest value to -8 exactly), or its least-squares refinement when that has the
 * smaller error, each weight counting by its square: large weights matter more than an even error does. A search for the
 * scale of least plain error clips outliers, and measured worse (LOG.md, 2026-11-24). Ternary weights (BitNet) are
 * mapped to -7, 0 and 7, exact but for the scale's own rounding.
 */
function quantizeInt4(values: Float32Array, target: Uint8Array, at: number): number {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value;
  const isTernary = values.every((value) => value === 0 || value === largest || value === -largest);
  const bits = isTernary ? f32ToF16(largest / 7) : int4Scale(values, f32ToF16(largest / -8));
  const scale = f16ToF32(bits);
  for (let i = 0; i < blockSize; i++) {
    const nibble = i < values.length && scale !== 0 ? int4Integer(values[i] as number, scale) + 8 : 8;
    target[at + (i % 16)] = (target[at + (i % 16)] as number) | (i < 16 ? nibble : nibble << 4);
  }
  return bits;
}

function int4Scale(values: Float32Array, first: number): number {
  const refined = f32ToF16(leastSquaresScale(values, f16ToF32(first)));
  return int4Error(values, f16ToF32(refined)) < int4Error(values, f16ToF32(first)) ? refined : first;
}

const int4Integer = (value: number, scale: number): number => Math.max(-8, Math.min(7, Math.round(value / scale)));

/** The best scale for the integers that a first scale gives. */
function leastSquaresScale(values: Float32Array, scale: number): number {
  if (scale === 0) return 0;
  let products = 0;
  let squares = 0;
  for (const value of values) {
    const q = int4Integer(value, scale);
    products += value * value * value * q;
    squares += value * value * q * q;
  }
  return squares > 0 ? products / squares : scale;
}

function int4Error(values: Float32Array, scale: number): number {
  if (scale === 0) return Number.MAX_VALUE;
  let error = 0;
  for (const value of values) error += (value * (value - scale * int4Integer(value, scale))) ** 2;
  return error;
}

/** Half to even, as SIMD rounds. */
export function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}
