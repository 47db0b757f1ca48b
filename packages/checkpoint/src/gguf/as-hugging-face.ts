// A GGUF seen as a Hugging Face checkpoint: config.json from its metadata, tensors by their Hugging Face names with
// their rows in Hugging Face's order.
// Owns: applying what an architecture's data says. Does not own: that data (architecture.ts), the tokenizer.
import { type BlockDType, blockRowBytes, bytesPerElement, checkValue, show, widen } from '@relufy/tensor';
import type { ModelFiles } from '../byte-source.js';
import {
  asMatrix,
  type Checkpoint,
  joinFiles,
  type OpenedFile,
  type StoredBlocks,
  type StoredTensor,
} from '../checkpoint.js';
import { gather } from '../gather.js';
import { malformed } from '../malformed.js';
import { closeAll } from '../sharded.js';
import { type Architecture, architectureOf, type JsonObject, type RowOrder, type TensorFacts } from './architecture.js';
import { dequantize } from './dequantize.js';
import { GgufConfig } from './gguf-config.js';
import { GgufFields, type GgufMetadata } from './metadata.js';
import { configKey, laidOver } from './own-keys.js';
import { ggufPath, type OpenedGguf, openGgufFiles } from './read.js';

const maxDescribedBytes = 2 ** 20;

/**
 * A config.json object from GGUF metadata. Without `tensors` (a file that holds a vocabulary only) what only tensors
 * tell, such as tied embeddings, is the architecture's usual value.
 */
export function ggufToConfig(metadata: GgufMetadata, tensors?: TensorFacts, where = 'GGUF'): JsonObject {
  checkValue('ggufToConfig: metadata', metadata, { expected: 'a Map', fits: (value) => value instanceof Map });
  const fields = new GgufFields(where, metadata);
  const config = architectureOf(fields).config(fields, tensors);
  const added = {
    bos_token_id: fields.size('tokenizer.ggml.bos_token_id'),
    eos_token_id: fields.size('tokenizer.ggml.eos_token_id'),
    pad_token_id: fields.size('tokenizer.ggml.padding_token_id'),
  };
  return laidOver(fields, configKey, { ...defined(config), ...defined(added) });
}

/** [GGUF name, Hugging Face name] of every tensor an architecture may have; `{n}` stands for the block's number. */
export function ggufTensorNames(
  architecture: string,
  tensors: TensorFacts = noTensors,
): readonly (readonly [gguf: string, huggingFace: string])[] {
  return architectureOf(new GgufFields('GGUF', new Map([['general.architecture', architecture]]))).names(tensors);
}

const noTensors: TensorFacts = { has: () => false, rows: () => undefined, values: () => undefined };

const defined = (object: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/** What the tensors of an open GGUF say about the model. */
export async function tensorFacts(
  opened: OpenedGguf,
  where: string,
  signal?: AbortSignal,
): Promise<TensorFacts | undefined> {
  const tensors = new Map(opened.files.flatMap((file) => file.tensors.map((tensor) => [tensor.name, tensor] as const)));
  if (tensors.size === 0) return undefined;
  const values = new Map<string, Float32Array>();
  for (const name of architectureOf(new GgufFields(where, opened.metadata)).described) {
    const tensor = tensors.get(name);
    if (!tensor) continue;
    if (tensor.byteLength > maxDescribedBytes)
      throw malformed(
        `${where}: tensor ${show(name)}`,
        `size, expected at most ${maxDescribedBytes} bytes, got ${tensor.byteLength}`,
      );
    const { dtype, data } = await tensor.read(0, asMatrix(tensor.shape).rows, signal);
    values.set(name, dequantize(dtype.toUpperCase(), data));
  }
  return {
    has: (name) => tensors.has(name),
    rows: (name) => tensors.get(name)?.shape[0],
    values: (name) => values.get(name),
  };
}

/** Opens a GGUF as a Hugging Face checkpoint. */
export async function openGgufAsHuggingFace(
  files: ModelFiles,
  file: string,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const opened = await openGgufFiles(files, file, signal);
  try {
    const where = ggufPath(files, file);
    const fields = new GgufFields(where, opened.metadata);
    const architecture = architectureOf(fields);
    const facts = (await tensorFacts(opened, where, signal)) ?? noTensors;
    const reader = new GgufConfig(where, ggufToConfig(opened.metadata, facts, where));
    const rename = renamer(architecture.names(facts));
    const mapped = opened.files.map((part): OpenedFile => {
      const weights = part.tensors.filter(({ name }) => !architecture.described.includes(name));
      return { ...part, tensors: weights.map((tensor) => mapTensor(where, tensor, rename, architecture, reader)) };
    });
    return { ...joinFiles('gguf', files.name, mapped), ggufMetadata: opened.metadata };
  } catch (error) {
    await closeAll(opened.files);
    throw error;
  }
}

function renamer(names: readonly (readonly [string, string])[]): (name: string) => string | undefined {
  const map = new Map(names);
  return (name) => {
    const block = /^blk\.(0|[1-9]\d{0,5})\./.exec(name);
    const pattern = block ? `blk.{n}.${name.slice(block[0].length)}` : name;
    return map.get(pattern)?.replace('{n}', block?.[1] ?? '');
  };
}

function mapTensor(
  where: string,
  tensor: StoredTensor,
  rename: (name: string) => string | undefined,
  architecture: Architecture,
  reader: GgufConfig,
): StoredTensor {
  const name = rename(tensor.name);
  if (name === undefined)
    throw malformed(
      where,
      `tensor ${show(tensor.name)}, expected one of a ${architecture.name} model, got another`,
      'This variant of the architecture is not supported.',
    );
  const order = architecture.rowOrder(name, reader);
  const renamed = order ? reordered({ ...tensor, name }, order, where) : { ...tensor, name };
  const plus = architecture.storedPlus?.(name) ?? 0;
  return plus === 0 ? renamed : lessened(renamed, plus);
}

/** The tensor with a number taken from each of its values. */
function lessened(tensor: StoredTensor, less: number): StoredTensor {
  const { blocks: _blocks, ...others } = tensor;
  return {
    ...others,
    floatDType: 'f32',
    async read(firstRow, rowCount, signal) {
      const { dtype, data } = await tensor.read(firstRow, rowCount, signal);
      const values = widen(dtype, data).map((value) => value - less);
      return { dtype: 'f32', data: new Uint8Array(values.buffer) };
    },
  };
}

/** The tensor with its rows (of a vector: its elements) in another order. */
function reordered(tensor: StoredTensor, order: RowOrder, where: string): StoredTensor {
  const { shape, floatDType } = tensor;
  if (shape.length === 0 || shape.length > 2 || shape[0] !== order.rows)
    throw malformed(
      `${where}: tensor ${show(tensor.name)}`,
      `shape, expected ${order.rows} rows as the metadata says, got ${show(shape)}`,
    );
  const columns = shape[1] ?? 1;
  const size = columns * bytesPerElement[floatDType];
  const stored = (firstRow: number, rowCount: number): Float64Array =>
    Float64Array.from({ length: rowCount }, (_, i) => order.toStored(firstRow + i));
  const { blocks } = tensor;
  const readBlocks = (dtype: BlockDType, firstRow: number, rowCount: number, signal?: AbortSignal) =>
    gather(stored(firstRow, rowCount), 1, 1, blockRowBytes(dtype, columns), (row, rows) =>
      (blocks as StoredBlocks).read(dtype, row, rows, signal),
    );
  return {
    ...tensor,
    ...(blocks && { blocks: { ...blocks, read: readBlocks } }),
    async read(firstRow, rowCount, signal) {
      if (rowCount === 0) return tensor.read(0, 0, signal);
      const vector = shape.length === 1 ? await tensor.read(0, 1, signal) : undefined;
      const first = vector ? 0 : firstRow;
      const count = vector ? order.rows : rowCount;
      const data = await gather(stored(first, count), 1, 1, size, async (index, rows) =>
        vector
          ? vector.data.subarray(index * size, (index + rows) * size)
          : (await tensor.read(index, rows, signal)).data,
      );
      return { dtype: floatDType, data };
    },
  };
}
