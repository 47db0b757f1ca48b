// From a model's headers to a plan of how it runs: config, spec, limits, decoder and where the weights lie. Nothing large
// is read or allocated, so loading, inspecting and converting all begin here.
import { type Checkpoint, checkModelFiles, type ModelFiles, openCheckpoint } from '@relufy/checkpoint';
import {
  type Backend,
  bytesPerElement,
  type DType,
  RelufyError,
  parseJson as readAsPython,
  type StepLimits,
  show,
} from '@relufy/tensor';
import { buildDecoder, type Decoder } from '../decoder/decoder.js';
import { isSparse } from '../decoder/projections.js';
import type { Family } from '../families/family.js';
import { type ParsedConfig, parseConfig } from '../families/index.js';
import { unpackTernary } from '../families/ternary.js';
import { resolveTying } from '../families/tied-head.js';
import { slotLayout } from '../running/slot-layout.js';
import { withoutGate } from '../sparsity/masks.js';
import { type OpenedPlan, openPlan, usePlan } from '../sparsity/plan-weights.js';
import { relufy } from '../sparsity/relufy.js';
import type { ModelSpec } from '../spec.js';
import type { LoadOptions } from './load-model.js';
import { checkLoadOptions } from './load-options.js';
import { locateWeights, tensorOf, type WeightSources } from './load-weights.js';
import { neuronSlotsWithin } from './memory-budget.js';
import { hasPacked, locatePacked } from './packed.js';

/** Tokens in one step of a prefill: enough for the tiled product, few enough to stay in the caches. */
const maxRows = 128;
/** The same, and logits of a step, within a memory budget: activations of 128 rows would take the room of neurons. */
const fewRows = 32;
const fewOutputs = 8;
/** Logits of one step: at most 64 MiB. */
const maxLogits = 1 << 24;
/** The largest known config, with names of 21,000 classes, has 1 MB. */
const maxConfigBytes = 1 << 22;
/** Positions of the KV cache where nothing else is asked for. */
const defaultContextLength = 4096;

export interface ModelPlan {
  readonly files: ModelFiles;
  readonly config: ParsedConfig;
  readonly spec: ModelSpec;
  readonly contextLength: number;
  readonly slots: number;
  readonly limits: StepLimits;
  readonly sparsity: 'exact' | 'dense';
  readonly decoder: Decoder;
  /** The same decoder with rows of neurons in so many slots, or all in memory. */
  readonly build: (neuronSlots?: number) => Decoder;
  readonly sources: WeightSources;
  readonly checkpoint: Checkpoint;
  /** Where weights are not read, as asked for: by the model, or by what it drafts. */
  readonly sparsityPlan?: OpenedPlan;
  /** Closes the files. Whoever made the plan does it. */
  close(): Promise<void>;
}

export type PlanOptions = Pick<
  LoadOptions,
  | 'dtype'
  | 'sparsity'
  | 'relufy'
  | 'contextLength'
  | 'kvCache'
  | 'slots'
  | 'reuse'
  | 'speculate'
  | 'memoryBudget'
  | 'favourHeld'
  | 'signal'
> & {
  /** The folder of a sparsity plan, and of one that drafts. */
  readonly plan?: ModelFiles;
  readonly draftPlan?: ModelFiles;
};

/**
 * Reads config.json and the checkpoint's headers. `backend`: what will run it, whose own memory a memoryBudget counts.
 * @throws RelufyError for a config that cannot be run, or a checkpoint that does not belong to it.
 */
export async function planModel(
  files: ModelFiles,
  options: PlanOptions = {},
  backend?: Pick<Backend, 'threads' | 'ownBytes'>,
): Promise<ModelPlan> {
  checkLoadOptions('planModel', options);
  checkModelFiles('planModel', files);
  if (options.plan && options.draftPlan)
    throw new RelufyError(
      'option',
      'loadModel options "plan" and "draftPlan": expected one of them, got both. A model that answers by a plan drafts from the prompt or by a smaller model.',
    );
  const { dtype = 'auto', signal } = options;
  const config = parseConfig(await readJson(files, 'config.json', signal));
  const asked = options.relufy === undefined ? config.spec : relufy(config.spec, options.relufy);
  const contextLength = contextOf(asked, options.contextLength);
  const slots = slotsOf(asked, contextLength, options);
  const limits = {
    maxRows: Math.min(options.memoryBudget === undefined ? maxRows : fewRows, contextLength),
    maxOutputs: Math.max(
      1,
      Math.min(
        options.memoryBudget === undefined ? maxRows : fewOutputs,
        contextLength,
        Math.floor(maxLogits / asked.vocabSize),
      ),
    ),
  };
  let checkpoint = await openCheckpoint(files, signal);
  let sparsityPlan: OpenedPlan | undefined;
  const close = async () => {
    await checkpoint.close();
    await sparsityPlan?.weights?.close();
  };
  try {
    const ready = locatePacked(files.name, checkpoint);
    if (!ready && asked.roundedInputs) checkpoint = unpackTernary(files.name, checkpoint);
    const stored = config.gateIsOptional ? asStored(config.family, asked, checkpoint) : asked;
    const planFiles = options.plan ?? options.draftPlan;
    sparsityPlan = planFiles && (await openPlan(planFiles, signal));
    const planned = sparsityPlan
      ? await usePlan(sparsityPlan, { name: files.name, spec: stored, checkpoint }, signal)
      : stored;
    const { spec: layout, map } = await resolveTying(config.family, planned, checkpoint, signal);
    const spec = options.draftPlan ? { ...stored, tieWordEmbeddings: layout.tieWordEmbeddings } : layout;
    const sources = ready ?? locateWeights(files.name, config.family, map, checkpoint);
    const matrixDType = (buffer: string, transposed: boolean): DType =>
      dtype === 'auto' ? sources.storedDType(buffer, transposed) : dtype;
    const sparsity = options.sparsity ?? (isSparse(spec) ? 'exact' : 'dense');
    const { kvCache = 'f32', memoryBudget } = options;
    if (spec.reuse && options.speculate)
      throw new RelufyError(
        'option',
        'loadModel options "plan" and "speculate": expected one of them, got both: this plan reuses neurons. Leave one out.',
      );
    const reuse = options.reuse || layout.reuse !== undefined || Boolean(options.speculate);
    const favoursHeld = checkedFavour(options, spec);
    const build = (neuronSlots?: number) =>
      buildDecoder(
        layout,
        { limits, slots, contextLength, matrixDType, kvCache, reuse, neuronSlots, favoursHeld },
        spec,
      );
    const source = {
      name: files.name,
      spec,
      limits,
      isPacked: ready !== undefined,
      dense: sparsity === 'dense',
      drafts: options.draftPlan !== undefined,
      backend,
    };
    const neuronSlots = memoryBudget === undefined ? undefined : neuronSlotsWithin(memoryBudget, source, build);
    return {
      files,
      config,
      spec,
      contextLength,
      slots,
      limits,
      sparsity,
      decoder: build(neuronSlots),
      build,
      sources,
      checkpoint,
      ...(sparsityPlan && { sparsityPlan }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whether small neurons that would have to be read are left out. @throws RelufyError `option` where nothing says how small. */
function checkedFavour({ favourHeld = 0, memoryBudget }: PlanOptions, spec: ModelSpec): boolean {
  if (favourHeld === 0) return false;
  const refuse = (expected: string, got: string, remedy: string): never => {
    throw new RelufyError('option', `loadModel option "favourHeld": expected ${expected}, got ${got}. ${remedy}`);
  };
  if (memoryBudget === undefined) refuse('a memoryBudget beside it', 'none', 'Without one all neurons are in memory.');
  if (spec.predictor !== undefined)
    refuse(
      'a model whose own numbers say which neurons count',
      'a plan with a predictor',
      'Raise its thresholds instead.',
    );
  return true;
}

/** With a plain FFN where the checkpoint holds no gates. */
function asStored(family: Family, spec: ModelSpec, checkpoint: Checkpoint): ModelSpec {
  const buffer = 'layers.0.gate.weight';
  const [part] = family.weights(spec).get(buffer) ?? [];
  const hasGates =
    hasPacked(checkpoint, buffer) || (part !== undefined && tensorOf(family, part.tensor, checkpoint) !== undefined);
  return hasGates ? spec : withoutGate(spec);
}

function contextOf(spec: ModelSpec, asked: number | undefined): number {
  // a recurrent state takes no more room for more positions
  const limit = spec.mixer.kind === 'attention' ? spec.maxPositionEmbeddings : Number.POSITIVE_INFINITY;
  if (asked !== undefined && asked > limit)
    throw new RelufyError(
      'option',
      `contextLength: expected at most ${limit} (the model's max_position_embeddings), got ${asked}.`,
    );
  return asked ?? Math.min(spec.maxPositionEmbeddings, defaultContextLength);
}

/** At least two where a number of bytes decides: continuations are then computed beside their context. */
function slotsOf(spec: ModelSpec, contextLength: number, { slots = 1, kvCache = 'f32' }: PlanOptions): number {
  if (typeof slots === 'number') return slots;
  const elements = slotLayout(spec, contextLength)
    .runs(0, contextLength)
    .reduce((sum, { count }) => sum + count, 0);
  const bytes = bytesPerElement[spec.mixer.kind === 'attention' ? kvCache : 'f32'] * elements;
  return Math.min(slots.most, Math.max(2, Math.floor(slots.kvBytes / bytes)));
}

/** A file that must be there, as JSON. */
export async function readJson(files: ModelFiles, file: string, signal?: AbortSignal): Promise<unknown> {
  const text = await files.readText(file, { limitBytes: maxConfigBytes, signal });
  if (text === undefined)
    throw new RelufyError(
      'io',
      `${files.name}: expected a ${file}, found none. Name the folder of a model in Hugging Face layout.`,
    );
  return parseJson(files.name, file, text);
}

export function parseJson(name: string, file: string, text: string): unknown {
  try {
    return readAsPython(text);
  } catch (cause) {
    throw new RelufyError(
      'config',
      `${name} ${file}: expected JSON, got ${show(text.slice(0, 40))}. Download it again.`,
      { cause },
    );
  }
}
