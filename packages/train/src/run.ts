// A run: draws batches, steps, logs, evaluates, writes checkpoints, and goes on from the last one. Owns the loop and what
// stops it. Everything it does with numbers is elsewhere: session.ts (steps), schedules.ts, data/, run-checkpoint.ts.
import { mkdir } from 'node:fs/promises';
import { basename, isAbsolute } from 'node:path';
import { inLockedFolder, toWriteError } from '@relufy/checkpoint/node';
import { createBackend, loadModel, type ModelSpec, openModelFiles, parameterCount } from '@relufy/models';
import { type Backend, elementCount, jsonText, planMemory, RelufyError, unitBytes } from '@relufy/tensor';
import type { RunConfig } from './config.js';
import { intoParts, partOf, scoredTokens, takeSequences } from './data/parts.js';
import { type Sequence, SequenceSource, SequenceStream } from './data/sequences.js';
import { tokenize } from './data/token-file.js';
import { evaluate } from './evaluate.js';
import { writeModel } from './output.js';
import { risingPlan } from './rising-thresholds.js';
import {
  findCheckpoint,
  type RunState,
  restoreCheckpoint,
  saveCheckpoint,
  setAside,
  stepName,
} from './run-checkpoint.js';
import { type Metrics, RunFolder, type StartMetrics } from './run-folder.js';
import { type OnProgress, progressOf, type RunOptions, warn } from './run-options.js';
import { l1At, learningRateFactor } from './schedules.js';
import { type PartResult, TrainingSession } from './session.js';
import { type StartModel, startModel } from './start-model.js';
import { stepOptionsOf } from './step-options.js';
import { Teacher } from './teacher.js';
import type { TrainingStepOptions } from './training-step.js';

/** A loss beyond this many times that of guessing is taken for an explosion. */
const explosion = 10;

/**
 * Trains until the config's last step, and writes the model to `OUT/model`.
 * @throws RelufyError, one: for data or models that do not fit, a folder in which another process trains, a loss that is
 * not finite, a disk that is full. What was written before stays.
 */
export async function runTraining(config: RunConfig, options: RunOptions = {}): Promise<Metrics | undefined> {
  if (options.backend) return runOn(options.backend, config, options);
  const { backend } = await createBackend({});
  return runOn(backend, config, options).finally(() => backend.dispose());
}

async function runOn(backend: Backend, config: RunConfig, options: RunOptions): Promise<Metrics | undefined> {
  await mkdir(config.out, { recursive: true }).catch(toWriteError(config.out));
  return inLockedFolder(config.out, undefined, (lost) => runIn(backend, config, options, lost));
}

/** `lost` aborts when the folder is another process's: nothing may be written there any more. */
async function runIn(
  backend: Backend,
  config: RunConfig,
  options: RunOptions,
  lost: AbortSignal,
): Promise<Metrics | undefined> {
  const folder = await RunFolder.open(config, (message) => warn(options, message));
  const start = await startModel(config, options.open);
  const tokenizing = {
    folder: config.tokens ?? folder.path('tokens'),
    tokenizer: start.tokenizer,
    tokenizerText: [...start.texts.values()].join('\n'),
    vocabSize: start.spec.vocabSize,
    warn: (message: string) => warn(options, message),
    onProgress: progressOf(options),
    signal: options.signal,
  };
  const sourcesOf = async (sources: RunConfig['data']) => {
    const found: { source: SequenceSource; weight: number }[] = [];
    for (const source of sources) {
      const data = await tokenize(source, tokenizing);
      found.push({ source: new SequenceSource(data, config.contextLength, config.packing), weight: source.weight });
    }
    return found;
  };
  const training = await sourcesOf(config.data);
  const validation = (await sourcesOf(config.validation)).map(({ source }) => source);
  const step = stepOptionsOf(config, start);
  const session = await TrainingSession.create(backend, start.spec, step);
  const teacher = await teacherOf(config, start.spec, step.teacherTokens ?? 0, options);
  try {
    const run = new Run({ config, options, folder, start, session, step, training, validation, teacher });
    return await run.go(lost);
  } finally {
    await session.dispose();
    await teacher?.dispose();
  }
}

async function teacherOf(
  { distillation }: RunConfig,
  { vocabSize }: ModelSpec,
  tokens: number,
  options: RunOptions,
): Promise<Teacher | undefined> {
  if (distillation === undefined) return undefined;
  const { teacher: source, cache } = distillation;
  progressOf(options)('opening the teacher');
  const { open = (name) => openModelFiles(name), loadTeacher: load = (name) => loadModel(name) } = options;
  return Teacher.open({ source, tokens, vocabSize, open, load, ...(cache !== undefined && { cache }) });
}

/** The config as it goes with a model: files by their names, nothing of the machine that it was trained on. */
function withoutPlaces({ out: _, tokens: __, ...config }: RunConfig): unknown {
  const text = JSON.stringify(config, (key, value) =>
    ['path', 'from', 'tokenizer', 'teacher', 'cache'].includes(key) && typeof value === 'string' && isAbsolute(value)
      ? basename(value)
      : value,
  );
  return JSON.parse(text);
}

/** What a run is made of, all of it ready. */
interface RunParts {
  readonly config: RunConfig;
  readonly options: RunOptions;
  readonly folder: RunFolder;
  readonly start: StartModel;
  readonly session: TrainingSession;
  readonly step: TrainingStepOptions;
  readonly training: readonly { readonly source: SequenceSource; readonly weight: number }[];
  readonly validation: readonly SequenceSource[];
  readonly teacher: Teacher | undefined;
}

class Run {
  readonly #config: RunConfig;
  readonly #options: RunOptions;
  readonly #progress: OnProgress;
  readonly #folder: RunFolder;
  readonly #start: StartModel;
  readonly #session: TrainingSession;
  readonly #step: TrainingStepOptions;
  readonly #training: RunParts['training'];
  readonly #validation: readonly SequenceSource[];
  readonly #teacher: Teacher | undefined;
  #stream: SequenceStream;
  #state: RunState;
  #lastCheckpoint: string | undefined;

  constructor({ config, options, folder, start, session, step, training, validation, teacher }: RunParts) {
    this.#config = config;
    this.#options = options;
    this.#progress = progressOf(options);
    this.#folder = folder;
    this.#start = start;
    this.#session = session;
    this.#step = step;
    this.#training = training;
    this.#validation = validation;
    this.#teacher = teacher;
    this.#stream = new SequenceStream(training, config.seed);
    this.#state = { step: 0, tokens: 0, draws: this.#stream.state };
  }

  async go(lost: AbortSignal): Promise<Metrics | undefined> {
    const { steps, checkpoint, logEvery } = this.#config;
    await this.#begin();
    if (this.#state.step === 0 && this.#isEvaluated(0)) {
      const metrics: StartMetrics = { step: 0, tokens: 0, ...(await this.#evaluate()) };
      await this.#folder.log(metrics);
      this.#options.onEvent?.({ kind: 'evaluated', metrics });
    }
    const began = { at: performance.now(), step: this.#state.step, tokens: this.#state.tokens };
    let metrics: Metrics | undefined;
    while (this.#state.step < steps) {
      const measured = await this.#optimise();
      lost.throwIfAborted();
      const { step, tokens } = this.#state;
      const elapsed = (performance.now() - began.at) / 1000;
      const heldOut = this.#isEvaluated(step) ? await this.#evaluate() : undefined;
      metrics = {
        ...measured,
        tokensPerSecond: (tokens - began.tokens) / elapsed,
        etaSeconds: (elapsed / (step - began.step)) * (steps - step),
        ...heldOut,
      };
      if (step % logEvery === 0 || step === steps || heldOut !== undefined) {
        await this.#folder.log(metrics);
        this.#options.onEvent?.({ kind: 'step', metrics });
      }
      if (step % (this.#config.output.every ?? Number.POSITIVE_INFINITY) === 0)
        await this.#write(`models/${stepName(step)}`, metrics);
      const aborted = this.#options.signal?.aborted ?? false;
      if (step % checkpoint.every === 0 || step === steps || aborted) await this.#save();
      if (aborted) throw this.#options.signal?.reason;
    }
    const folder = await this.#write('model', metrics);
    this.#options.onEvent?.({ kind: 'done', folder, metrics, peakBytes: process.resourceUsage().maxRSS * 1024 });
    return metrics;
  }

  /** Writes the model as it is now. */
  async #write(name: string, metrics: Metrics | undefined): Promise<string> {
    const folder = this.#folder.path(name);
    this.#progress('writing the model');
    const record = { config: withoutPlaces(this.#config), metrics };
    const texts = new Map([['training.json', `${jsonText(record, 2)}\n`]]);
    const { masks, output } = this.#config;
    const plan = masks.length > 0 ? { plan: risingPlan(masks) } : {};
    await writeModel(this.#start, this.#session, { folder, ...output, ...plan, texts });
    return folder;
  }

  /** Weights of the model, or of the last checkpoint. */
  async #begin(): Promise<void> {
    const path = await this.#checkpoint();
    this.#progress(this.#config.model.from === undefined ? 'drawing weights' : 'loading weights');
    if (path === undefined) {
      await this.#start.load(this.#session);
      for (const { parameter, average } of this.#session.step.parameters)
        if (average) {
          const [buffer, count] = [parameter.name, elementCount(parameter, this.#step.limits)];
          await this.#session.session.copy({ buffer, at: 0, count }, { buffer: average.name, at: 0 });
        }
    } else {
      await this.#start.load(this.#session); // what is not trained is in no checkpoint
      this.#state = await restoreCheckpoint(path, this.#session);
      this.#stream = new SequenceStream(this.#training, this.#config.seed, this.#state.draws);
      this.#lastCheckpoint = path;
      this.#options.onEvent?.({ kind: 'resumed', step: this.#state.step, path });
    }
    // step 0 is evaluated again where nothing was kept
    await this.#folder.forgetAfter(path === undefined ? -1 : this.#state.step);
    this.#options.onEvent?.({
      kind: 'start',
      parameters: parameterCount(this.#start.spec),
      sequences: this.#training.reduce((sum, { source }) => sum + source.count, 0),
      memoryBytes: this.#session.session.memoryBytes,
      activationBytes: planMemory(this.#session.step.program).totalUnits * unitBytes,
    });
  }

  /** The newest whole one. A damaged one is passed over only when somebody hears of it. */
  async #checkpoint(): Promise<string | undefined> {
    this.#progress('looking for a checkpoint');
    const folder = this.#folder.path('checkpoints');
    const found = await findCheckpoint(folder);
    if (found === undefined) return undefined;
    for (const { path, reason } of found.damaged) {
      const what = `${path}: expected the bytes that were written, got others (${reason}).`;
      if (this.#options.onEvent === undefined)
        throw new RelufyError('checkpoint', `${what} Remove its folder to go on from ${found.path}.`);
      this.#warn(`${what} It was moved to ${await setAside(folder, path)}; the run goes on from ${found.path}.`);
    }
    if (found.unchecked)
      this.#warn(`${found.path}: expected checksums beside it, got none. Whether its bytes have changed is not known.`);
    return found.path;
  }

  #warn(message: string): void {
    warn(this.#options, message);
  }

  /** One optimiser step. */
  async #optimise(): Promise<Omit<Metrics, 'tokensPerSecond' | 'etaSeconds'>> {
    const { gradientAccumulationSteps: parts, steps, optimizer, distillation, l1 } = this.#config;
    const { limits, slots, contextLength } = this.#step;
    const room = { maxRows: parts * limits.maxRows, slots: parts * slots, contextLength };
    const drawn = takeSequences(() => this.#stream.next(), room);
    const batch = intoParts(drawn, { maxRows: limits.maxRows, slots });
    const scored = scoredTokens(drawn);
    const rows = drawn.reduce((sum, { ids }) => sum + ids.length - 1, 0);
    const step = this.#state.step;
    const lambda = l1At(l1, step);
    const numbers = rows * this.#start.spec.intermediateSize;
    const results: PartResult[] = [];
    for (const [at, sequences] of batch.entries()) {
      this.#progress('training', (step + at / batch.length) / steps);
      const part = partOf(sequences, (distillation?.lossWeight ?? 1) / scored);
      const teacher = await this.#ask(sequences, scored);
      results.push(await this.#session.accumulate({ ...part, ...teacher }, lambda / numbers));
    }
    const sum = (of: (result: PartResult) => number) => results.reduce((total, result) => total + of(result), 0);
    const layers = this.#start.spec.numHiddenLayers;
    const perLayer = (of: (result: PartResult) => readonly number[]) =>
      Array.from({ length: layers }, (_, layer) => sum((result) => of(result)[layer] as number) / numbers);
    const learningRate =
      optimizer.learningRate * learningRateFactor(optimizer.schedule, step, steps, optimizer.warmupSteps);
    const update = { learningRate, maxGradNorm: optimizer.maxGradNorm, emaDecay: optimizer.emaDecay };
    const loss = sum((result) => result.loss) / (distillation?.lossWeight || 1);
    const gradientNorm = await this.#session.gradientNorm(update);
    await this.#refuseExplosion(loss, gradientNorm, results.at(-1)?.rows ?? 0);
    await this.#session.update(update);
    await this.#session.raiseThresholds(results.at(-1)?.rows ?? 0, step + 1);
    this.#state = { step: step + 1, tokens: this.#state.tokens + rows, draws: this.#stream.state };
    return {
      step: step + 1,
      tokens: this.#state.tokens,
      loss,
      perplexity: Math.exp(loss),
      ...(distillation && { divergence: sum((result) => result.divergence) / (distillation.weight || 1) }),
      ...(l1.length > 0 && {
        lambda,
        penalty: lambda * perLayer(({ norms }) => norms).reduce((a, b) => a + b, 0),
      }),
      learningRate,
      gradientNorm,
      density: perLayer(({ active }) => active),
    };
  }

  async #ask(sequences: readonly Sequence[], scored: number) {
    const { distillation } = this.#config;
    if (distillation === undefined || this.#teacher === undefined) return undefined;
    const weight = distillation.weight / scored;
    return { teacher: await this.#teacher.ask(sequences, weight) };
  }

  /** Before the parameters are touched. */
  async #refuseExplosion(loss: number, norm: number, rows: number): Promise<void> {
    const limit = explosion * Math.log(this.#start.spec.vocabSize);
    if (Number.isFinite(loss) && Number.isFinite(norm) && loss <= limit) return;
    const where = await this.#session.whereNotFinite(rows);
    const what = Number.isFinite(loss) && Number.isFinite(norm) ? `a loss below ${limit.toFixed(1)}` : 'finite numbers';
    throw new RelufyError(
      'input',
      `training step ${this.#state.step + 1}: expected ${what}, got loss ${loss} and gradient norm ${norm}${where ? `, first in ${where}` : ''}. ` +
        this.#wayBack(),
    );
  }

  #wayBack(): string {
    const last = this.#lastCheckpoint;
    return `${last ? `The last good checkpoint is ${last}.` : 'There is no checkpoint yet.'} Lower the learning rate, or lengthen the warm-up.`;
  }

  #isEvaluated(step: number): boolean {
    const { evaluation, steps } = this.#config;
    return this.#validation.length > 0 && (step % evaluation.every === 0 || step === steps);
  }

  /** @throws RelufyError that names the layer where numbers stop being finite. */
  async #evaluate(): Promise<Pick<StartMetrics, 'validationLoss' | 'validationPerplexity'>> {
    const { sequences } = this.#config.evaluation;
    const validationLoss = await evaluate(this.#session, this.#validation, sequences, this.#step, (share) =>
      this.#progress('evaluating', share),
    );
    return { validationLoss, validationPerplexity: Math.exp(validationLoss) };
  }

  async #save(): Promise<void> {
    const { keep } = this.#config.checkpoint;
    this.#progress('writing a checkpoint');
    const options = { state: this.#state, config: this.#config, keep };
    const path = await saveCheckpoint(this.#folder.path('checkpoints'), this.#session, options);
    this.#lastCheckpoint = path;
    await this.#folder.drawCurve();
    this.#options.onEvent?.({ kind: 'checkpoint', path });
  }
}
