// Blocks that memory takes as they are stored: the numbers are those of dequantising, bit for bit.
import { type BlockDType, blockDTypes, blockRowBytes, dequantizeRow } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { random } from '../../testing/craft.js';
import { dequantize, readableTypes } from './dequantize.js';
import { blockDTypeOf, keepBlocks, keepsBlocks } from './keep-blocks.js';

const sizes: Readonly<Record<string, number>> = { Q8_0: 34, Q4_0: 18, Q4_1: 20, Q5_0: 22, IQ4_NL: 18 };

/** Any bytes, but for scales that are finite: tiny, negative, zero. */
function anyBlocks(type: string, count: number): Uint8Array {
  const next = random(type.length + count);
  const size = sizes[type] as number;
  const bytes = Uint8Array.from({ length: count * size }, () => Math.floor(next() * 256));
  for (let block = 0; block < count; block++)
    for (const high of type === 'Q4_1' ? [1, 3] : [1])
      bytes[block * size + high] = (bytes[block * size + high] as number) & 0xbf;
  return bytes;
}

describe('blocks that are kept', () => {
  const pairs: readonly (readonly [string, BlockDType])[] = [
    ['Q8_0', 'int8'],
    ['Q4_0', 'int4'],
    ['Q4_0', 'int8'],
    ['Q5_0', 'int8'],
    ['Q4_1', 'uint4'],
    ['IQ4_NL', 'int8'],
  ];
  it.each(pairs)('%s as %s', (type, dtype) => {
    for (const [rows, columns] of [
      [1, 32],
      [3, 96],
      [5, 576],
    ] as const) {
      const stored = anyBlocks(type, (rows * columns) / 32);
      const kept = keepBlocks(type, dtype, stored, columns);
      const stride = blockRowBytes(dtype, columns);
      expect(kept.byteLength).toBe(rows * stride);
      const values = dequantize(type, stored);
      for (let row = 0; row < rows; row++)
        expect(
          dequantizeRow(dtype, kept.subarray(row * stride, (row + 1) * stride), columns).map((x) => x + 0),
        ).toEqual(
          values.subarray(row * columns, (row + 1) * columns).map((x) => x + 0), // -0 is 0
        );
    }
  });

  it('are these and no others', () => {
    for (const type of readableTypes)
      for (const dtype of blockDTypes)
        expect(keepsBlocks(type, dtype)).toBe(pairs.some((pair) => pair.join() === `${type},${dtype}`));
  });

  it('every readable type has its format of memory', () => {
    expect(Object.fromEntries(readableTypes.map((type) => [type, blockDTypeOf(type)]))).toEqual({
      F32: undefined,
      F16: undefined,
      BF16: undefined,
      Q4_0: 'int4',
      Q4_1: 'uint4',
      Q5_0: 'int8',
      Q5_1: 'int8',
      Q8_0: 'int8',
      Q2_K: 'int8',
      Q3_K: 'int8',
      Q4_K: 'int8',
      Q5_K: 'int8',
      Q6_K: 'int8',
      IQ4_NL: 'int8',
      IQ4_XS: 'int8',
    });
  });
});
