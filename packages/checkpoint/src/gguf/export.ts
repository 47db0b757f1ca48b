// A model in Hugging Face layout -> GGUF, as llama.cpp reads it: names, row order, metadata, tokenizer.
// What GGUF has no key for (an activation other than the architecture's own, a shift) goes into `relufy.config`, so that
// reading the file back gives the same config.json; llama.cpp does not know it and would run such a model wrongly.
// Owns: which tensor gets which type, whether the head is the embedding, streaming. Does not own: an architecture's facts, the file's layout (write.ts).
import {
  aFunction,
  anObject,
  aSignal,
  aText,
  checkOptions,
  checkValue,
  type OptionRules,
  oneOf,
  show,
  widen,
} from '@relufy/tensor';
import { checkModelFiles } from '../arguments.js';
import type { ModelFiles } from '../byte-source.js';
import { asMatrix, type Checkpoint, type TensorInfo } from '../checkpoint.js';
import { gather } from '../gather.js';
import { malformed } from '../malformed.js';
import { openCheckpoint } from '../open.js';
import { sameTensor } from '../same-tensor.js';
import {
  type Architecture,
  architectureFor,
  type GgufField,
  type JsonObject,
  type RowOrder,
  type TensorFacts,
} from './architecture.js';
import { ggufToConfig } from './as-hugging-face.js';
import { tokenizerFields } from './export-tokenizer.js';
import { GgufConfig, parseObject } from './gguf-config.js';
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

const rules: OptionRules<GgufExportOptions> = {
  type: oneOf('f32', 'f16', 'q8_0', 'q4_0'),
  config: anObject,
  name: aText,
  onProgress: aFunction,
  signal: aSignal,
};

/** Refused at the call: the first piece comes when somebody asks for it. */
export function checkGgufExport(call: string, files: unknown, options: GgufExportOptions): void {
  checkModelFiles(call, files);
  checkOptions(call, options, rules);
  if (options.type === undefined) checkValue(`${call} option "type"`, undefined, rules.type);
}

/** `general.file_type` as llama.cpp numbers them. */
const fileTypes = { f32: 0, f16: 1, q4_0: 2, q8_0: 7 } as const;

/**
 * Values of config.json that say nothing about the model. `dtype` is none of them: the rotary frequencies of a model with
 * a short context are rounded to it.
 */
const bookkeeping =
  /^(_|torch_dtype$|transformers_version$|use_cache$|initializer_range$|architectures$|bos_token_id$|eos_token_id$|pad_token_id$|pretraining_tp$|rope_parameters$)|dropout$/;
const pieceBytes = 2 ** 22;

/** The bytes of the GGUF, piece by piece; memory used: a few megabytes of rows. */
export async function* streamGguf(
  files: ModelFiles,
  options: GgufExportOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkGgufExport('streamGguf', files, options);
  const where = `${files.name}/config.json`;
  const text = await files.readText('config.json', { signal: options.signal });
  if (text === undefined)
    throw malformed(files.name, 'config.json, expected in the folder, got none', 'Name a folder that holds a model.');
  const given = { ...parseObject(where, text), ...options.config };
  const architecture = architectureFor(where, given.model_type);
  const checkpoint = await openCheckpoint(files, options.signal);
  try {
    const head = await headOf(checkpoint, architecture, given, options.signal);
    const differs = head === 'own' && isTied(architecture, given);
    const reader = differs
      ? new GgufConfig(`${where} (with a head that is not its embedding)`, { ...given, tie_word_embeddings: false })
      : new GgufConfig(where, given);
    const described = architecture.fields(reader);
    const tensors = planTensors(checkpoint, architecture, reader, head, options);
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

/** The head is a tensor of its own, or the embedding, or (`only`) the one tensor that serves as both. */
type Head = 'own' | 'tied' | 'only';

const isTied = (architecture: Architecture, config: JsonObject): boolean =>
  (config.tie_word_embeddings ?? architecture.tiedByDefault) === true;

/** What a tied model stores decides, as it does in transformers: either tensor serves as both, two that differ are both used. */
async function headOf(
  checkpoint: Checkpoint,
  architecture: Architecture,
  config: JsonObject,
  signal: AbortSignal | undefined,
): Promise<Head> {
  if (!isTied(architecture, config)) return 'own';
  const names = namesOf(checkpoint, architecture);
  const stored = (gguf: string): TensorInfo | undefined =>
    [...checkpoint.tensors.values()].find(({ name }) => names.get(huggingFaceName(names, name) ?? '') === gguf);
  const [embedding, head] = [stored('token_embd.weight'), stored('output.weight')];
  if (head === undefined) return 'tied';
  if (embedding === undefined) return 'only';
  return (await sameTensor(checkpoint, embedding, head, signal)) ? 'tied' : 'own';
}

/** Hugging Face name -> GGUF name. */
function namesOf(checkpoint: Checkpoint, architecture: Architecture): ReadonlyMap<string, string> {
  const secondNorm = [...checkpoint.tensors.keys()].some((name) => name.endsWith('.ln_attn.weight'));
  const facts: TensorFacts = {
    has: (name) => secondNorm && name === 'blk.0.attn_norm_2.weight',
    rows: () => undefined,
    values: () => undefined,
  };
  return new Map(architecture.names(facts).map(([gguf, huggingFace]) => [huggingFace, gguf]));
}

/** The full name of a tensor whose name may lack the prefix. */
const huggingFaceName = (names: ReadonlyMap<string, string>, name: string): string | undefined =>
  ['', 'model.', 'transformer.', 'gpt_neox.'].map((prefix) => prefix + name).find((full) => names.has(pattern(full)));

function planTensors(
  checkpoint: Checkpoint,
  architecture: Architecture,
  reader: GgufConfig,
  head: Head,
  options: GgufExportOptions,
): GgufTensorToWrite[] {
  const names = namesOf(checkpoint, architecture);
  const tensors: GgufTensorToWrite[] = [];
  for (const info of checkpoint.tensors.values()) {
    const huggingFace = huggingFaceName(names, info.name);
    if (/\.(rotary_emb\.inv_freq|masked_bias|attention\.bias)$/.test(info.name)) continue; // buffers, computed anew
    if (huggingFace === undefined)
      throw malformed(
        `tensor ${show(info.name)}`,
        `expected one of a ${architecture.name} model, got another`,
        'This variant cannot be written as GGUF.',
      );
    const plain = (names.get(pattern(huggingFace)) as string).replace('{n}', blockOf(huggingFace) ?? '');
    if (plain === 'output.weight' && head === 'tied') continue;
    const name = plain === 'output.weight' && head === 'only' ? 'token_embd.weight' : plain;
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
  checkComplete(tensors, reader, head, checkpoint);
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
function checkComplete(
  tensors: readonly GgufTensorToWrite[],
  reader: GgufConfig,
  head: Head,
  checkpoint: Checkpoint,
): void {
  const names = new Set(tensors.map(({ name }) => name));
  const first = [...names].filter((name) => name.startsWith('blk.0.'));
  // without a head llama.cpp would take the embedding
  const needed = ['token_embd.weight', 'output_norm.weight', ...(head === 'own' ? ['output.weight'] : [])];
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
  reader: GgufConfig,
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
      !(key === 'dtype' && value === 'float32') &&
      value !== undefined &&
      JSON.stringify(derived[key]) !== JSON.stringify(value),
  );
  return lost.length === 0 ? undefined : JSON.stringify(Object.fromEntries(lost));
}
