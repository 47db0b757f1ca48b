// Sign bits of weights, packed for `agreeingSigns`: one bit a number, 1 where it is negative (0 and -0 are not), in 32-bit
// words from the lowest bit on, each row padded with zeros to whole 128 bits. Reads every weight format as it lies in memory.
// Does not own the op (op-table.ts) nor which layers want it (models/src/sparsity/sign-predictor.ts).
import type { BufferView } from './backend.js';
import { type BlockDType, blockMinimum, blockScale, blockSize, blocksOf, isBlockDType } from './block-format.js';
import { rowBytes, type WeightDType } from './buffer.js';

/** 32-bit words of a row's sign bits. */
export const signWords = (columns: number): number => Math.ceil(columns / 128) * 4;

/** The sign bits of whole rows of a row-major weight, as `Session.read` gives them: i32 [rows, signWords(columns)]. */
export function packSigns(dtype: WeightDType, weight: BufferView, columns: number): Int32Array {
  const stride = isBlockDType(dtype) ? rowBytes(dtype, columns) : columns;
  const [rows, words] = [weight.length / stride, signWords(columns)];
  const signs = new Int32Array(rows * words);
  for (let row = 0; row < rows; row++) {
    const from = weight.subarray(row * stride, (row + 1) * stride);
    const to = signs.subarray(row * words, (row + 1) * words);
    if (isBlockDType(dtype)) packBlocks(dtype, from as Uint8Array, columns, to);
    else packFloats(from as Float32Array | Uint16Array, to);
  }
  return signs;
}

function packFloats(row: Float32Array | Uint16Array, signs: Int32Array): void {
  const isF32 = row instanceof Float32Array;
  const bits = isF32 ? new Uint32Array(row.buffer, row.byteOffset, row.length) : row;
  const minusZero = isF32 ? 0x80000000 : 0x8000;
  for (let i = 0; i < bits.length; i++) if ((bits[i] as number) > minusZero) signs[i >> 5]! |= 1 << (i & 31);
}

/** A block of 32 is one word. */
function packBlocks(dtype: BlockDType, row: Uint8Array, columns: number, signs: Int32Array): void {
  for (let block = 0; block < blocksOf(columns); block++) {
    const scale = blockScale(dtype, row, columns, block);
    const minimum = blockMinimum(dtype, row, columns, block);
    const word = dtype === 'int8' ? bytes(row, block, scale) : nibbles(dtype, row, block, scale, minimum);
    const left = columns - block * blockSize;
    signs[block] = left >= blockSize ? word : word & ((1 << left) - 1);
  }
}

function bytes(row: Uint8Array, block: number, scale: number): number {
  let word = 0;
  for (let i = 0; i < blockSize; i++) {
    const value = ((row[block * blockSize + i] as number) << 24) >> 24;
    if (value * scale < 0) word |= 1 << i;
  }
  return word;
}

function nibbles(dtype: 'int4' | 'uint4', row: Uint8Array, block: number, scale: number, minimum: number): number {
  const zero = dtype === 'int4' ? 8 : 0;
  let negative = 0;
  for (let value = 0; value < 16; value++) if (scale * (value - zero) + minimum < 0) negative |= 1 << value;
  let word = 0;
  for (let j = 0; j < 16; j++) {
    const byte = row[block * 16 + j] as number;
    word |= ((negative >> (byte & 15)) & 1) << j;
    word |= ((negative >> (byte >> 4)) & 1) << (j + 16);
  }
  return word;
}
