// Weights in two bits each, packed for `twoBitScores`: the sign and whether the number is large, as one of four steps that lie
// evenly around zero, and one scale a row. Reads every weight format as it lies in memory. Does not own the op (op-table.ts)
// nor which layers want it (models/src/sparsity/two-bit-predictor.ts).
//
//   w[i] is taken for (2 code[i] - 3) scale, code 0 to 3;  scale = step / 2;  step = 0.9957 times the row's root mean square
//   128 columns are 32 bytes: byte j has those of columns j, j + 32, j + 64 and j + 96, from its lowest bits on
import type { BufferView } from './backend.js';
import { blockInteger, blockMinimum, blockScale, blockSize, isBlockDType } from './block-format.js';
import { rowBytes, type WeightDType } from './buffer.js';
import { bf16ToF32 } from './dtype.js';

/** Columns of a unit, and the bytes that it takes. */
const [unitColumns, unitBytes] = [128, 32];
/** Of four even steps the one that loses least of normally distributed numbers, over their root mean square. */
const evenStep = 0.9957;

/** 32-bit words of a row's codes: whole units. */
export const twoBitWords = (columns: number): number => (Math.ceil(columns / unitColumns) * unitBytes) / 4;

export interface TwoBitRows {
  /** [rows, twoBitWords(columns)] */
  readonly codes: Int32Array;
  /** [rows] */
  readonly scales: Float32Array;
}

/** Whole rows of a row-major weight, as `Session.read` gives them. A row of zeros has the scale 0. */
export function packTwoBits(dtype: WeightDType, weight: BufferView, columns: number): TwoBitRows {
  const stride = isBlockDType(dtype) ? rowBytes(dtype, columns) : columns;
  const rows = weight.length / stride;
  const bytes = twoBitWords(columns) * 4;
  const codes = new Uint8Array(rows * bytes);
  const scales = new Float32Array(rows);
  const values = new Float32Array(columns);
  for (let row = 0; row < rows; row++) {
    fillRow(dtype, weight.subarray(row * stride, (row + 1) * stride), values);
    let squares = 0;
    for (let i = 0; i < columns; i++) squares += (values[i] as number) ** 2;
    const step = evenStep * Math.sqrt(squares / columns);
    scales[row] = step / 2;
    for (let i = 0; i < columns; i++) {
      const value = values[i] as number;
      const code = value < 0 ? (value < -step ? 0 : 1) : value < step ? 2 : 3;
      codes[row * bytes + byteOf(i)]! |= code << shiftOf(i);
    }
  }
  return { codes: new Int32Array(codes.buffer), scales };
}

/** The code of column i, of a row's words. */
export const twoBitCode = (wordAt: (word: number) => number, i: number): number =>
  (wordAt(byteOf(i) >> 2) >>> ((byteOf(i) % 4) * 8 + shiftOf(i))) & 3;

const byteOf = (i: number): number => Math.floor(i / unitColumns) * unitBytes + (i % unitBytes);
const shiftOf = (i: number): number => 2 * Math.floor((i % unitColumns) / unitBytes);

/** One row's numbers, a block at a time: asked for one by one they take five times as long. */
function fillRow(dtype: WeightDType, row: BufferView, values: Float32Array): void {
  if (!isBlockDType(dtype)) {
    if (dtype === 'f32') values.set(row);
    else for (let i = 0; i < values.length; i++) values[i] = bf16ToF32(row[i] as number);
    return;
  }
  const bytes = row as Uint8Array;
  for (let first = 0; first < values.length; first += blockSize) {
    const scale = blockScale(dtype, bytes, values.length, first / blockSize);
    const minimum = blockMinimum(dtype, bytes, values.length, first / blockSize);
    const last = Math.min(first + blockSize, values.length);
    for (let i = first; i < last; i++) values[i] = scale * blockInteger(dtype, bytes, i) + minimum;
  }
}
