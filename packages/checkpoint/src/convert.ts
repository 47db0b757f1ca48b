// From any checkpoint to tensors that a writer asks for piece by piece: larger than memory works.
// Owns: the change of number format on the way. Does not own: the written format (safetensors/write.ts), folders
// (node/convert-folder.ts), GGUF (gguf/export.ts).
import { narrowToBf16, widen } from '@relufy/tensor';
import { asMatrix, type Checkpoint, type TensorInfo } from './checkpoint.js';
import type { TensorToWrite } from './safetensors/write.js';

export interface ConversionOptions {
  readonly dtype: 'f32' | 'bf16';
  readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
  readonly signal?: AbortSignal | undefined;
}

const pieceBytes = 2 ** 22;

/** The tensors of a checkpoint in one number format. A tensor of integers is an error when it is reached. */
export function convertedTensors(checkpoint: Checkpoint, options: ConversionOptions): TensorToWrite[] {
  const tensors = [...checkpoint.tensors.values()];
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let loaded = 0;
  const done = (bytes: number): void => {
    loaded += bytes;
    options.onProgress?.({ loaded, total });
  };
  return tensors.map((info) => ({
    name: info.name,
    dtype: options.dtype === 'f32' ? 'F32' : 'BF16',
    shape: info.shape,
    data: () => pieces(checkpoint, info, options, done),
  }));
}

async function* pieces(
  checkpoint: Checkpoint,
  info: TensorInfo,
  { dtype, signal }: ConversionOptions,
  done: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const { rows, columns } = asMatrix(info.shape);
  const step = Math.max(1, Math.floor(pieceBytes / (4 * Math.max(1, columns))));
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const { dtype: from, data } = await checkpoint.readRows(info.name, first, count, signal);
    yield from === dtype ? data : convert(dtype, widen(from, data));
    done((info.byteLength * count) / rows);
  }
}

function convert(dtype: 'f32' | 'bf16', values: Float32Array): Uint8Array {
  return new Uint8Array(dtype === 'f32' ? values.buffer : narrowToBf16(values).buffer);
}
