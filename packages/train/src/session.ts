// A training session: a step's program with its memory, run part by part. Owns filling inputs, adding up losses, and
// refusing numbers that are not finite before they reach the parameters. Does not own data, schedules or files.
import { alibiTable, type ModelSpec, ropeTable } from '@relufy/models';
import { type Backend, type LoadedProgram, RelufyError, type Session, scheduleFields } from '@relufy/tensor';
import { buildTrainingStep, type TrainingStep, type TrainingStepOptions, trainingInputs } from './training-step.js';

/** Some of a batch's tokens: as many as one run of the program takes. */
export interface Part {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly slots: Int32Array;
  /** Rows whose next token is scored, ascending, and that token. */
  readonly outputRows: Int32Array;
  readonly targets: Int32Array;
  /** What each target's cross-entropy counts. */
  readonly weights: Float32Array;
  readonly teacher?: TeacherPart;
}

/** The teacher's likeliest tokens at each target, [outputs, teacherTokens]; `weights`: what a divergence counts. */
export interface TeacherPart {
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
  readonly weights: Float32Array;
}

/** Sums over the parts of a batch. */
export interface PartResult {
  /** Sum of weight * cross-entropy. */
  readonly loss: number;
  /** Sum of weight * divergence from the teacher. */
  readonly divergence: number;
  readonly rows: number;
  /** Per layer: the sum of |h|, and the number of h that are not 0, over rows. */
  readonly norms: readonly number[];
  readonly active: readonly number[];
}

/** What an optimiser step is told. */
export interface UpdateOptions {
  readonly learningRate: number;
  /** 0: no clipping. */
  readonly maxNorm: number;
  readonly averageDecay?: number;
}

export class TrainingSession {
  readonly spec: ModelSpec;
  readonly step: TrainingStep;
  readonly session: Session;
  readonly #options: TrainingStepOptions;
  readonly #program: LoadedProgram;
  #evaluation: LoadedProgram | undefined;
  /** Updates so far: what Adam's corrections need. */
  updates = 0;

  private constructor(spec: ModelSpec, step: TrainingStep, session: Session, options: TrainingStepOptions) {
    this.spec = spec;
    this.step = step;
    this.session = session;
    this.#options = options;
    this.#program = session.load(step.program);
  }

  /** Allocates a session. Its parameters are zeros: load a checkpoint or initialise them. */
  static async create(backend: Backend, spec: ModelSpec, options: TrainingStepOptions): Promise<TrainingSession> {
    const step = buildTrainingStep(spec, options);
    const session = await backend.createSession(step.buffers, options.limits);
    const { positions, attention } = spec;
    if (positions.kind === 'rope') {
      const table = ropeTable(positions, options.contextLength);
      const half = positions.rotaryDim / 2;
      session.view('ropeTable').set(table);
      session
        .view(trainingInputs.inverseRope)
        .set(table.map((value, i) => (i % positions.rotaryDim < half ? value : -value)));
    }
    if (positions.kind === 'alibi')
      session.view('alibi').set(alibiTable(positions, attention.numAttentionHeads, options.contextLength));
    return new TrainingSession(spec, step, session, options);
  }

  get limits() {
    return this.#options.limits;
  }

  /** Forward and backward of a part of a batch: gradients are added to what there is. `penalty`: lambda over numbers. */
  async accumulate(part: Part, penalty = 0): Promise<PartResult> {
    this.#fill(part);
    this.session.view(trainingInputs.weights).set(part.weights);
    this.session.view(trainingInputs.penalty)[0] = penalty;
    if (part.teacher) {
      this.session.view(trainingInputs.teacherIds).set(part.teacher.ids);
      this.session.view(trainingInputs.teacherLogprobs).set(part.teacher.logprobs);
      this.session.view(trainingInputs.teacherWeights).set(part.teacher.weights);
    }
    const [rows, outputs] = [part.tokens.length, part.targets.length];
    await this.#program.run({ rows, outputs }, 0, this.step.accumulated);
    const sum = (activation: string, count: number, weights?: Float32Array) => {
      const view = this.#program.view(activation);
      let total = 0;
      for (let i = 0; i < count; i++) total += (weights ? (weights[i] as number) : 1) * (view[i] as number);
      return total;
    };
    return {
      loss: sum('loss', outputs, part.weights),
      divergence: part.teacher ? sum('divergence', outputs, part.teacher.weights) : 0,
      rows,
      norms: this.step.activity.map(({ norm }) => sum(norm, rows)),
      active: this.step.activity.map(({ activeCount }) => sum(activeCount, rows)),
    };
  }

  /** The norm of all gradients, before clipping. */
  async gradientNorm(options: UpdateOptions): Promise<number> {
    this.#schedule(options);
    await this.#program.run({ rows: 0, outputs: 0 }, this.step.accumulated, this.step.measured);
    return this.#program.view('clip')[0] as number;
  }

  /** Clips, moves the parameters, zeroes the gradients. Call it after `gradientNorm`, with the same options. */
  async update(options: UpdateOptions): Promise<void> {
    this.updates++;
    this.#schedule(options);
    await this.#program.run({ rows: 0, outputs: 0 }, this.step.measured, this.step.program.ops.length);
  }

  /** Gradients that shall not be used. */
  discard(): void {
    for (const { gradient } of this.step.parameters) this.session.view(gradient.name).fill(0);
  }

  /** log p of each target of a part. */
  async score(part: Part): Promise<Float32Array> {
    this.#evaluation ??= this.session.load(this.step.evaluation.program);
    this.#fill(part);
    await this.#evaluation.run({ rows: part.tokens.length, outputs: part.targets.length });
    return (this.#evaluation.view('logprob') as Float32Array).slice(0, part.targets.length);
  }

  /** Says where the first number that is not finite stands, in the order of the forward pass. */
  whereNotFinite(rows: number): string | undefined {
    for (const { parameter } of this.step.parameters)
      if (!allFinite(this.session.view(parameter.name))) return `parameter "${parameter.name}"`;
    for (const [layer, hidden] of this.step.hidden.entries()) {
      const view = this.#program.view(hidden);
      const width = this.step.program.buffers.get(hidden)?.shape[1] as number;
      if (!allFinite(view.subarray(0, rows * width)))
        return layer === 0 ? 'what enters layer 0' : `the output of layer ${layer - 1}`;
    }
    for (const { parameter, gradient } of this.step.parameters)
      if (!allFinite(this.session.view(gradient.name))) return `the gradient of "${parameter.name}"`;
    return undefined;
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  #fill({ tokens, positions, slots, outputRows, targets }: Part): void {
    const { maxRows, maxOutputs } = this.limits;
    if (tokens.length > maxRows || targets.length > maxOutputs)
      throw new RelufyError(
        'input',
        `training part: expected at most ${maxRows} tokens and ${maxOutputs} targets, got ${tokens.length} and ${targets.length}.`,
      );
    for (const [name, values] of Object.entries({ tokens, positions, slots, outputRows, targets }))
      this.session.view(name).set(values);
    const outputOfRow = this.session.view(trainingInputs.outputOfRow);
    outputOfRow.fill(-1);
    outputRows.forEach((row, output) => {
      outputOfRow[row] = output;
    });
  }

  #schedule({ learningRate, maxNorm, averageDecay = 0 }: UpdateOptions): void {
    // as the kernels have the betas
    const [beta1, beta2] = [Math.fround(this.#options.beta1), Math.fround(this.#options.beta2)];
    const schedule = this.session.view(trainingInputs.schedule);
    schedule[scheduleFields.learningRate] = learningRate;
    schedule[scheduleFields.correction1] = 1 - beta1 ** this.updates;
    schedule[scheduleFields.correction2] = 1 - beta2 ** this.updates;
    schedule[scheduleFields.maxNorm] = maxNorm;
    schedule[scheduleFields.averageDecay] = averageDecay;
  }
}

function allFinite(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
