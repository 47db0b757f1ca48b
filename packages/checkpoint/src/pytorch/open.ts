// Opens one `pytorch_model.bin`: the zip that `torch.save` has written since PyTorch 1.6.
// Owns: from pickled descriptions to tensors, each proved to lie in its storage; reading their rows.
// Does not own: the zip (zip.ts), the pickle machine (pickle.ts), strided reads (../gather.ts).
import { type FloatDType, RelufyError, show } from '@relufy/tensor';
import type { ByteSource } from '../byte-source.js';
import { asMatrix, elementCount, type OpenedFile, type StoredTensor } from '../checkpoint.js';
import { gatherRows, isContiguous } from '../gather.js';
import { malformed, mistakenFor } from '../malformed.js';
import { narrowF64 } from '../safetensors/read.js';
import { Call, Dict, Global, Persistent, unpickle } from './pickle.js';
import { entryDataOffset, readZip, type ZipEntry } from './zip.js';

/** torch's storage types: what one element is called in a safetensors file, its size, and the float that rows give. */
const storages: Readonly<Record<string, { dtype: string; bytes: number; float?: FloatDType }>> = {
  FloatStorage: { dtype: 'F32', bytes: 4, float: 'f32' },
  HalfStorage: { dtype: 'F16', bytes: 2, float: 'f16' },
  BFloat16Storage: { dtype: 'BF16', bytes: 2, float: 'bf16' },
  DoubleStorage: { dtype: 'F64', bytes: 8, float: 'f32' },
  LongStorage: { dtype: 'I64', bytes: 8 },
  IntStorage: { dtype: 'I32', bytes: 4 },
  ShortStorage: { dtype: 'I16', bytes: 2 },
  CharStorage: { dtype: 'I8', bytes: 1 },
  ByteStorage: { dtype: 'U8', bytes: 1 },
  BoolStorage: { dtype: 'BOOL', bytes: 1 },
  ComplexFloatStorage: { dtype: 'C64', bytes: 8 },
};

const maxPickleBytes = 2 ** 24; // a tensor takes some 150 bytes of it
/** Tensors: many times what any model has. One of no elements takes 8 bytes of the file and much more of the memory. */
const maxNames = 100_000;
const resave = (file: string): string =>
  `Convert it once with Python: torch.save(torch.load(${show(file)}, map_location='cpu', weights_only=True), ${show(file)}).`;

/** `file` is the name in the checkpoint's folder. */
export async function openPyTorch(source: ByteSource, file: string, signal?: AbortSignal): Promise<OpenedFile> {
  await checkMagic(source, file, signal);
  const entries = await readZip(source, signal);
  const pickles = [...entries.values()].filter(({ name }) => /^[^/]*\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (!pickle || pickles.length > 1)
    throw malformed(source.name, `PyTorch checkpoint, expected one data.pkl, got ${pickles.length}`);
  if (pickle.size > maxPickleBytes)
    throw malformed(source.name, `data.pkl, expected at most ${maxPickleBytes} bytes, got ${pickle.size}`);
  const prefix = pickle.name.slice(0, -'data.pkl'.length);
  await checkByteOrder(source, entries.get(`${prefix}byteorder`), signal);
  const where = `${source.name}: data.pkl`;
  const stateDict = unpickle(where, await readEntry(source, pickle, signal));
  if (!(stateDict instanceof Dict))
    throw malformed(
      where,
      'state_dict, expected a dict of tensors, got another value',
      'Save model.state_dict() alone.',
    );
  if (stateDict.entries.length > maxNames)
    throw malformed(where, `tensors, expected at most ${maxNames}, got ${stateDict.entries.length}`);
  const tensors = new Map<string, StoredTensor>();
  let totalBytes = 0;
  for (const [name, value] of stateDict.entries) {
    if (typeof name !== 'string') throw malformed(where, 'tensor name, expected text, got another value');
    if (tensors.has(name)) throw malformed(where, `tensor ${show(name)}, expected once, got it twice`);
    const tensor = readTensor(source, file, where, name, value, (key) => entries.get(`${prefix}data/${key}`));
    tensors.set(name, tensor);
    // Views may share bytes or repeat them; without a bound, a few bytes could pose as terabytes.
    totalBytes += tensor.byteLength;
    if (totalBytes > 4 * source.size)
      throw malformed(
        where,
        `tensors, expected at most four times the file's ${source.size} bytes, got more at ${show(name)}`,
      );
  }
  return { source, tensors: [...tensors.values()], metadata: {} };
}

async function checkMagic(source: ByteSource, file: string, signal: AbortSignal | undefined): Promise<void> {
  const head = await source.read(0, Math.min(source.size, 64), signal);
  const text = String.fromCharCode(...head);
  if (text.startsWith('PK')) return;
  // torch.save before 1.6: a pickled magic number first
  if (text.startsWith('\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19'))
    throw malformed(
      source.name,
      'PyTorch checkpoint, expected a zip archive, got the format of PyTorch before 1.6',
      resave(file),
    );
  if (/^[\x80]/.test(text) || text.slice(0, 20).includes('././@LongLink'))
    throw malformed(source.name, 'PyTorch checkpoint, expected a zip archive, got a bare pickle', resave(file));
  const { what, remedy } = mistakenFor(head) ?? { what: 'other bytes', remedy: undefined };
  throw malformed(source.name, `PyTorch checkpoint, expected a zip archive, got ${what}`, remedy);
}

async function checkByteOrder(source: ByteSource, entry: ZipEntry | undefined, signal?: AbortSignal): Promise<void> {
  if (!entry) return; // written only since PyTorch 2.1
  const order =
    entry.size <= 16 ? String.fromCharCode(...(await readEntry(source, entry, signal))) : 'more than a word';
  if (order !== 'little')
    throw malformed(
      source.name,
      `byteorder, expected little, got ${show(order)}`,
      'Save it again on a little-endian machine.',
    );
}

async function readEntry(source: ByteSource, entry: ZipEntry, signal: AbortSignal | undefined): Promise<Uint8Array> {
  return source.read(await entryDataOffset(source, entry, signal), entry.size, signal);
}

function readTensor(
  source: ByteSource,
  file: string,
  where: string,
  name: string,
  value: unknown,
  entryOf: (key: string) => ZipEntry | undefined,
): StoredTensor {
  const at = `${where}: tensor ${show(name)}`;
  const call = value instanceof Call && value.name.endsWith('_rebuild_parameter') ? value.args[0] : value;
  if (!(call instanceof Call) || !call.name.endsWith('_rebuild_tensor_v2'))
    throw malformed(at, 'value, expected a tensor, got another value', 'Save model.state_dict() alone.');
  const [storage, offset, shape, strides] = call.args;
  const { type, entry, count } = readStorage(at, storage, entryOf);
  if (!isSize(offset) || !isSizes(shape) || !isSizes(strides) || shape.length !== strides.length)
    throw malformed(at, 'view, expected offset, shape and strides of non-negative integers, got other values');
  const elements = elementCount(shape);
  if (elements === undefined || !Number.isSafeInteger(elements * type.bytes))
    throw malformed(at, `shape, expected fewer than 2^53 elements, got ${show(shape)}`);
  const last =
    elements === 0 ? offset - 1 : shape.reduce((sum, size, i) => sum + (size - 1) * (strides[i] as number), offset);
  if (!(last < count) || offset > count)
    throw malformed(
      at,
      `view, expected within the ${count} elements of its storage, got element ${last} for shape ${show(shape)}`,
    );
  const view = { offset, shape, strides, bytesPerElement: type.bytes };
  const contiguous = isContiguous(view);
  const { columns } = asMatrix(shape);
  let dataOffset: number | undefined;
  return {
    name,
    dtype: type.dtype,
    floatDType: type.float ?? 'f32',
    shape,
    file,
    byteLength: elements * type.bytes,
    async read(firstRow, rowCount, signal) {
      if (!type.float)
        throw new RelufyError(
          'checkpoint',
          `${at}: dtype, expected F32, BF16, F16 or F64, got ${type.dtype}. Convert the checkpoint to one of these.`,
        );
      dataOffset ??= await entryDataOffset(source, entry, signal);
      const start = dataOffset;
      const read = (index: number, length: number): Promise<Uint8Array> =>
        source.read(start + index * type.bytes, length * type.bytes, signal);
      const data = contiguous
        ? await read(offset + firstRow * columns, rowCount * columns)
        : await gatherRows(view, firstRow, rowCount, read);
      return { dtype: type.float, data: type.dtype === 'F64' ? narrowF64(data) : data };
    },
  };
}

function readStorage(at: string, value: unknown, entryOf: (key: string) => ZipEntry | undefined) {
  const id = value instanceof Persistent && Array.isArray(value.id) ? (value.id as unknown[]) : [];
  const [kind, global, key, , count] = id;
  const typeName = global instanceof Global ? global.name.slice(global.name.lastIndexOf('.') + 1) : '';
  if (kind !== 'storage' || typeof key !== 'string' || !isSize(count))
    throw malformed(at, 'storage, expected its type, key and size, got other values');
  const type = Object.hasOwn(storages, typeName) ? storages[typeName] : undefined;
  if (!type) throw malformed(at, `storage, expected one of ${Object.keys(storages).join(', ')}, got ${show(typeName)}`);
  const entry = entryOf(key);
  if (!entry)
    throw malformed(
      at,
      `storage ${show(key)}, expected in the archive, got none`,
      'The file is damaged; download it again.',
    );
  if (entry.size !== count * type.bytes)
    throw malformed(at, `storage ${show(key)}, expected ${count * type.bytes} bytes, got ${entry.size}`);
  return { type, entry, count };
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= 64 && value.every(isSize);
