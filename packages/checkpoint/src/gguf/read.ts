// Opens GGUF files as they are: GGML's tensor names, shapes in PyTorch's order, rows dequantised on the way out.
// Owns: single files, split files (`NAME-00001-of-00003.gguf`), finding the GGUF in a folder.
// Does not own: the header (header.ts), Hugging Face's names and row order (as-hugging-face.ts).
import { aText, checkValue, type FloatDType, RelufyError, show, showNames } from '@relufy/tensor';
import { checkModelFiles } from '../arguments.js';
import type { ByteSource, ModelFiles } from '../byte-source.js';
import { asMatrix, type Checkpoint, joinFiles, type OpenedFile, type StoredTensor } from '../checkpoint.js';
import { malformed } from '../malformed.js';
import { closeAll, openAll } from '../sharded.js';
import { dequantize, readableTypes } from './dequantize.js';
import { type GgufTensor, readGgufHeader } from './header.js';
import { blockDTypeOf, keepBlocks, keepsBlocks } from './keep-blocks.js';
import { GgufFields, type GgufMetadata } from './metadata.js';

export interface OpenedGguf {
  readonly files: readonly OpenedFile[];
  /** Of the first part, where the model is described. */
  readonly metadata: GgufMetadata;
}

/** How errors call a file: a path or URL of the file itself is its own name. */
export const ggufPath = (files: ModelFiles, file: string): string =>
  files.name.endsWith(file) ? files.name : `${files.name}/${file}`;

/** The name of the GGUF in a folder, or undefined; several that are not parts of one are an error. */
export async function findGguf(files: ModelFiles, signal?: AbortSignal): Promise<string | undefined> {
  const names = ((await files.list?.(signal)) ?? []).filter((name) => name.endsWith('.gguf') && !/^mmproj/.test(name));
  const whole = names.filter((name) => (splitName(name)?.part ?? 1) === 1);
  if (whole.length <= 1) return whole[0] ?? names[0];
  throw new RelufyError(
    'option',
    `${files.name}: model, expected one GGUF file, got ${whole.length} (${showNames(whole)}). Name the file itself instead of its folder.`,
  );
}

/** Opens a GGUF with the names that it has; reads headers only. `file` defaults to the one GGUF of the folder. */
export async function openGguf(
  files: ModelFiles,
  file?: string,
  signal?: AbortSignal,
): Promise<Checkpoint & { readonly ggufMetadata: GgufMetadata }> {
  checkModelFiles('openGguf', files);
  if (file !== undefined) checkValue('openGguf: file', file, aText);
  const name = file ?? (await findGguf(files, signal));
  if (name === undefined) throw malformed(files.name, 'model, expected a GGUF file, got none', 'Name a GGUF file.');
  const opened = await openGgufFiles(files, name, signal);
  try {
    return { ...joinFiles('gguf', files.name, opened.files), ggufMetadata: opened.metadata };
  } catch (error) {
    await closeAll(opened.files);
    throw error;
  }
}

/** The parts of a GGUF, each open. */
export async function openGgufFiles(files: ModelFiles, file: string, signal?: AbortSignal): Promise<OpenedGguf> {
  const metadata = new Map<string, GgufMetadata>();
  const open = async (source: ByteSource, name: string, abort?: AbortSignal): Promise<OpenedFile> => {
    const header = await readGgufHeader(source, abort);
    metadata.set(name, header.metadata);
    return {
      source,
      tensors: header.tensors.map((tensor) => storedTensor(source, name, tensor)),
      metadata: texts(header.metadata),
    };
  };
  const missing = (name: string): Error =>
    malformed(
      files.name,
      `part ${show(name)}, expected beside the others, got no such file`,
      'Download the missing part.',
    );
  const names = partNames(file);
  const opened = await openAll(files, names, open, signal, missing);
  try {
    names.forEach((name, part) => {
      checkPart(ggufPath(files, name), metadata.get(name) as GgufMetadata, part, names.length);
    });
    checkTensorCount(files.name, metadata.get(names[0] as string) as GgufMetadata, [...opened.values()]);
    return { files: [...opened.values()], metadata: metadata.get(names[0] as string) as GgufMetadata };
  } catch (error) {
    await closeAll(opened.values());
    throw error;
  }
}

function splitName(file: string): { stem: string; part: number; count: number } | undefined {
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/.exec(file);
  // "of 00000" is a name like any other
  return match && Number(match[3]) > 0
    ? { stem: match[1] as string, part: Number(match[2]), count: Number(match[3]) }
    : undefined;
}

function partNames(file: string): string[] {
  const split = splitName(file);
  if (!split) return [file];
  const digits = (value: number): string => String(value).padStart(5, '0');
  return Array.from({ length: split.count }, (_, i) => `${split.stem}-${digits(i + 1)}-of-${digits(split.count)}.gguf`);
}

function checkPart(where: string, metadata: GgufMetadata, part: number, count: number): void {
  const fields = new GgufFields(where, metadata);
  const parts = fields.size('split.count') ?? 0;
  const number = fields.size('split.no') ?? 0;
  if (count === 1 ? parts > 1 : parts !== count || number !== part)
    throw malformed(
      where,
      `part, expected number ${part + 1} of ${count} by its name, got number ${number + 1} of ${parts} by its metadata`,
      'Give split files the names NAME-00001-of-0000N.gguf that they were made with.',
    );
}

function checkTensorCount(where: string, metadata: GgufMetadata, files: readonly OpenedFile[]): void {
  const expected = new GgufFields(where, metadata).size('split.tensors.count');
  const got = files.reduce((sum, { tensors }) => sum + tensors.length, 0);
  if (expected !== undefined && expected !== got)
    throw malformed(where, `tensors, expected ${expected} in all parts, got ${got}`);
}

/** The metadata that a `Checkpoint` shows: short texts and numbers. */
function texts(metadata: GgufMetadata): Record<string, string> {
  const short = [...metadata].filter(([, value]) => typeof value !== 'object' && String(value).length <= 1000);
  return Object.fromEntries(short.map(([key, value]) => [key, String(value)]));
}

function storedTensor(source: ByteSource, file: string, tensor: GgufTensor): StoredTensor {
  const { name, format, shape, offset, byteLength } = tensor;
  const { columns } = asMatrix(shape);
  const rowBytes = (columns / format.elements) * format.bytes;
  const floatDType: FloatDType = format.name === 'F16' ? 'f16' : format.name === 'BF16' ? 'bf16' : 'f32';
  const plain = format.name === 'F32' || floatDType !== 'f32';
  const readBytes = (firstRow: number, rowCount: number, signal?: AbortSignal): Promise<Uint8Array> =>
    source.read(offset + firstRow * rowBytes, rowCount * rowBytes, signal);
  const blockDType = blockDTypeOf(format.name);
  return {
    name,
    dtype: format.name,
    floatDType,
    ...(blockDType && { blockDType }),
    shape,
    file,
    byteLength,
    blocks: {
      keptBy: (dtype) => keepsBlocks(format.name, dtype),
      read: async (dtype, firstRow, rowCount, signal) =>
        keepBlocks(format.name, dtype, await readBytes(firstRow, rowCount, signal), columns),
    },
    async read(firstRow, rowCount, signal) {
      if (!readableTypes.includes(format.name))
        throw new RelufyError(
          'checkpoint',
          `${source.name}: tensor ${show(name)}: type, expected one of ${readableTypes.join(', ')}, got ${format.name}. Take the model in another quantisation, for example Q4_K_M or Q8_0.`,
        );
      const bytes = await readBytes(firstRow, rowCount, signal);
      if (plain) return { dtype: floatDType, data: bytes };
      return { dtype: floatDType, data: new Uint8Array(dequantize(format.name, bytes).buffer) };
    },
  };
}
