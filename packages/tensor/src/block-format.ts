// Block formats of weights: int8, int4 and uint4 in blocks of 32 along the stored row, one f16 scale a block.
// Owns the layout of a row in memory and both directions of the conversion. Does not own files (checkpoint does).
//
// A row of `columns` numbers, padded to whole blocks:
//   int8:  32 bytes a block: q[i], a signed byte; value = scale * q
//   int4:  16 bytes a block: byte j holds element j in its low nibble and element j + 16 in its high one, each + 8;
//          value = scale * (nibble - 8)
//   uint4: the same bytes, and a minimum a block; value = scale * nibble + minimum
//   then the blocks' scales, f16 little endian, in order; then, of uint4, their minima, the same way;
// and the whole padded to 64 bytes, so that every row begins on a cache line. All of a neuron is one contiguous run.
// The blocks are those of GGUF's q8_0, q4_0 and q4_1, with the scales gathered after the values.
import { type BlockScale, searchRange, searchScale } from './block-search.js';
import { f16ToF32, f32ToF16 } from './dtype.js';
import { RelufyError } from './errors.js';

export const blockSize = 32;

/** What is in a block, in bytes: its integers, and what scales and moves them. */
const layouts = {
  int8: { values: blockSize, scales: 2 },
  int4: { values: blockSize / 2, scales: 2 },
  uint4: { values: blockSize / 2, scales: 4 },
} as const;

export type BlockDType = keyof typeof layouts;

export const blockDTypes = Object.keys(layouts) as readonly BlockDType[];

export const isBlockDType = (dtype: string): dtype is BlockDType => Object.hasOwn(layouts, dtype);

/** Whether a block has a minimum beside its scale. */
export const hasMinimum = (dtype: BlockDType): boolean => layouts[dtype].scales === 4;

/** Blocks in a row. */
export const blocksOf = (columns: number): number => Math.ceil(columns / blockSize);

/** Where the scales of a row begin, in bytes from the row's beginning. */
export function scalesOffset(dtype: BlockDType, columns: number): number {
  return blocksOf(columns) * layouts[dtype].values;
}

/** Bytes of the scales and minima of a row. */
export const scalesBytes = (dtype: BlockDType, columns: number): number => blocksOf(columns) * layouts[dtype].scales;

/** Bytes from one row to the next. */
export function blockRowBytes(dtype: BlockDType, columns: number): number {
  return Math.ceil((scalesOffset(dtype, columns) + scalesBytes(dtype, columns)) / 64) * 64;
}

/**
 * Writes one row of finite numbers. `target` is exactly the row's bytes; `where` names the tensor in an error.
 * `importance`: how much the error of each number counts, not negative; int8 has no use for it.
 * @throws RelufyError `checkpoint` where a block's scale is too large for f16: infinity times an integer is no weight.
 */
export function quantizeRow(
  dtype: BlockDType,
  values: Float32Array,
  target: Uint8Array,
  where = 'quantizeRow',
  importance?: Float32Array,
): void {
  const scales = scalesOffset(dtype, values.length);
  const blocks = blocksOf(values.length);
  const put = (at: number, bits: number, part: Float32Array): void => {
    if ((bits & 0x7c00) === 0x7c00) throw scaleOverflow(dtype, part, where);
    target[at] = bits & 0xff;
    target[at + 1] = bits >> 8;
  };
  target.fill(0);
  for (let block = 0; block < blocks; block++) {
    const part = values.subarray(block * blockSize, (block + 1) * blockSize);
    const counts = importance?.subarray(block * blockSize, (block + 1) * blockSize);
    // where nothing counts, as without
    const used = counts?.some((count) => count > 0) ? counts : undefined;
    const { scale, minimum } = quantizers[dtype](part, target, block * layouts[dtype].values, used);
    put(scales + 2 * block, scale, part);
    if (minimum !== undefined) put(scales + 2 * (blocks + block), minimum, part);
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
  const block = Math.floor(index / blockSize);
  const value = blockScale(dtype, row, columns, block) * blockInteger(dtype, row, index);
  return value + blockMinimum(dtype, row, columns, block);
}

/** The scale of a block of a row. */
export function blockScale(dtype: BlockDType, row: Uint8Array, columns: number, block: number): number {
  return halfAt(row, scalesOffset(dtype, columns) + 2 * block);
}

/** The minimum of a block of a row: 0 in formats that have none. */
export function blockMinimum(dtype: BlockDType, row: Uint8Array, columns: number, block: number): number {
  if (!hasMinimum(dtype)) return 0;
  return halfAt(row, scalesOffset(dtype, columns) + 2 * (blocksOf(columns) + block));
}

const halfAt = (row: Uint8Array, at: number): number => f16ToF32((row[at] as number) | ((row[at + 1] as number) << 8));

/** The integer after a number of a row. */
export function blockInteger(dtype: BlockDType, row: Uint8Array, index: number): number {
  if (dtype === 'int8') return ((row[index] as number) << 24) >> 24;
  const within = index % blockSize;
  const byte = row[(index - within) / 2 + (within % 16)] as number;
  return (within < 16 ? byte & 15 : byte >> 4) - (dtype === 'int4' ? 8 : 0);
}

/** scale = largest / 127, as q8_0. */
function quantizeInt8(values: Float32Array, target: Uint8Array, at: number): BlockScale {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const bits = f32ToF16(largest / 127);
  const scale = f16ToF32(bits);
  if (scale === 0) return { scale: bits };
  for (let i = 0; i < values.length; i++)
    target[at + i] = Math.max(-127, Math.min(127, roundEven((values[i] as number) / scale)));
  return { scale: bits };
}

/**
 * The scale of q4_0 (which maps the largest value to -8 exactly), or its least-squares refinement when that has the
 * smaller error, each weight counting by its square: large weights matter more than an even error does. A search for the
 * scale of least plain error clips outliers, and measured worse (LOG.md, 2026-11-24). Ternary weights (BitNet) are
 * mapped to -7, 0 and 7, exact but for the scale's own rounding.
 */
function quantizeInt4(values: Float32Array, target: Uint8Array, at: number, importance?: Float32Array): BlockScale {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value;
  const isTernary = values.every((value) => value === 0 || value === largest || value === -largest);
  const bits = isTernary
    ? f32ToF16(largest / 7)
    : importance
      ? searchScale(values, importance, -8, 7).scale
      : int4Scale(values, f32ToF16(largest / -8));
  const scale = f16ToF32(bits);
  putNibbles(target, at, (i) => (i < values.length && scale !== 0 ? int4Integer(values[i] as number, scale) + 8 : 8));
  return { scale: bits };
}

function putNibbles(target: Uint8Array, at: number, nibble: (index: number) => number): void {
  for (let j = 0; j < 16; j++) target[at + j] = nibble(j) | (nibble(j + 16) << 4);
}

/** minimum = least, scale = (largest - least) / 15, as q4_1; a scale that f16 rounds to 0 leaves the minimum alone. */
function quantizeUint4(values: Float32Array, target: Uint8Array, at: number, importance?: Float32Array): BlockScale {
  const bits = importance ? searchRange(values, importance, 15) : wholeRange(values);
  const [scale, minimum] = [f16ToF32(bits.scale), f16ToF32(bits.minimum)];
  putNibbles(target, at, (i) =>
    i < values.length && scale !== 0
      ? Math.max(0, Math.min(15, Math.round(((values[i] as number) - minimum) / scale)))
      : 0,
  );
  return bits;
}

function wholeRange(values: Float32Array): BlockScale & { readonly minimum: number } {
  let least = Number.POSITIVE_INFINITY;
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    least = Math.min(least, value);
    largest = Math.max(largest, value);
  }
  return { scale: f32ToF16((largest - least) / 15), minimum: f32ToF16(least) };
}

type Quantizer = (values: Float32Array, target: Uint8Array, at: number, importance?: Float32Array) => BlockScale;

const quantizers: Readonly<Record<BlockDType, Quantizer>> = {
  int8: quantizeInt8,
  int4: quantizeInt4,
  uint4: quantizeUint4,
};

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
