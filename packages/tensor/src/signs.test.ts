// Sign bits of every weight format, against the numbers that the formats stand for: zeros, padding, odd widths.
import { expect, it } from 'vitest';
import {
  dequantizeRow,
  f32ToBf16,
  isBlockDType,
  packSigns,
  quantizeRow,
  rowBytes,
  signWords,
  weightDTypes,
} from './index.js';

const widths = [1, 31, 32, 33, 127, 128, 129, 160];

it.each(weightDTypes)('%s: a bit is 1 where the number is negative; 0, -0 and the padding are not', (dtype) => {
  for (const columns of widths) {
    const rows = 3;
    const values = Float32Array.from({ length: rows * columns }, (_, i) =>
      i % 5 === 0 ? 0 : i % 7 === 0 ? -0 : Math.sin(i * 12.9898) * 3,
    );
    const stride = isBlockDType(dtype) ? rowBytes(dtype, columns) : columns;
    const bytes = new Uint8Array(rows * stride);
    const expected = values.slice();
    if (isBlockDType(dtype))
      for (let row = 0; row < rows; row++) {
        const target = bytes.subarray(row * stride, (row + 1) * stride);
        quantizeRow(dtype, values.subarray(row * columns, (row + 1) * columns), target);
        expected.set(dequantizeRow(dtype, target, columns), row * columns);
      }
    const stored = dtype === 'f32' ? values : dtype === 'bf16' ? Uint16Array.from(values, f32ToBf16) : bytes;
    const signs = packSigns(dtype, stored, columns);
    expect(signs.length).toBe(rows * signWords(columns));
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < 32 * signWords(columns); i++) {
        const bit = ((signs[row * signWords(columns) + (i >> 5)] as number) >>> (i & 31)) & 1;
        const negative = i < columns && (expected[row * columns + i] as number) < 0;
        expect(bit, `${dtype} [${row}, ${i} of ${columns}]`).toBe(Number(negative));
      }
  }
});
