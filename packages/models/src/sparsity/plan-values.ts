// Numbers in the format of the buffer that holds them. Does not own which buffers a plan has (decoder-buffers.ts).
import { type BufferDecl, blockRowBytes, isBlockDType, narrowToBf16, quantizeRow } from '@relufy/tensor';

/** Numbers as a buffer of the plan holds them. */
export function planValues({ name, dtype, shape }: BufferDecl, numbers: ArrayLike<number>): ArrayLike<number> {
  if (dtype === 'bf16') return narrowToBf16(Float32Array.from(numbers));
  if (!isBlockDType(dtype)) return numbers;
  const [rows, columns] = shape as [number, number];
  const stride = blockRowBytes(dtype, columns);
  const bytes = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    const values = Float32Array.from({ length: columns }, (_, column) => numbers[row * columns + column] as number);
    quantizeRow(dtype, values, bytes.subarray(row * stride, (row + 1) * stride), name);
  }
  return bytes;
}
