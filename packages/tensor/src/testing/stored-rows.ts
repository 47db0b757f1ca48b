// Rows of numbers in a weight format, as `Session.read` gives them, with the numbers that they stand for: for tests of what is made
// of stored weights. Does not own the formats (block-format.ts, dtype.ts).
import type { BufferView } from '../backend.js';
import { dequantizeRow, isBlockDType, quantizeRow } from '../block-format.js';
import { rowBytes, type WeightDType } from '../buffer.js';
import { f32ToBf16 } from '../dtype.js';

/** `values`: [rows, columns]. Of bf16, `expected` are the numbers before they were rounded. */
export function storedRows(
  dtype: WeightDType,
  values: Float32Array,
  columns: number,
): { readonly stored: BufferView; readonly expected: Float32Array } {
  if (dtype === 'f32') return { stored: values, expected: values };
  if (!isBlockDType(dtype)) return { stored: Uint16Array.from(values, f32ToBf16), expected: values };
  const stride = rowBytes(dtype, columns);
  const rows = values.length / columns;
  const stored = new Uint8Array(rows * stride);
  const expected = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const target = stored.subarray(row * stride, (row + 1) * stride);
    quantizeRow(dtype, values.subarray(row * columns, (row + 1) * columns), target);
    expected.set(dequantizeRow(dtype, target, columns), row * columns);
  }
  return { stored, expected };
}
