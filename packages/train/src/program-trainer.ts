// A program that learns: any forward pass with a loss, completed by gradients and an optimiser, and the session that runs
// it part by part. A range of its ops runs for each part of a batch, so gradients add up before the optimiser runs. Knows
// no decoder: predictors, routers and thresholds are fitted by it as models are. Does not own what fills the inputs.
import {
  appendGradients,
  type Backend,
  type BufferDecl,
  type BufferView,
  elementsOf,
  type GradientOptions,
  type LoadedProgram,
  type MaybePromise,
  type Program,
  type ProgramBuilder,
  type Session,
  type Step,
  viewLength,
} from '@relufy/tensor';
import type { AppendedLoss, LossValue } from './loss.js';
import {
  appendOptimizer,
  buffersBeside,
  type OptimizerOptions,
  scheduleInput,
  type TrainedParameter,
  trainedParameters,
  type UpdateOptions,
  writeSchedule,
} from './optimizer.js';

export interface ProgramTrainingOptions {
  /** Holds the forward pass and the loss. Gradients and optimiser are appended to it; then it is built. */
  readonly builder: ProgramBuilder;
  /** Everything that outlives a step: inputs, what is trained, what is not. */
  readonly buffers: readonly BufferDecl[];
  /** Those of them that may be trained, of kind `state`; the groups decide. */
  readonly trainable: readonly BufferDecl[];
  readonly loss: AppendedLoss;
  readonly optimizer: OptimizerOptions;
  readonly gradients?: Omit<GradientOptions, 'seeds' | 'parameters' | 'to'>;
  readonly tied?: TiedRows;
}

type Groups = readonly (readonly [first: number, end: number])[];

/** Of a parameter, rows that hold the same numbers and stay equal: [first, end) of each group. */
export type TiedRows = ReadonlyMap<string, Groups>;

export interface TrainedProgram {
  /** Everything that outlives a step. */
  readonly buffers: readonly BufferDecl[];
  readonly parameters: readonly TrainedParameter[];
  readonly program: Program;
  readonly loss: AppendedLoss;
  readonly optimizer: OptimizerOptions;
  /** Ops [0, scored): forward and loss. */
  readonly scored: number;
  /** Ops [0, accumulated): and backward, of one part of a batch. */
  readonly accumulated: number;
  /** Ops [accumulated, measured): the norm of the gradients. The rest updates the parameters. */
  readonly measured: number;
  readonly clip: string;
  readonly tied: TiedRows;
}

/** @throws RelufyError `option` when no group trains anything. */
export function buildTrainedProgram(options: ProgramTrainingOptions): TrainedProgram {
  const { builder, loss, optimizer } = options;
  const scored = builder.ops.length;
  const parameters = trainedParameters(options.trainable, optimizer);
  appendGradients(builder, {
    ...options.gradients,
    seeds: loss.seeds,
    to: loss.from,
    parameters: new Map(parameters.map(({ parameter, gradient }) => [parameter.name, gradient])),
  });
  const accumulated = builder.ops.length;
  const { measured, clip } = appendOptimizer(builder, parameters, optimizer);
  return {
    buffers: [...options.buffers, ...parameters.flatMap(buffersBeside), scheduleInput],
    parameters,
    program: builder.build(),
    loss,
    optimizer,
    scored,
    accumulated,
    measured,
    clip,
    tied: options.tied ?? new Map(),
  };
}

export class ProgramTrainer<Memory extends Session = Session> {
  readonly trained: TrainedProgram;
  readonly session: Memory;
  readonly #program: LoadedProgram;
  /** Trained parameters with rows that stay equal. */
  readonly #tied: readonly (TrainedParameter & { readonly groups: Groups })[];
  /** Updates so far. */
  updates = 0;

  private constructor(trained: TrainedProgram, session: Memory) {
    this.trained = trained;
    this.session = session;
    this.#program = session.load(trained.program);
    this.#tied = trained.parameters.flatMap((one) => {
      const groups = trained.tied.get(one.parameter.name);
      return groups ? [{ ...one, groups }] : [];
    });
  }

  /** Allocates a session. Its buffers are zeros: whoever trains fills parameters and inputs (`session.write`). */
  static async create<Memory extends Session>(
    backend: Backend<Memory>,
    trained: TrainedProgram,
  ): Promise<ProgramTrainer<Memory>> {
    return new ProgramTrainer(trained, await backend.createSession(trained.buffers, trained.program));
  }

  /** Elements [from, to) of an activation that the program keeps, as the last run left it: to be used before the next. */
  kept(activation: string, from?: number, to?: number): MaybePromise<BufferView> {
    return elementsOf(this.#program, activation, from, to);
  }

  /** Forward and backward of a part of a batch, of what is in the inputs: gradients are added to what there is. */
  async accumulate(step: Step): Promise<LossValue> {
    await this.differentiate(step);
    return this.#loss(step);
  }

  /** The same without the loss as a number, whose sum the host would compute. */
  async differentiate(step: Step): Promise<void> {
    await this.#program.run(step, 0, this.trained.accumulated);
  }

  /** The loss of what is in the inputs, and no gradients. */
  async evaluate(step: Step): Promise<LossValue> {
    await this.#program.run(step, 0, this.trained.scored);
    return this.#loss(step);
  }

  /** The norm of all gradients, before clipping. */
  async gradientNorm(options: UpdateOptions): Promise<number> {
    await this.#foldGradients();
    await this.#schedule(options);
    await this.#program.run(nothing, this.trained.accumulated, this.trained.measured);
    return (await this.kept(this.trained.clip, 0, 1))[0] as number;
  }

  /** Clips, moves the parameters, zeroes the gradients. Call it after `gradientNorm`, with the same options. */
  async update(options: UpdateOptions): Promise<void> {
    this.updates++;
    await this.#schedule(options);
    await this.#program.run(nothing, this.trained.measured, this.trained.program.ops.length);
    await this.#copyTied();
  }

  /** Gradients that shall not be used. */
  async discard(): Promise<void> {
    for (const { gradient } of this.trained.parameters)
      await this.session.write(gradient.name, new Float32Array(viewLength(gradient, noLimits)));
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  #loss(step: Step): Promise<LossValue> {
    const buffer = (name: string) => elementsOf(this.session, name);
    return this.trained.loss.value({ buffer, kept: (name) => this.kept(name) }, step);
  }

  /** The gradient of rows that are one row is the sum of theirs. It stands in the first, so that a norm counts it once. */
  async #foldGradients(): Promise<void> {
    for (const { gradient, groups } of this.#tied) {
      const width = gradient.shape[1] as number;
      const values = Float32Array.from(await elementsOf(this.session, gradient.name));
      for (const [first, end] of groups)
        for (let at = (first + 1) * width; at < end * width; at++) {
          const to = first * width + (at % width);
          values[to] = (values[to] as number) + (values[at] as number);
          values[at] = 0;
        }
      await this.session.write(gradient.name, values);
    }
  }

  async #copyTied(): Promise<void> {
    for (const { parameter, groups } of this.#tied) {
      const width = parameter.shape[1] as number;
      const values = Float32Array.from(await elementsOf(this.session, parameter.name));
      for (const [first, end] of groups)
        for (let row = first + 1; row < end; row++) values.copyWithin(row * width, first * width, (first + 1) * width);
      await this.session.write(parameter.name, values);
    }
  }

  async #schedule(options: UpdateOptions): Promise<void> {
    const schedule = new Float32Array(viewLength(scheduleInput, noLimits));
    writeSchedule(schedule, this.updates, this.trained.optimizer, options);
    await this.session.write(scheduleInput.name, schedule);
  }
}

const nothing: Step = { rows: 0, outputs: 0 };
const noLimits = { maxRows: 0, maxOutputs: 0 };
