// What a run is, as plain data, and the way from a YAML file to it. Every key has a type, bounds and mostly a default;
// the README lists them. Does not own what a run does (run.ts).
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { readNamedFile } from '@relufy/checkpoint/node';
import { type MaskPlace, maskPlaces, type RelufyOptions } from '@relufy/models';
import { ConfigReader, decodeWhole, RelufyError } from '@relufy/tensor';
import { mostYamlBytes, parseYaml } from '@relufy/tensor/yaml';
import { todaysKey } from './config-names.js';
import { parameterPattern } from './parameter-pattern.js';
import type { DensityStage, L1Stage, LearningRateSchedule } from './schedules.js';

export interface DataSource {
  readonly path: string;
  readonly format: 'jsonl' | 'text';
  /** Its share of the sequences, relative to the other sources'. */
  readonly weight: number;
  /** Which tokens are scored: those of answers, or all. */
  readonly loss: 'answers' | 'all';
  /** What divides a text file into documents; absent: the file is one. */
  readonly separator?: string;
}

/** A magnitude mask (`Mask` of @relufy/models) whose thresholds rise while the model learns to do with what they leave. */
export interface RisingMask {
  readonly at: readonly MaskPlace[];
  /** The share of the numbers that it keeps, in each layer. */
  readonly density: readonly DensityStage[];
  /** At `neurons`: compares |act(gate x)_i| times the mean of |up x|_i, as CHESS does (arXiv 2409.01366). */
  readonly weighted: boolean;
}

export interface RunConfig {
  /** A folder in Hugging Face layout, or a config.json's object for weights drawn by the seed. */
  readonly model: {
    readonly from?: string;
    readonly config?: Readonly<Record<string, unknown>>;
    /** The folder of the tokenizer's files; default: the model's. */
    readonly tokenizer?: string;
    readonly relufy?: RelufyOptions;
    /** Standard deviation of weights that are drawn. */
    readonly initializerRange: number;
  };
  readonly data: readonly DataSource[];
  readonly validation: readonly DataSource[];
  readonly contextLength: number;
  /** Sequences of one optimiser step, and in how many parts they run, one after the other. */
  readonly batchSize: number;
  readonly gradientAccumulationSteps: number;
  /** `stream`: documents one after the other, cut into sequences; `documents`: none sees another. */
  readonly packing: 'stream' | 'documents';
  readonly steps: number;
  readonly optimizer: {
    readonly learningRate: number;
    readonly schedule: LearningRateSchedule;
    readonly warmupSteps: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    /** Of matrices; norms and biases have none. */
    readonly weightDecay: number;
    readonly maxGradNorm: number;
    /** Of the moving average of the parameters, which is then what is written; 0: none. */
    readonly emaDecay: number;
    /** The first that matches a parameter's name decides. */
    readonly groups: readonly { readonly match: string; readonly weightDecay: number; readonly lrScale: number }[];
  };
  readonly distillation?: {
    readonly teacher: string;
    readonly weight: number;
    /** Weight of the cross-entropy beside it. */
    readonly lossWeight: number;
    /** Likeliest tokens that are told apart. */
    readonly tokens: number;
    /** Where the teacher's answers are kept; absent: it runs alongside. */
    readonly cache?: string;
  };
  readonly l1: readonly L1Stage[];
  readonly masks: readonly RisingMask[];
  readonly heluAlpha: number;
  readonly gradientCheckpointing: boolean;
  readonly evaluation: { readonly every: number; readonly sequences: number };
  readonly checkpoint: { readonly every: number; readonly keep: number };
  readonly logEvery: number;
  /**
   * `fatrelu`: the threshold below which what the ReLU lets through becomes 0 in the model that is written (ProSparse).
   * `every`: also the model after every so many steps, as `models/step-00000500`.
   */
  readonly output: { readonly dtype: 'f32' | 'bf16'; readonly fatrelu?: number; readonly every?: number };
  readonly seed: number;
  readonly out: string;
  /** Where the token files of the sources lie, for several runs; default: in `out`. */
  readonly tokens?: string;
}

/** What the command line says over the file. */
export interface ConfigOverrides {
  readonly from?: string;
  readonly out?: string;
  readonly steps?: number;
}

/**
 * Reads a YAML file. Paths in it are relative to it.
 * @throws RelufyError `io` when it cannot be read, `option` for what it says.
 */
export async function readRunConfig(path: string, overrides: ConfigOverrides = {}): Promise<RunConfig> {
  const refuse = (got: string, cause: unknown) =>
    new RelufyError('io', `${path}: expected a run's config, got ${got}. Check the path.`, { cause });
  const text = await decodeWhole(path, [await readNamedFile(path, { limitBytes: mostYamlBytes, refuse })]);
  return parseRunConfig(parseYaml(path, text), { name: path, folder: dirname(path), overrides });
}

export interface ParseOptions {
  readonly name?: string;
  /** What relative paths are relative to; default: the working directory. */
  readonly folder?: string;
  readonly overrides?: ConfigOverrides;
}

/** @throws RelufyError `option` naming the key that does not fit. */
export function parseRunConfig(values: unknown, options: ParseOptions = {}): RunConfig {
  const { name = 'config', folder = '.', overrides = {} } = options;
  const given = typeof values === 'object' && values !== null ? { ...values } : values;
  const root = new ConfigReader({ where: name, code: 'option', renamed: todaysKey }, given);
  const at = (path: string) => resolve(folder, path);
  // a model may also be a name
  const modelAt = (source: string) => (existsSync(at(source)) ? at(source) : source);
  const model = modelOf(root, modelAt, overrides);
  const data = sourcesOf(root, 'data', at);
  if (data.length === 0) root.fail('data', 'a list of at least one source');
  const validation = sourcesOf(root, 'validation', at);
  const steps = overrides.steps ?? root.whole('steps');
  root.has('steps');
  const batchSize = root.whole('batchSize', 8);
  const gradientAccumulationSteps = root.whole('gradientAccumulationSteps', 1);
  if (batchSize % gradientAccumulationSteps !== 0)
    root.fail('gradientAccumulationSteps', `a divisor of batchSize (${batchSize})`);
  const evaluation = root.section('evaluation');
  const checkpoint = root.section('checkpoint');
  const output = root.section('output');
  const distillation = distillationOf(root.object('distillation'), modelAt, at);
  const config: RunConfig = {
    model,
    data,
    validation,
    contextLength: root.whole('contextLength', undefined, 2),
    batchSize,
    gradientAccumulationSteps,
    packing: root.choice('packing', ['stream', 'documents'], 'stream'),
    steps,
    optimizer: optimizerOf(root.object('optimizer') ?? root.fail('optimizer', 'a section')),
    ...(distillation && { distillation }),
    l1: l1Of(root),
    masks: masksOf(root),
    heluAlpha: root.number('heluAlpha', 0),
    gradientCheckpointing: root.flag('gradientCheckpointing', false),
    evaluation: {
      every: evaluation.whole('every', Math.max(1, Math.floor(steps / 10))),
      sequences: evaluation.whole('sequences', 32),
    },
    checkpoint: { every: checkpoint.whole('every', 100), keep: checkpoint.whole('keep', 2) },
    logEvery: root.whole('logEvery', 1),
    output: {
      dtype: output.choice('dtype', ['f32', 'bf16'], 'f32'),
      ...(output.has('fatrelu') && { fatrelu: output.number('fatrelu') }),
      ...(output.has('every') && { every: output.whole('every') }),
    },
    seed: root.whole('seed', 1, 0),
    out: overrides.out === undefined ? at(root.text('out')) : resolve(overrides.out),
    ...(root.has('tokens') && { tokens: at(root.text('tokens')) }),
  };
  root.has('out');
  for (const section of [evaluation, checkpoint, output, root]) section.end();
  return config;
}

function modelOf(root: ConfigReader, at: (path: string) => string, { from }: ConfigOverrides): RunConfig['model'] {
  const section = root.section('model');
  const config = section.raw('config');
  if (config !== undefined && (typeof config !== 'object' || Array.isArray(config)))
    section.fail('config', 'keys and values of a config.json');
  const source = from ?? (section.has('from') ? at(section.text('from')) : undefined);
  if ((source === undefined) === (config === undefined)) section.fail('from', 'either from or config');
  if (config !== undefined && !section.has('tokenizer')) section.fail('tokenizer', "the folder of a tokenizer's files");
  const relufy = section.raw('relufy');
  if (relufy !== undefined && typeof relufy !== 'object') section.fail('relufy', 'stage and shift');
  const found = {
    ...(source !== undefined && { from: source }),
    ...(config !== undefined && { config: config as Readonly<Record<string, unknown>> }),
    ...(section.has('tokenizer') && { tokenizer: at(section.text('tokenizer')) }),
    ...(relufy !== undefined && { relufy: relufy as RelufyOptions }),
    initializerRange: section.number('initializerRange', 0.02),
  };
  section.end();
  return found;
}

function sourcesOf(root: ConfigReader, key: string, at: (path: string) => string): DataSource[] {
  return root.list(key).map((section) => {
    const path = section.text('path');
    const byName = /\.jsonl(\.gz)?$/.test(path) ? 'jsonl' : 'text';
    const format = section.choice('format', ['jsonl', 'text'], byName);
    const source: DataSource = {
      path: at(path),
      format,
      weight: section.number('weight', 1),
      loss: section.choice('loss', ['answers', 'all'], format === 'jsonl' ? 'answers' : 'all'),
      ...(section.has('separator') && { separator: section.text('separator') }),
    };
    section.end();
    return source;
  });
}

function optimizerOf(section: ConfigReader): RunConfig['optimizer'] {
  const kind = section.choice('schedule', ['constant', 'linear', 'cosine', 'wsd'], 'cosine');
  const minLrRatio = section.number('minLrRatio', 0.05, 0, 1);
  const decayRatio = section.number('decayRatio', 0.2, 0.001, 1);
  const found = {
    learningRate: section.number('learningRate'),
    schedule: kind === 'constant' ? { kind } : kind === 'wsd' ? { kind, minLrRatio, decayRatio } : { kind, minLrRatio },
    warmupSteps: section.whole('warmupSteps', 0, 0),
    beta1: section.number('beta1', 0.9, 0, 0.9999),
    beta2: section.number('beta2', 0.95, 0, 0.999999),
    eps: section.number('eps', 1e-8),
    weightDecay: section.number('weightDecay', 0.1),
    maxGradNorm: section.number('maxGradNorm', 1),
    emaDecay: section.number('emaDecay', 0, 0, 0.999999),
    groups: section.list('groups').map((group) => {
      const match = group.text('match');
      try {
        parameterPattern(match);
      } catch {
        group.fail('match', 'a regular expression');
      }
      const parsed = { match, weightDecay: group.number('weightDecay', 0), lrScale: group.number('lrScale', 1) };
      group.end();
      return parsed;
    }),
  };
  section.end();
  return found;
}

function distillationOf(
  section: ConfigReader | undefined,
  modelAt: (path: string) => string,
  at: (path: string) => string,
): RunConfig['distillation'] | undefined {
  if (section === undefined) return undefined;
  const found = {
    teacher: modelAt(section.text('teacher')),
    weight: section.number('weight', 1),
    lossWeight: section.number('lossWeight', 1),
    tokens: section.whole('tokens', 64),
    ...(section.has('cache') && { cache: at(section.text('cache')) }),
  };
  section.end();
  return found;
}

function l1Of(root: ConfigReader): readonly L1Stage[] {
  return stagesOf(root, 'l1', (section) => ({ lambda: section.number('lambda') }));
}

function masksOf(root: ConfigReader): readonly RisingMask[] {
  return root.list('masks').map((section) => {
    const density = stagesOf(section, 'density', (stage) => ({
      density: stage.number('density', undefined, 0.001, 1),
    }));
    if (density.length === 0) section.fail('density', 'a list of at least one stage');
    const mask = { at: placesOf(section), density, weighted: section.flag('weighted', false) };
    if (mask.weighted && mask.at.join() !== 'neurons') section.fail('weighted', 'false unless the mask is at neurons');
    section.end();
    return mask;
  });
}

function placesOf(section: ConfigReader): readonly MaskPlace[] {
  const at = section.raw('at');
  if (!Array.isArray(at) || at.length === 0 || !at.every((place) => maskPlaces.includes(place)))
    section.fail('at', `a list of ${maskPlaces.join(', ')}`);
  return maskPlaces.filter((place) => at.includes(place));
}

/** Stages whose steps rise. */
function stagesOf<Value>(root: ConfigReader, key: string, pick: (section: ConfigReader) => Value) {
  let before = -1;
  return root.list(key).map((section) => {
    const until = section.whole('until', undefined, 0);
    if (until <= before) section.fail('until', `a step after ${before}`);
    before = until;
    const stage = { until, ...pick(section) };
    section.end();
    return stage;
  });
}
