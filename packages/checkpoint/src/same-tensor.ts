// Whether two tensors of a checkpoint are the same numbers: what a tied model that stores its head twice is asked.
// Owns: the comparison, in bounded pieces, up to the first difference. Does not own what follows from it (models, gguf).
import { asMatrix, type Checkpoint, type TensorInfo } from './checkpoint.js';

const chunkBytes = 1 << 20;

/** Byte by byte as `readRows` gives them. Of two formats or shapes: different, whatever they hold. */
export async function sameTensor(
  checkpoint: Checkpoint,
  one: TensorInfo,
  other: TensorInfo,
  signal?: AbortSignal,
): Promise<boolean> {
  if (one.dtype !== other.dtype || one.shape.join() !== other.shape.join()) return false;
  const { rows } = asMatrix(one.shape);
  const chunkRows = Math.max(1, Math.floor((chunkBytes * rows) / Math.max(1, one.byteLength)));
  for (let row = 0; row < rows; row += chunkRows) {
    const count = Math.min(chunkRows, rows - row);
    const a = (await checkpoint.readRows(one.name, row, count, signal)).data;
    const b = (await checkpoint.readRows(other.name, row, count, signal)).data;
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  }
  return true;
}
