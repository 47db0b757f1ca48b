// Fits the low-rank predictor of one layer: score = b f(a x) + bias, a logit for each neuron, by weighted binary
// cross-entropy (Deja Vu, arXiv 2310.17157, released training code: an active neuron counts 1, any other p = the layer's
// active share + 0.005) and AdamW. Begins at the judged weight's own best factors, of which the sign is the answer.
// Does not own where samples come from (capture.ts) nor thresholds (operating-point.ts).

import {
  activationCodes,
  type BufferDecl,
  type HostBackend,
  type HostSession,
  ProgramBuilder,
  yieldToEventLoop,
} from '@relufy/tensor';
import { appendLoss, buildTrainedProgram, ProgramTrainer, permutation, type TrainedProgram } from '@relufy/train';
import { type LayerSamples, meanContribution, type Samples } from './capture.js';
import { decodeFloats, encodeFloats } from './journal.js';

/** A predictor's numbers, in f32. */
export interface Factors {
  readonly rank: number;
  /** [rank, hidden] */
  readonly a: Float32Array;
  /** [neurons, rank] */
  readonly b: Float32Array;
  /** [neurons], added to the scores. */
  readonly bias: Float32Array;
}

export interface LayerFitOptions {
  readonly hiddenSize: number;
  readonly neurons: number;
  readonly rank: number;
  /** A ReLU between the two products. */
  readonly relu: boolean;
  /** Tokens of a step. */
  readonly batch: number;
}

/** Weight decay of Deja Vu's training code. */
const weightDecay = 0.01;

export class LayerFit {
  readonly #trainer: ProgramTrainer<HostSession>;
  readonly #options: LayerFitOptions;

  private constructor(trainer: ProgramTrainer<HostSession>, options: LayerFitOptions) {
    this.#trainer = trainer;
    this.#options = options;
  }

  static async create(backend: HostBackend, options: LayerFitOptions, start: Factors): Promise<LayerFit> {
    const trainer = await ProgramTrainer.create(backend, trainedProgram(options));
    const { a, b, bias } = start;
    for (const [name, values] of Object.entries({ a, b, bias })) trainer.session.view(name).set(values);
    return new LayerFit(trainer, options);
  }

  /**
   * One pass over the samples in an order that the seeds decide, `batch` tokens a step; what is left over is dropped unless
   * there is nothing else.
   */
  async pass(
    { tokens, layers }: Samples,
    layer: number,
    pass: {
      /** What an inactive neuron counts. */
      readonly negativeWeight: number;
      /** An active neuron counts by what it adds; else 1. */
      readonly byContribution: boolean;
      readonly seeds: readonly number[];
      readonly learningRate: (step: number) => number;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void> {
    const { batch } = this.#options;
    const order = permutation(tokens, ...pass.seeds);
    const steps = Math.max(1, Math.floor(tokens / batch));
    for (let step = 0; step < steps; step++) {
      pass.signal?.throwIfAborted();
      const chosen = order.subarray(step * batch, (step + 1) * batch);
      this.#fill(layers[layer]!, chosen, pass);
      await this.#trainer.differentiate({ rows: chosen.length, outputs: 0 });
      const update = { learningRate: pass.learningRate(step), maxGradNorm: 0 };
      await this.#trainer.gradientNorm(update);
      await this.#trainer.update(update);
      await yieldToEventLoop();
    }
  }

  factors(): Factors {
    const copy = (name: string) => Float32Array.from(this.#trainer.session.view(name) as Float32Array);
    return { rank: this.#options.rank, a: copy('a'), b: copy('b'), bias: copy('bias') };
  }

  /** All that a later pass begins with, as text. */
  state(): FitState {
    const { session, trained, updates } = this.#trainer;
    const values = stateBuffers(trained).map((name) => [name, encodeFloats(session.view(name) as Float32Array)]);
    return { updates, values: Object.fromEntries(values) };
  }

  /** Goes on from a state of the same options. */
  restore({ updates, values }: FitState): void {
    const { session, trained } = this.#trainer;
    this.#trainer.updates = updates;
    for (const name of stateBuffers(trained))
      (session.view(name) as Float32Array).set(decodeFloats(values[name] as string));
  }

  dispose(): Promise<void> {
    return this.#trainer.dispose();
  }

  #fill(
    { x, active }: LayerSamples,
    chosen: Uint32Array,
    { negativeWeight, byContribution }: { readonly negativeWeight: number; readonly byContribution: boolean },
  ): void {
    const { hiddenSize, neurons } = this.#options;
    const view = (name: string) => this.#trainer.session.view(name) as Float32Array;
    const [inputs, target, weight] = [view('x'), view('target'), view('weight')];
    // the loss is a mean over tokens
    const [one, other] = [1 / chosen.length, negativeWeight / chosen.length];
    for (const [row, token] of chosen.entries()) {
      inputs.set(x.subarray(token * hiddenSize, (token + 1) * hiddenSize), row * hiddenSize);
      for (let i = token * neurons, at = row * neurons; at < (row + 1) * neurons; i++, at++) {
        const adds = active[i]!;
        target[at] = adds === 0 ? 0 : 1;
        weight[at] = adds === 0 ? other : byContribution ? (one * adds) / meanContribution : one;
      }
    }
  }
}

export interface FitState {
  readonly updates: number;
  /** By buffer: `encodeFloats`. */
  readonly values: Readonly<Record<string, string>>;
}

/** Parameters and moments; gradients are zero between passes. */
const stateBuffers = ({ parameters }: TrainedProgram): string[] =>
  parameters.flatMap(({ parameter, m, v }) => [parameter.name, m.name, v.name]);

function trainedProgram({ hiddenSize, neurons, rank, relu, batch }: LayerFitOptions) {
  const decl = (kind: BufferDecl['kind'], name: string, shape: BufferDecl['shape']): BufferDecl => ({
    ...{ kind, name, shape },
    dtype: 'f32',
  });
  const x = decl('input', 'x', ['rows', hiddenSize]);
  const target = decl('input', 'target', ['rows', neurons]);
  const weight = decl('input', 'weight', ['rows', neurons]);
  const a = decl('state', 'a', [rank, hiddenSize]);
  const b = decl('state', 'b', [neurons, rank]);
  const bias = decl('state', 'bias', [neurons]);
  const builder = new ProgramBuilder('predictor', { maxRows: batch, maxOutputs: 1 }, { differentiable: true });
  let inner = builder.activation('inner', ['rows', rank]);
  const output = builder.activation('scores', ['rows', neurons]);
  builder.op('linear', { x: builder.use(x), w: builder.use(a), out: inner });
  if (relu) {
    const out = builder.activation('hidden', ['rows', rank]);
    builder.op('activate', { x: inner, out }, { kind: activationCodes.relu, threshold: 0 });
    inner = out;
  }
  builder.op('linear', { x: inner, w: builder.use(b), bias: builder.use(bias), out: output });
  const loss = appendLoss(builder, { kind: 'binaryCrossEntropy', output, target, weight });
  return buildTrainedProgram({
    builder,
    buffers: [x, target, weight, a, b, bias],
    trainable: [a, b, bias],
    loss,
    optimizer: {
      ...{ beta1: 0.9, beta2: 0.999, eps: 1e-8 },
      groups: [
        { match: ({ name }) => name === 'bias', weightDecay: 0, lrScale: 1 },
        { match: () => true, weightDecay, lrScale: 1 },
      ],
    },
  });
}
