// A decoder's training session: its step over parts of batches. Owns filling the decoder's inputs, counting what its FFNs
// do, and tracing numbers that are not finite. Does not own running and updating (program-trainer.ts), data or files.
import { alibiTable, attentionOf, type ModelSpec, notFiniteError, ropeTable } from '@relufy/models';
import { type Backend, elementsOf, type LoadedProgram, RelufyError, type Session } from '@relufy/tensor';
import type { UpdateOptions } from './optimizer.js';
import { ProgramTrainer } from './program-trainer.js';
import { raiseThresholds, type ThresholdViews } from './rising-thresholds.js';
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

export class TrainingSession<Memory extends Session = Session> {
  readonly spec: ModelSpec;
  readonly step: TrainingStep;
  readonly #options: TrainingStepOptions;
  readonly #trainer: ProgramTrainer<Memory>;
  #evaluation: LoadedProgram | undefined;

  private constructor(
    spec: ModelSpec,
    step: TrainingStep,
    trainer: ProgramTrainer<Memory>,
    options: TrainingStepOptions,
  ) {
    this.spec = spec;
    this.step = step;
    this.#trainer = trainer;
    this.#options = options;
  }

  /** Allocates a session. Its parameters are zeros: load a checkpoint or initialise them. */
  static async create<Memory extends Session>(
    backend: Backend<Memory>,
    spec: ModelSpec,
    options: TrainingStepOptions,
  ): Promise<TrainingSession<Memory>> {
    const step = buildTrainingStep(spec, options);
    const trainer = await ProgramTrainer.create(backend, step);
    const { session } = trainer;
    const { positions } = spec;
    if (positions.kind === 'rope') {
      const table = ropeTable(positions, options.contextLength);
      const half = positions.rotaryDim / 2;
      const inverse = table.map((value, i) => (i % positions.rotaryDim < half ? value : -value));
      await session.write('ropeTable', table);
      await session.write(trainingInputs.inverseRope, inverse);
    }
    if (positions.kind === 'alibi')
      await session.write('alibi', alibiTable(positions, attentionOf(spec).numAttentionHeads, options.contextLength));
    return new TrainingSession(spec, step, trainer, options);
  }

  get session(): Memory {
    return this.#trainer.session;
  }

  /** Updates so far: what Adam's corrections need. */
  get updates(): number {
    return this.#trainer.updates;
  }

  set updates(count: number) {
    this.#trainer.updates = count;
  }

  get limits() {
    return this.#options.limits;
  }

  /** Forward and backward of a part of a batch: gradients are added to what there is. `l1`: lambda over numbers. */
  async accumulate(part: Part, l1 = 0): Promise<PartResult> {
    await this.#fill(part);
    await this.session.write(trainingInputs.weights, part.weights);
    await this.session.write(trainingInputs.l1, [l1]);
    if (part.teacher) {
      await this.session.write(trainingInputs.teacherIds, part.teacher.ids);
      await this.session.write(trainingInputs.teacherLogprobs, part.teacher.logprobs);
      await this.session.write(trainingInputs.teacherWeights, part.teacher.weights);
    }
    const rows = part.tokens.length;
    const { loss, divergence } = await this.#trainer.accumulate({ rows, outputs: part.targets.length });
    const sums = async (activations: readonly string[]) => {
      const totals: number[] = [];
      for (const activation of activations) {
        const values = await this.#trainer.kept(activation, 0, rows);
        let total = 0;
        for (let i = 0; i < rows; i++) total += values[i] as number;
        totals.push(total);
      }
      return totals;
    };
    return {
      loss,
      divergence: part.teacher ? divergence : 0,
      rows,
      norms: await sums(this.step.activity.map(({ norm }) => norm)),
      active: await sums(this.step.activity.map(({ activeCount }) => activeCount)),
    };
  }

  /** Sets the thresholds of rising masks for a step, from the part of so many rows that ran last. */
  raiseThresholds(rows: number, step: number): Promise<void> {
    const views: ThresholdViews = {
      buffer: (name) => elementsOf(this.session, name),
      kept: (name) => this.#trainer.kept(name),
      write: (name, values) => this.session.write(name, values),
    };
    return raiseThresholds(this.step.masked, views, rows, step);
  }

  /** The norm of all gradients, before clipping. */
  gradientNorm(options: UpdateOptions): Promise<number> {
    return this.#trainer.gradientNorm(options);
  }

  /** Clips, moves the parameters, zeroes the gradients. Call it after `gradientNorm`, with the same options. */
  update(options: UpdateOptions): Promise<void> {
    return this.#trainer.update(options);
  }

  /** Gradients that shall not be used. */
  discard(): Promise<void> {
    return this.#trainer.discard();
  }

  /**
   * log p of each target of a part.
   * @throws RelufyError `backend` that names the layer, where one is not finite.
   */
  async score(part: Part): Promise<Float32Array> {
    this.#evaluation ??= this.session.load(this.step.evaluation.program);
    await this.#fill(part);
    const step = { rows: part.tokens.length, outputs: part.targets.length };
    await this.#evaluation.run(step);
    const logprobs = (await this.#evaluation.read('logprob', 0, part.targets.length)) as Float32Array;
    if (allFinite(logprobs)) return logprobs;
    throw await notFiniteError(this.session, this.#evaluation, this.step.evaluation, step, (dim, row) => {
      const at = dim === 'rows' ? row : (part.outputRows[row] as number);
      return `position ${part.positions[at]} (token id ${part.tokens[at]})`;
    });
  }

  /** Says where the first number that is not finite stands, in the order of the forward pass. */
  async whereNotFinite(rows: number): Promise<string | undefined> {
    for (const { parameter } of this.step.parameters)
      if (!allFinite(await elementsOf(this.session, parameter.name))) return `parameter "${parameter.name}"`;
    for (const [layer, hidden] of this.step.hidden.entries()) {
      const width = this.step.program.buffers.get(hidden)?.shape[1] as number;
      if (!allFinite(await this.#trainer.kept(hidden, 0, rows * width)))
        return layer === 0 ? 'what enters layer 0' : `the output of layer ${layer - 1}`;
    }
    for (const { parameter, gradient } of this.step.parameters)
      if (!allFinite(await elementsOf(this.session, gradient.name))) return `the gradient of "${parameter.name}"`;
    return undefined;
  }

  dispose(): Promise<void> {
    return this.#trainer.dispose();
  }

  async #fill({ tokens, positions, slots, outputRows, targets }: Part): Promise<void> {
    const { maxRows, maxOutputs } = this.limits;
    if (tokens.length > maxRows || targets.length > maxOutputs)
      throw new RelufyError(
        'input',
        `training part: expected at most ${maxRows} tokens and ${maxOutputs} targets, got ${tokens.length} and ${targets.length}.`,
      );
    for (const [name, values] of Object.entries({ tokens, positions, slots, outputRows, targets }))
      await this.session.write(name, values);
    const outputOfRow = new Int32Array(maxRows).fill(-1);
    outputRows.forEach((row, output) => {
      outputOfRow[row] = output;
    });
    await this.session.write(trainingInputs.outputOfRow, outputOfRow);
  }
}

function allFinite(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
