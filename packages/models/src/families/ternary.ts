// BitNet's packed weights as an ordinary checkpoint: bytes that hold four numbers of {-1, 0, 1} each become rows of
// those numbers times the tensor's scale, in bf16 where the scale is bf16 (then exact), else in f32.
// Byte row r of R holds, from its low bits up, rows r, r + R, r + 2R and r + 3R, each as number + 1.
// Does not own which models are ternary (families), nor rounding activations (the decoder).
import type { Checkpoint, Rows, TensorInfo } from '@relufy/checkpoint';
import { f32ToBf16, RelufyError, widen } from '@relufy/tensor';

const perByte = 4;

interface Packed {
  readonly info: TensorInfo;
  /** As packed: a quarter of the rows. */
  readonly byteRows: number;
  readonly columns: number;
  readonly scale: TensorInfo;
}

/** The same checkpoint with every `X.weight` of bytes that has an `X.weight_scale` unpacked, and the scales gone. */
export function unpackTernary(name: string, checkpoint: Checkpoint): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  const packed = new Map<string, Packed>();
  for (const info of checkpoint.tensors.values()) {
    if (!info.name.endsWith('.weight_scale')) continue;
    const weight = info.name.slice(0, -'_scale'.length);
    const stored = checkpoint.tensors.get(weight);
    tensors.delete(info.name);
    if (stored?.dtype !== 'U8')
      fail(name, weight, 'bytes (U8), which its weight_scale is for', stored?.dtype ?? 'nothing');
    const { shape } = stored;
    const [byteRows, columns] = shape as [number, number];
    if (shape.length !== 2) fail(name, weight, 'two dimensions', `[${shape.join(', ')}]`);
    if (info.shape.reduce((product, size) => product * size, 1) !== 1)
      fail(name, info.name, 'one number', `[${info.shape.join(', ')}]`);
    packed.set(weight, { info: stored, byteRows, columns, scale: info });
    const floatDType = info.floatDType === 'bf16' ? 'bf16' : 'f32';
    tensors.set(weight, { ...stored, floatDType, shape: [byteRows * perByte, columns] });
  }
  const bytes = [...tensors.values()].find(({ name: tensor, dtype }) => dtype === 'U8' && !packed.has(tensor));
  if (bytes) fail(name, bytes.name, 'a weight_scale beside its bytes', 'none');
  if (packed.size === 0) return checkpoint;
  return {
    ...checkpoint,
    tensors,
    readRows: (tensor, firstRow, rowCount, signal) => {
      const found = packed.get(tensor);
      return found
        ? readTernary(name, checkpoint, found, firstRow, rowCount, signal)
        : checkpoint.readRows(tensor, firstRow, rowCount, signal);
    },
    // what the file holds are not the blocks of these rows
    readBlocks: async (tensor, dtype, firstRow, rowCount, signal) =>
      packed.has(tensor) ? undefined : checkpoint.readBlocks(tensor, dtype, firstRow, rowCount, signal),
  };
}

async function readTernary(
  name: string,
  checkpoint: Checkpoint,
  { info, byteRows, columns, scale }: Packed,
  firstRow: number,
  rowCount: number,
  signal: AbortSignal | undefined,
): Promise<Rows> {
  const stored = await checkpoint.readRows(scale.name, 0, 1, signal);
  const factor = widen(stored.dtype, stored.data)[0] as number;
  if (!Number.isFinite(factor)) fail(name, scale.name, 'a finite number', String(factor));
  const exact = scale.floatDType === 'bf16';
  // one entry for each two bits; 3 stands for no number
  const numbers = [-factor, 0, factor, Number.NaN];
  const out = exact ? new Uint16Array(rowCount * columns) : new Float32Array(rowCount * columns);
  const values = exact ? numbers.map((value) => f32ToBf16(value)) : numbers;
  for (let done = 0; done < rowCount; ) {
    const row = firstRow + done;
    const shift = 2 * Math.floor(row / byteRows);
    const within = row % byteRows;
    const rows = Math.min(rowCount - done, byteRows - within);
    const data = await checkpoint.readStored(info.name, within, rows, signal);
    for (let i = 0; i < rows * columns; i++)
      out[done * columns + i] = values[((data[i] as number) >> shift) & 3] as number;
    done += rows;
  }
  return { dtype: exact ? 'bf16' : 'f32', data: new Uint8Array(out.buffer) };
}

function fail(name: string, tensor: string, expected: string, got: string): never {
  throw new RelufyError(
    'checkpoint',
    `${name} tensor "${tensor}": expected ${expected}, got ${got}. config.json and weights do not belong together.`,
  );
}
