// Opens one safetensors file: header first, rows on request, each read exactly as large as the rows asked for.
// Owns: which dtypes can be read as floats. Does not own: the checks of the header (header.ts), shards (../open.ts).
import { type FloatDType, RelufyError, show } from '@relufy/tensor';
import type { ByteSource } from '../byte-source.js';
import { asMatrix, type OpenedFile, type StoredTensor } from '../checkpoint.js';
import { bitsOfDType, type HeaderEntry, readHeader } from './header.js';

const floatDTypes: Readonly<Record<string, FloatDType>> = { F32: 'f32', BF16: 'bf16', F16: 'f16', F64: 'f32' };

/** Tensors of this name only align what follows them; a reader does not see them. */
export const paddingPrefix = '__padding__.';

/** `file` is the name in the checkpoint's folder. */
export async function openSafetensors(source: ByteSource, file: string, signal?: AbortSignal): Promise<OpenedFile> {
  const { metadata, entries } = await readHeader(source, signal);
  const tensors = entries
    .filter(({ name, dtype }) => !(dtype === 'U8' && name.startsWith(paddingPrefix)))
    .map((entry) => storedTensor(source, file, entry));
  return { source, tensors, metadata };
}

function storedTensor(source: ByteSource, file: string, entry: HeaderEntry): StoredTensor {
  const { name, dtype, shape, begin, end } = entry;
  const { columns } = asMatrix(shape);
  const bytesPerRow = (columns * (bitsOfDType[dtype] as number)) / 8;
  const floatDType = floatDTypes[dtype];
  return {
    name,
    dtype,
    floatDType: floatDType ?? 'f32',
    shape,
    file,
    byteLength: end - begin,
    ...((source.path !== undefined || source.openRows) && {
      place: {
        firstByte: begin,
        ...(source.path !== undefined && { path: source.path }),
        ...(source.openRows && { openRows: source.openRows }),
      },
    }),
    readStored: (firstRow, rowCount, signal, into) =>
      source.read(begin + firstRow * bytesPerRow, rowCount * bytesPerRow, signal, into),
    async read(firstRow, rowCount, signal) {
      if (!floatDType)
        throw new RelufyError(
          'checkpoint',
          `${source.name}: tensor ${show(name)}: dtype, expected F32, BF16, F16 or F64, got ${dtype}. Convert the checkpoint to one of these.`,
        );
      const data = await source.read(begin + firstRow * bytesPerRow, rowCount * bytesPerRow, signal);
      return { dtype: floatDType, data: dtype === 'F64' ? narrowF64(data) : data };
    },
  };
}

export function narrowF64(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(bytes.byteLength / 8);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
  return new Uint8Array(out.buffer);
}
