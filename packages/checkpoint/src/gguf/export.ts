// A model in Hugging Face layout -> GGUF, as llama.cpp reads it: names, row order, metadata, tokenizer.
// What GGUF has no key for (an activation other than the architecture's own, a shift) goes into `relufy.config`, so that
// reading the file back gives the same config.json; llama.cpp does not know it and would run such a model wrongly.
// Owns: which tensor gets which type, streaming. Does not own: an architecture's facts, the file's layout (write.ts).
import { show, widen } from '@relufy/tensor';
import type { ModelFiles } from '../byte-source.js';
import { asMatrix, type Checkpoint, type TensorInfo } from '../checkpoint.js';
import { gather } from '../gather.js';
import { malformed } from '../malformed.js';
import { openCheckpoint } from '../open.js';
import {
  type Architecture,
  architectureFor,
  type ConfigReader,
  type GgufField,
  type JsonObject,
  type RowOrder,
  type TensorFacts,
} from './architecture.js';
import { ggufToConfig } from './as-hugging-face.js';
import { configReader, parseObject } from './config-reader.js';
import { tokenizerFields } from './export-tokenizer.js';
import type { GgufValue } from './metadata.js';
import { configKey } from './own-keys.js';
import type { WritableType } from './quantize.js';
import { ropeFrequencyTensor } from './rope-scaling.js';
import { asRead, byteLengthOf, encodeGguf, type GgufTensorToWrite } from './write.js';

export interface GgufExportOptions {
  readonly type: 'f32' | 'f16' | 'q8_0' | 'q4_0';
  /** Laid over the model's config.json: what was changed since, for example `{ hidden_act: 'relu' }`. */
  readonly config?: Readonly<JsonObject>;
  /** `general.name` */
  readonly name?: string;
  readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
  readonly signal?: AbortSignal | undefined;
}

/** `general.file_type` as llama.cpp numbers them. */
const fileTypes = { f32: 0, f16: 1, q4_0: 2, q8_0: 7 } as const;

/** Values of config.json that say nothing about the model. */
const bookkeeping =
  /^(_|torch_dtype$|dtype$|transformers_version$|use_cache$|initializer_range$|architectures$|bos_token_id$|eos_token_id$|pad_token_id$|pretraining_tp$|rope_parameters$)|dropout$/;
const pieceBytes = 2 ** 22;

/** The bytes of the GGUF, piece by piece; memory used: a few megabytes of rows. */
export async function* streamGguf(
  files: ModelFiles,
  options: GgufExportOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const where = `${files.name}/config.json`;
  const text = await files.readText('config.json', { signal: options.signal });
  if (text === undefined)
    throw malformed(files.name, 'config.json, expected in the folder, got none', 'Name a folder that holds a model.');
  const config = { ...parseObject(where, text), ...options.config };
  const architecture = architectureFor(where, config.model_type);
  const reader = configReader(where, config);
  const described = architecture.fields(reader);
  const checkpoint = await openCheckpoint(files, options.signal);
  try {
    const tensors = planTensors(checkpoint, architecture, reader, options);
    const fields = await planFields(files, architecture.name, described, reader, tensors, options);
    const total = tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
    let loaded = 0;
    for await (const piece of encodeGguf(fields, tensors)) {
      options.signal?.throwIfAborted();
      yield piece;
      loaded += piece.byteLength;
      options.onProgress?.({ loaded: Math.min(loaded, total), total });
    }
  } finally {
    await checkpoint.close();
  }
}

function planTensors(
  checkpoint: Checkpoint,
  architecture: Architecture,
  reader: ConfigReader,
  options: GgufExportOptions,
): GgufTensorToWrite[] {
  const secondNorm = [...checkpoint.tensors.keys()].some((name) => name.endsWith('.ln_attn.weight'));
  const facts: TensorFacts = {
    has: (name) => secondNorm && name === 'blk.0.attn_norm_2.weight',
    rows: () => undefined,
    values: () => undefined,
  };
  const names = new Map(architecture.names(facts).map(([gguf, huggingFace]) => [huggingFace, gguf]));
  const tensors: GgufTensorToWrite[] = [];
  for (const info of checkpoint.tensors.values()) {
    const huggingFace = ['', 'model.', 'transformer.', 'gpt_neox.']
      .map((prefix) => prefix + info.name)
      .find((name) => names.has(pattern(name)));
    if (/\.(rotary_emb\.inv_freq|masked_bias|attention\.bias)$/.test(info.name)) continue; // buffers, computed anew
    if (huggingFace === undefined)
      throw malformed(
        `tensor ${show(info.name)}`,
        `expected one of a ${architecture.name} model, got another`,
        'This variant cannot be written as GGUF.',
      );
    if (names.get(huggingFace) === 'output.weight' && reader.config.tie_word_embeddings === true) continue;
    const name = (names.get(pattern(huggingFace)) as string).replace('{n}', blockOf(huggingFace) ?? '');
    const order = architecture.rowOrder(huggingFace, reader);
    if (order && info.shape[0] !== order.rows)
      throw malformed(
        `tensor ${show(info.name)}`,
        `shape, expected ${order.rows} rows as the config says, got ${show(info.shape)}`,
      );
    const type = typeFor(name, info, options.type);
    const plus = architecture.storedPlus?.(huggingFace) ?? 0;
    const values = () => readValues(checkpoint, info, order, options.signal);
    tensors.push({
      name,
      where: `tensor ${show(info.name)}`,
      type,
      shape: info.shape,
      values: plus === 0 ? values : () => increased(values(), plus),
    });
  }
  const frequencies = ropeFrequencyTensor(reader.config);
  if (frequencies)
    tensors.push({
      name: frequencies.name,
      where: 'config.json rope_scaling',
      type: 'F32',
      shape: [frequencies.values.length],
      values: async function* () {
        yield frequencies.values;
      },
    });
  checkComplete(tensors, reader, checkpoint);
  const embedding = tensors.find(({ name }) => name === 'token_embd.weight')?.shape;
  const expected = [reader.size('vocab_size'), reader.size('hidden_size')];
  if (String(embedding) !== String(expected))
    throw malformed(
      'checkpoint',
      `shape of the embedding, expected ${show(expected)} as the config says, got ${show(embedding)}`,
    );
  return tensors;
}

const blocks = /^(model\.layers|transformer\.h|gpt_neox\.layers)\.(\d+)\./;
const blockOf = (name: string): string | undefined => blocks.exec(name)?.[2];
const pattern = (name: string): string => name.replace(blocks, '$1.{n}.');

/** Every block must have what the first one has: llama.cpp would only say so when it loads the file. */
function checkComplete(tensors: readonly GgufTensorToWrite[], reader: ConfigReader, checkpoint: Checkpoint): void {
  const names = new Set(tensors.map(({ name }) => name));
  const first = [...names].filter((name) => name.startsWith('blk.0.'));
  const needed = ['token_embd.weight', 'output_norm.weight'];
  for (let n = 0; n < reader.size('num_hidden_layers'); n++)
    needed.push(...first.map((name) => name.replace('blk.0.', `blk.${n}.`)));
  const missing = first.length === 0 ? 'blk.0.attn_norm.weight' : needed.find((name) => !names.has(name));
  if (missing !== undefined)
    throw malformed(
      'checkpoint',
      `tensor for ${show(missing)}, expected among its ${checkpoint.tensors.size} tensors, got none`,
    );
}

/** Vectors stay f32; rows that are no whole blocks become f16; the head of a 4-bit model gets 8 bits. */
function typeFor(name: string, { shape }: TensorInfo, type: GgufExportOptions['type']): WritableType {
  if (type === 'f32' || shape.length < 2) return 'F32';
  if (type === 'f16' || (shape.at(-1) as number) % 32 !== 0) return 'F16';
  return type === 'q8_0' || name === 'output.weight' ? 'Q8_0' : 'Q4_0';
}

async function* increased(pieces: AsyncIterable<Float32Array>, plus: number): AsyncGenerator<Float32Array> {
  for await (const piece of pieces) yield piece.map((value) => value + plus);
}

async function* readValues(
  checkpoint: Checkpoint,
  info: TensorInfo,
  order: RowOrder | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Float32Array> {
  const { rows, columns } = asMatrix(info.shape);
  const read = async (first: number, count: number): Promise<Float32Array> => {
    const { dtype, data } = await checkpoint.readRows(info.name, first, count, signal);
    return widen(dtype, data);
  };
  if (order && info.shape.length === 1) {
    const values = await read(0, 1);
    yield values.map((_, i) => values[order.toHuggingFace(i)] as number);
    return;
  }
  const step = Math.max(1, Math.floor(pieceBytes / (4 * Math.max(1, columns))));
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    if (!order) {
      yield await read(first, count);
      continue;
    }
    const bases = Float64Array.from({ length: count }, (_, i) => order.toHuggingFace(first + i));
    const bytes = await gather(bases, 1, 1, 4 * columns, async (row, n) => new Uint8Array((await read(row, n)).buffer));
    yield new Float32Array(bytes.buffer);
  }
}

async function planFields(
  files: ModelFiles,
  architecture: string,
  described: readonly (readonly [string, GgufField])[],
  reader: ConfigReader,
  tensors: readonly GgufTensorToWrite[],
  options: GgufExportOptions,
): Promise<(readonly [string, GgufField])[]> {
  const fields: (readonly [string, GgufField])[] = [
    ['general.architecture', { type: 'string', value: architecture }],
    [
      'general.name',
      {
        type: 'string',
        value: options.name ?? (files.name.split(/[\\/]/).filter(Boolean).at(-1) || architecture),
      },
    ],
    ['general.file_type', { type: 'uint32', value: fileTypes[options.type] }],
    ['general.quantization_version', { type: 'uint32', value: 2 }],
    ...described,
    ...(await tokenizerFields(files, reader, options.signal)),
  ];
  const ours = notInGguf(fields, tensors, reader.config);
  return ours === undefined ? fields : [...fields, [configKey, { type: 'string', value: ours }]];
}

/** The part of config.json that the fields and tensors do not give back. */
function notInGguf(
  fields: readonly (readonly [string, GgufField])[],
  tensors: readonly GgufTensorToWrite[],
  config: JsonObject,
): string | undefined {
  const metadata = new Map(fields.map(([key, field]): [string, GgufValue] => [key, asRead(field)]));
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const frequencies = ropeFrequencyTensor(config);
  const derived = ggufToConfig(metadata, {
    has: (name) => byName.has(name),
    rows: (name) => byName.get(name)?.shape[0],
    values: (name) => (frequencies?.name === name ? frequencies.values : undefined),
  });
  const lost = Object.entries(config).filter(
    ([key, value]) =>
      !bookkeeping.test(key) &&
      value !== null &&
      value !== undefined &&
      JSON.stringify(derived[key]) !== JSON.stringify(value),
  );
  return lost.length === 0 ? undefined : JSON.stringify(Object.fromEntries(lost));
}
