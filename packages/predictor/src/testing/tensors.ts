// Every tensor of a safetensors file, for tests. Does not own the format (@relufy/checkpoint).
import { readFileSync } from 'node:fs';
import { memoryFiles, openCheckpoint } from '@relufy/checkpoint';
import { widen } from '@relufy/tensor';

export async function openTensors(path: string): Promise<Map<string, Float32Array | Int32Array>> {
  const checkpoint = await openCheckpoint(memoryFiles('tensors', { 'model.safetensors': readFileSync(path) }));
  const tensors = new Map<string, Float32Array | Int32Array>();
  for (const { name, shape, dtype } of checkpoint.tensors.values()) {
    const rows = shape.length === 1 ? 1 : (shape[0] as number);
    if (dtype === 'I32') {
      const bytes = await checkpoint.readStored(name, 0, rows);
      tensors.set(name, new Int32Array(bytes.slice().buffer));
    } else {
      const { dtype: stored, data } = await checkpoint.readRows(name, 0, rows);
      tensors.set(name, widen(stored, data));
    }
  }
  await checkpoint.close();
  return tensors;
}
