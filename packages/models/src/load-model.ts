// From a model's files to a Model: config, spec, backend, memory, weights, tokenizer, in that order, so that whatever
// can be refused is refused before anything large is allocated.
// Does not own finding the files (index.ts and node.ts turn a source into ModelFiles).
import { type Checkpoint, type ModelFiles, openCheckpoint } from '@relufy/checkpoint';
import { type Backend, createReferenceBackend, type DType, RelufyError, show } from '@relufy/tensor';
import { createTokenizer, type Tokenizer } from '@relufy/tokenizer';
import { buildDecoder } from './decoder.js';
import { ConfigReader, isObject } from './families/config-reader.js';
import { type ParsedConfig, parseConfig, tokenIds } from './families/index.js';
import { locateWeights, type WeightSources } from './load-weights.js';
import { Model } from './model.js';
import { locatePacked } from './packed.js';
import { alibiTable, ropeTable } from './positions.js';
import { SlotCache } from './slots.js';
import { isReluLike, type ModelSpec, type RelufyOptions, relufy } from './spec.js';

/** What loading tells about its progress, in the shape that transformers.js uses. */
export type ProgressEvent =
  | { readonly status: 'initiate' | 'done'; readonly name: string; readonly file: string }
  | {
      readonly status: 'progress';
      readonly name: string;
      readonly file: string;
      readonly loaded: number;
      readonly total: number;
      /** 0 to 100. */
      readonly progress: number;
    }
  | { readonly status: 'ready'; readonly name: string };

export interface LoadOptions {
  /** `auto`: the fastest there is. `reference`: slow, the definition of every op. Or a backend of your own. */
  readonly backend?: 'auto' | 'wasm' | 'reference' | Backend;
  /**
   * Format of the weights in memory. `auto`: as stored (f16 becomes f32). `int8` and `int4` quantise while loading, in
   * blocks of 32; norms and biases stay f32.
   */
  readonly dtype?: 'auto' | WeightDType;
  /** Default: the number of physical cores. */
  readonly threads?: number;
  /** `exact` (default where the activation gives zeros) skips weights behind zeros; `dense` reads all: the same bits. */
  readonly sparsity?: 'exact' | 'dense';
  /** Reads the checkpoint as a ReLU model. The weights are untouched, so quality needs fine-tuning afterwards. */
  readonly relufy?: RelufyOptions;
  /** Positions of the KV cache. Default: the model's limit, at most 4096. */
  readonly contextLength?: number;
  readonly onProgress?: (event: ProgressEvent) => void;
  readonly signal?: AbortSignal;
}

export type WeightDType = 'f32' | 'bf16' | 'int8' | 'int4';

const weightDTypes: readonly string[] = ['f32', 'bf16', 'int8', 'int4'] satisfies WeightDType[];

const optionNames: ReadonlySet<string> = new Set<keyof LoadOptions>([
  'backend',
  'dtype',
  'threads',
  'sparsity',
  'relufy',
  'contextLength',
  'onProgress',
  'signal',
]);

/** Tokens in one step of a prefill: enough for the tiled product, few enough to stay in the caches. */
const maxRows = 128;
/** Logits of one step: at most 64 MiB. */
const maxLogits = 1 << 24;

export async function loadModelFiles(files: ModelFiles, options: LoadOptions = {}): Promise<Model> {
  checkOptions(options);
  const { signal } = options;
  signal?.throwIfAborted();
  const config = parseConfig(await readJson(files, 'config.json', signal));
  const spec = options.relufy === undefined ? config.spec : relufy(config.spec, options.relufy);
  const contextLength = contextOf(spec, options.contextLength);
  const eosTokenIds = await readEosTokenIds(files, config, signal);
  const tokenizer = await readTokenizer(files, signal);
  const checkpoint = await openCheckpoint(files, signal);
  try {
    const sources =
      locatePacked(files.name, checkpoint) ??
      locateWeights(files.name, config.family, config.family.weights(spec), checkpoint);
    const given = typeof options.backend === 'object' ? options.backend : undefined;
    const backend = given ?? (await createBackend(options));
    try {
      return await assemble({
        files,
        options,
        config,
        spec,
        contextLength,
        eosTokenIds,
        tokenizer,
        checkpoint,
        sources,
        backend,
      });
    } catch (error) {
      if (!given) await backend.dispose();
      throw error;
    }
  } finally {
    await checkpoint.close();
  }
}

interface Assembly {
  readonly files: ModelFiles;
  readonly options: LoadOptions;
  readonly config: ParsedConfig;
  readonly spec: ModelSpec;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  readonly tokenizer: Tokenizer | undefined;
  readonly checkpoint: Checkpoint;
  readonly sources: WeightSources;
  readonly backend: Backend;
}

async function assemble(assembly: Assembly): Promise<Model> {
  const { files, options, config, spec, contextLength, sources, backend } = assembly;
  const limits = {
    maxRows: Math.min(maxRows, contextLength),
    maxOutputs: Math.max(1, Math.min(maxRows, contextLength, Math.floor(maxLogits / spec.vocabSize))),
  };
  const slots = 1;
  const matrixDType = (buffer: string): DType =>
    options.dtype === undefined || options.dtype === 'auto' ? sources.storedDType(buffer) : options.dtype;
  if (options.dtype && options.dtype !== 'auto' && !backend.weightDTypes.includes(options.dtype))
    throw new RelufyError(
      'option',
      `loadModel option "dtype": expected ${backend.weightDTypes.join(', ')} for the ${backend.name} backend, got ${show(options.dtype)}.`,
    );
  const decoder = buildDecoder(spec, { limits, slots, contextLength, matrixDType });
  const session = await backend.createSession(decoder.buffers, limits);
  try {
    await sources.load({
      name: files.name,
      session,
      buffers: decoder.buffers,
      signal: options.signal,
      onBytes: progressOf(files.name, assembly.checkpoint, options.onProgress),
    });
    const { positions } = spec;
    if (positions.kind === 'rope') session.view('ropeTable').set(ropeTable(positions, contextLength));
    if (positions.kind === 'alibi')
      session.view('alibi').set(alibiTable(positions, spec.attention.numAttentionHeads, contextLength));
    const model = new Model({
      name: files.name,
      modelType: config.modelType,
      spec,
      tokenizer: assembly.tokenizer,
      eosTokenIds: assembly.eosTokenIds,
      backend,
      ownsBackend: typeof options.backend !== 'object',
      session,
      decoder,
      limits,
      cache: new SlotCache(slots, contextLength),
      sparsity: options.sparsity ?? (isReluLike(spec.ffn.activation) || spec.norm.relu ? 'exact' : 'dense'),
    });
    options.onProgress?.({ status: 'ready', name: files.name });
    return model;
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

function checkOptions(options: LoadOptions): void {
  const fail = (key: string, expected: string, got: unknown): never => {
    throw new RelufyError('option', `loadModel option "${key}": expected ${expected}, got ${show(got)}.`);
  };
  for (const key of Object.keys(options))
    if (!optionNames.has(key))
      throw new RelufyError(
        'option',
        `loadModel option "${key}": unknown. Expected one of ${[...optionNames].join(', ')}.`,
      );
  const { backend, dtype, threads, sparsity, contextLength } = options;
  if (backend !== undefined && typeof backend !== 'object' && !['auto', 'wasm', 'reference'].includes(backend))
    fail('backend', 'auto, wasm, reference or a backend', backend);
  if (dtype !== undefined && dtype !== 'auto' && !weightDTypes.includes(dtype))
    fail('dtype', `auto, ${weightDTypes.join(', ')}`, dtype);
  if (sparsity !== undefined && !['exact', 'dense'].includes(sparsity)) fail('sparsity', 'exact or dense', sparsity);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 256))
    fail('threads', 'a whole number from 1 to 256', threads);
  if (contextLength !== undefined && !(Number.isInteger(contextLength) && contextLength >= 1))
    fail('contextLength', 'a whole number >= 1', contextLength);
}

function contextOf(spec: ModelSpec, asked: number | undefined): number {
  const limit = spec.maxPositionEmbeddings;
  if (asked !== undefined && asked > limit)
    throw new RelufyError(
      'option',
      `loadModel option "contextLength": expected at most ${limit} (the model's max_position_embeddings), got ${asked}.`,
    );
  return asked ?? Math.min(limit, 4096);
}

async function createBackend({ backend, threads }: LoadOptions): Promise<Backend> {
  if (backend === 'reference') return createReferenceBackend();
  const { createWasmBackend } = await import('@relufy/kernels');
  return createWasmBackend(threads === undefined ? {} : { threads });
}

async function readJson(files: ModelFiles, file: string, signal?: AbortSignal): Promise<unknown> {
  const text = await files.readText(file, { limitBytes: 16 << 20, signal });
  if (text === undefined)
    throw new RelufyError(
      'io',
      `${files.name}: expected a ${file}, found none. Name the folder of a model in Hugging Face layout.`,
    );
  return parseJson(files.name, file, text);
}

function parseJson(name: string, file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RelufyError(
      'config',
      `${name} ${file}: expected JSON, got ${show(text.slice(0, 40))}. Download it again.`,
      {
        cause: error,
      },
    );
  }
}

/** generation_config.json says better than config.json what ends an answer. */
async function readEosTokenIds(
  files: ModelFiles,
  config: ParsedConfig,
  signal?: AbortSignal,
): Promise<readonly number[]> {
  const file = 'generation_config.json';
  const text = await files.readText(file, { limitBytes: 1 << 20, signal });
  if (text === undefined) return config.eosTokenIds;
  const generation = parseJson(files.name, file, text);
  if (!isObject(generation))
    throw new RelufyError('config', `${files.name} ${file}: expected an object, got ${show(generation)}.`);
  const ids = tokenIds(new ConfigReader('generation', generation), 'eos_token_id', config.spec.vocabSize);
  return ids.length > 0 ? ids : config.eosTokenIds;
}

/** undefined when the folder has no tokenizer: such a model runs on token ids. */
async function readTokenizer(files: ModelFiles, signal?: AbortSignal): Promise<Tokenizer | undefined> {
  const read = (file: string) => files.readText(file, { signal });
  const [tokenizerJson, vocabJson, mergesTxt] = await Promise.all([
    read('tokenizer.json'),
    read('vocab.json'),
    read('merges.txt'),
  ]);
  if (tokenizerJson === undefined && (vocabJson === undefined || mergesTxt === undefined)) return undefined;
  const [tokenizerConfig, specialTokensMap, chatTemplateJinja] = await Promise.all([
    read('tokenizer_config.json'),
    read('special_tokens_map.json'),
    read('chat_template.jinja'),
  ]);
  const present = { tokenizerJson, vocabJson, mergesTxt, tokenizerConfig, specialTokensMap, chatTemplateJinja };
  return createTokenizer({
    name: files.name,
    ...Object.fromEntries(Object.entries(present).filter(([, text]) => text !== undefined)),
  });
}

/** Turns bytes as they come into events: a file's beginning, its progress in steps of a percent, its end. */
function progressOf(
  name: string,
  checkpoint: Checkpoint,
  onProgress: LoadOptions['onProgress'],
): ((file: string, bytes: number) => void) | undefined {
  if (onProgress === undefined) return undefined;
  const totals = new Map<string, number>();
  for (const { file, byteLength } of checkpoint.tensors.values())
    totals.set(file, (totals.get(file) ?? 0) + byteLength);
  const loaded = new Map<string, number>();
  return (file, bytes) => {
    const total = totals.get(file) as number;
    const before = loaded.get(file) ?? 0;
    const now = Math.min(total, before + bytes);
    loaded.set(file, now);
    if (before === 0) onProgress({ status: 'initiate', name, file });
    if (before === 0 || Math.floor((100 * now) / total) > Math.floor((100 * before) / total))
      onProgress({ status: 'progress', name, file, loaded: now, total, progress: (100 * now) / total });
    if (now === total && before < total) onProgress({ status: 'done', name, file });
  };
}
