// From a model's files to a Model: config, spec, backend, memory, weights, tokenizer, in that order, so that whatever
// can be refused is refused before anything large is allocated.
// Does not own finding the files (index.ts and node.ts turn a source into ModelFiles).
import type { Checkpoint, ModelFiles } from '@relufy/checkpoint';
import type { HubProgress } from '@relufy/checkpoint/node';
import {
  type Backend,
  createReferenceBackend,
  type HostBackend,
  RelufyError,
  type Session,
  type WeightDType,
} from '@relufy/tensor';
import { createTokenizer, type Tokenizer } from '@relufy/tokenizer';
import type { KvCacheDType } from '../decoder/decoder-buffers.js';
import { alibiTable, ropeTable } from '../decoder/positions.js';
import type { ParsedConfig } from '../families/index.js';
import { readGenerationConfig } from '../generation/generation-config.js';
import { turnEnds } from '../generation/turn-ends.js';
import { Model } from '../model.js';
import { ParkedSlots } from '../running/parked-slots.js';
import { slotLayout } from '../running/slot-layout.js';
import { SlotCache } from '../running/slots.js';
import { fillPartial } from '../sparsity/partial-predictor.js';
import { fillPlan } from '../sparsity/plan-weights.js';
import type { RelufyOptions } from '../sparsity/relufy.js';
import { fillSigns } from '../sparsity/sign-predictor.js';
import { fillTwoBits } from '../sparsity/two-bit-predictor.js';
import { attentionOf } from '../spec.js';
import type { Speculate } from '../speculation/options.js';
import { checkLoadOptions } from './load-options.js';
import type { MemoryBudget } from './memory-budget.js';
import { type ModelPlan, planModel } from './plan-model.js';
import type { ModelSource } from './source.js';

/** What loading tells about its progress, in the shape that transformers.js uses: downloads, then reading. */
export type ProgressEvent = HubProgress | { readonly status: 'ready'; readonly name: string };

/** Where a model's files come from, for sources that are names on the hub or URLs. */
export interface SourceOptions {
  /** A branch, tag or commit of a hub repository. Default: what the id says after "@", else `main`. */
  readonly revision?: string;
  /** A folder within the repository. */
  readonly subfolder?: string;
  /** For gated repositories. Default: HF_TOKEN, or the token of `hf auth login`. `false`: none. */
  readonly token?: string | false;
  /** Default: HF_HUB_CACHE, else the hub folder below HF_HOME. */
  readonly cacheDir?: string;
  /** Ask no server: the cache only. Default: HF_HUB_OFFLINE. */
  readonly localFilesOnly?: boolean;
  readonly onProgress?: (event: ProgressEvent) => void;
  readonly signal?: AbortSignal;
}

export interface LoadOptions extends SourceOptions {
  /**
   * `auto`: native where its binary is there (Node), else WASM. `reference`: slow, the definition of every op. Or a
   * backend of your own.
   */
  readonly backend?: 'auto' | 'native' | 'wasm' | 'reference' | Backend;
  /**
   * Format of the weights in memory. `auto`: as stored (f16 becomes f32; of a GGUF, Q4_0 int4, Q4_1 uint4, what else is
   * quantised int8). `int8`, `int4` and `uint4` (with a minimum a block) quantise while loading, in blocks of 32; norms and biases stay f32.
   */
  readonly dtype?: 'auto' | WeightDType;
  /** Default: the number of physical cores. */
  readonly threads?: number;
  /** `exact` (default where the activation gives zeros) skips weights behind zeros; `dense` reads all: the same bits. */
  readonly sparsity?: 'exact' | 'dense';
  /** Reads the checkpoint as a ReLU model. The weights are untouched, so quality needs fine-tuning afterwards. */
  readonly relufy?: RelufyOptions;
  /**
   * A sparsity plan: thresholds, low-rank products or a predictor by which weights are skipped. It changes answers, so none
   * is taken up unasked, even one that lies beside the model. A path, URL, name on the hub, or an object that opens files.
   */
  readonly plan?: ModelSource;
  /**
   * A sparsity plan by which the model drafts for itself (`generate` with `speculate: 'plan'`). Answers are those of the whole
   * model; weights lie as the plan wants them.
   */
  readonly draftPlan?: ModelSource;
  /** Whether and from what answers draft that do not say so themselves (`generate`). Default: not. */
  readonly speculate?: Speculate;
  /** Positions of the KV cache. Default: the model's limit, at most 4096. */
  readonly contextLength?: number;
  /** Format of the KV cache: f32 (default), or f16 for half the memory at a small loss. */
  readonly kvCache?: KvCacheDType;
  /**
   * Sequences that the KV cache holds at once: generations that share steps, and what `scoreBatch` and `scoreContinuations`
   * score together; who finds none free waits. Default 1. Or as many, up to `most`, as fit in `kvBytes`.
   */
  readonly slots?: number | { readonly most: number; readonly kvBytes: number };
  /**
   * Calls may ask for `reuse` of neurons, or draft by it: each slot then has marks, 4 bytes x neurons x layers. Default: where
   * the plan reuses neurons, or `speculate` is set here.
   */
  readonly reuse?: boolean;
  /**
   * The most memory that weights, KV cache and activations may take: bytes, or a text such as `600MB`. Where that is not
   * enough for all of the weights, the rows of FFN neurons stay in the model's file, and steps read those that they need and
   * that are not among the latest ones; the bits are the same. It takes a converted model on a disk of this machine, whose
   * neurons can be skipped (a ReLU, or a plan), and the file must not change.
   */
  readonly memoryBudget?: MemoryBudget;
  /**
   * With a memoryBudget: a neuron whose rows would have to be read counts only where its activation exceeds this share of what
   * active ones of its layer have on average, so that fewer are read. It changes answers, and they depend on what was asked before;
   * 0.2 leaves out few, 1 about half of those that are not in memory. Default 0: every active neuron counts.
   */
  readonly favourHeld?: number;
  /**
   * Bytes for conversations that wait for their turn: who comes back finds what was computed for it, until others need
   * the room. 0: none. Default: 256 MiB, or a quarter of what the model takes where that is more; none with a memoryBudget.
   */
  readonly waitingBytes?: number;
}

/** The same with a plan that is open. */
export type LoadFilesOptions = Omit<LoadOptions, 'plan' | 'draftPlan'> & {
  readonly plan?: ModelFiles;
  readonly draftPlan?: ModelFiles;
};

const usualWaitingBytes = 256 << 20;

/** Makes the backend that the options ask for; what `auto` takes depends on where it runs. */
export type CreateBackend = (options: LoadOptions) => Promise<{ backend: HostBackend; description: string }>;

export async function loadModelFiles(
  files: ModelFiles,
  options: LoadFilesOptions = {},
  createBackend: CreateBackend = createPortableBackend,
): Promise<Model> {
  checkLoadOptions('loadModel', options);
  const { signal } = options;
  signal?.throwIfAborted();
  const given = typeof options.backend === 'object' ? options.backend : undefined;
  const start = async () => (given ? { backend: given, description: given.description } : await createBackend(options));
  // a budget counts what the backend takes itself; without one, no thread is started for what is refused
  let started = options.memoryBudget === undefined ? undefined : await start();
  let plan: ModelPlan | undefined;
  let session: Session | undefined;
  try {
    plan = await planModel(files, options, started?.backend);
    const tokenizer = await readTokenizer(files, signal);
    const generation = await readGenerationConfig(files, plan.config.spec.vocabSize, signal);
    started ??= await start();
    const { backend, description } = started;
    session = await createSession(plan, backend, options);
    signal?.throwIfAborted();
    const { spec, limits, contextLength, decoder, sparsity, slots } = plan;
    const layout = slotLayout(spec, contextLength);
    const model = new Model({
      name: files.name,
      modelType: plan.config.modelType,
      spec,
      tokenizer,
      eosTokenIds: eosTokenIdsOf(generation.eosTokenIds, plan.config, tokenizer),
      recommendedSampling: generation.sampling,
      backend,
      backendDescription: description,
      ownsBackend: given === undefined,
      session,
      decoder,
      draftsByPlan: options.draftPlan !== undefined,
      speculate: options.speculate,
      limits,
      favourHeld: options.favourHeld ?? 0,
      cache: new SlotCache(slots, layout),
      parked: new ParkedSlots(
        layout,
        options.waitingBytes ??
          (options.memoryBudget === undefined ? Math.max(usualWaitingBytes, Math.floor(session.memoryBytes / 4)) : 0),
      ),
      sparsity,
    });
    options.onProgress?.({ status: 'ready', name: files.name });
    return model;
  } catch (error) {
    // also what a listener to the progress threw
    await session?.dispose();
    if (!given) await started?.backend.dispose();
    throw error;
  } finally {
    await plan?.close();
  }
}

/** Allocates the buffers and fills them: weights from the checkpoint, tables computed. */
async function createSession(plan: ModelPlan, backend: Backend, options: LoadFilesOptions): Promise<Session> {
  const { files, spec, contextLength, decoder, limits, sources, checkpoint } = plan;
  refuseFormats(plan, backend);
  const session = await backend.createSession(decoder.buffers, limits);
  try {
    await sources.load({
      name: files.name,
      session,
      buffers: decoder.buffers,
      signal: options.signal,
      onBytes: progressOf(files.name, checkpoint, options.onProgress),
    });
    if (plan.sparsityPlan) await fillPlan(plan.sparsityPlan, decoder.layout, session, options.signal);
    await fillSigns(decoder.layout, decoder.buffers, session, options.signal);
    await fillTwoBits(decoder.layout, decoder.buffers, session, options.signal);
    await fillPartial(decoder.layout, decoder.buffers, session, options.signal);
    const { positions } = spec;
    if (positions.kind === 'rope') await session.write('ropeTable', ropeTable(positions, contextLength));
    if (positions.kind === 'alibi')
      await session.write('alibi', alibiTable(positions, attentionOf(spec).numAttentionHeads, contextLength));
    return session;
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

function refuseFormats({ files, decoder }: ModelPlan, backend: Backend): void {
  for (const { name, kind, dtype } of decoder.buffers)
    if ((kind === 'weight' || kind === 'stored') && !backend.weightDTypes.includes(dtype))
      throw new RelufyError(
        'option',
        `${files.name} "${name}": expected ${backend.weightDTypes.join(', ')} for the ${backend.name} backend, got ${dtype}. Choose another dtype or backend.`,
      );
}

/** WASM, or the reference executor: what every engine has. */
export const createPortableBackend: CreateBackend = async ({ backend: wanted, threads }) => {
  if (wanted === 'native')
    throw new RelufyError(
      'backend',
      'loadModel option "backend": expected auto, wasm or reference here, got "native", which needs Node. Use auto.',
    );
  const backend = wanted === 'reference' ? createReferenceBackend() : await createWasm(threads);
  return { backend, description: backend.description };
};

async function createWasm(threads: number | undefined): Promise<HostBackend> {
  const { createWasmBackend } = await import('@relufy/kernels');
  return createWasmBackend(threads === undefined ? {} : { threads });
}

/**
 * What ends an answer: as generation_config.json says, which knows better than config.json, and where neither does as the
 * tokenizer says; and besides, whatever ends a turn by its name (turn-ends.ts).
 */
function eosTokenIdsOf(
  said: readonly number[],
  { spec, eosTokenIds }: ParsedConfig,
  tokenizer: Tokenizer | undefined,
): readonly number[] {
  const stated = said.length > 0 ? said : eosTokenIds;
  const own = tokenizer?.eosId === undefined ? [] : [tokenizer.eosId];
  const byName = tokenizer === undefined ? [] : turnEnds(tokenizer);
  return [...new Set([...(stated.length > 0 ? stated : own), ...byName])].filter((id) => id < spec.vocabSize);
}

/** undefined when the folder has no tokenizer: such a model runs on token ids. */
export async function readTokenizer(files: ModelFiles, signal?: AbortSignal): Promise<Tokenizer | undefined> {
  const read = (file: string) => files.readText(file, { signal });
  const tokenizerJson = await read('tokenizer.json');
  const [vocabJson, mergesTxt] =
    tokenizerJson === undefined ? await Promise.all([read('vocab.json'), read('merges.txt')]) : [];
  if (tokenizerJson === undefined && (vocabJson === undefined || mergesTxt === undefined)) return undefined;
  const tokenizerConfig = await read('tokenizer_config.json');
  // Where nobody can list the files, one that is missing is an error in a browser's console: ask for no more than is needed.
  const says = (key: string): boolean => !files.list && (tokenizerConfig?.includes(`"${key}"`) ?? false);
  const [specialTokensMap, chatTemplateJinja, addedTokensJson] = await Promise.all([
    says('bos_token') && says('eos_token') ? undefined : read('special_tokens_map.json'),
    says('chat_template') ? undefined : read('chat_template.jinja'),
    tokenizerJson === undefined && !says('added_tokens_decoder') ? read('added_tokens.json') : undefined,
  ]);
  const present = {
    ...{ tokenizerJson, vocabJson, mergesTxt, addedTokensJson },
    ...{ tokenizerConfig, specialTokensMap, chatTemplateJinja },
  };
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
