// Steps over the slots of a session: one step of rows of any sequences, and what it leaves.
// Owns programs, each compiled when first asked for. Does not own slots (slot-claims.ts), who shares a step (scheduler.ts), whole
// sequences (sequences.ts), continuations of contexts (continuations.ts) nor the choice of tokens.
import {
  elementsOf,
  type LoadedProgram,
  type MaybePromise,
  pendingOf,
  type Session,
  type StepLimits,
} from '@relufy/tensor';
import type { Decoder } from '../decoder/decoder.js';
import type { DecoderProgram, ProgramOptions } from '../decoder/decoder-program.js';
import type { ModelSpec } from '../spec.js';
import { NeuronCache } from './neuron-cache.js';
import { countMarks, forgetMarks, hasMarks } from './neuron-marks.js';
import { isFiniteStep, notFiniteError } from './not-finite.js';
import { ProductChoice } from './product-choice.js';
import type { SlotCache } from './slots.js';
import { costOf, type ReadTogether, readTogether, rowsRead, type TokenCost } from './statistics.js';
import { type AdvanceOptions, neuronsRead, type StepActivity } from './step-activity.js';

/** What steps run on. */
export interface StepParts {
  readonly spec: ModelSpec;
  readonly session: Session;
  readonly decoder: Decoder;
  readonly limits: StepLimits;
  readonly cache: SlotCache;
  readonly sparsity: 'exact' | 'dense';
  /** Of the mean activation, what a neuron must exceed that is not in memory. Default 0. */
  readonly favourHeld?: number;
}

/** A program of the decoder, ready to run. */
export interface Loaded {
  readonly loaded: LoadedProgram;
  readonly built: DecoderProgram;
}

/** One token of a step. */
export interface Row {
  readonly token: number;
  readonly position: number;
  readonly slot: number;
}

/** Tokens that stand one after the other in a slot. */
export const rowsFrom = (ids: readonly number[], firstPosition: number, slot: number): Row[] =>
  ids.map((token, i) => ({ token, position: firstPosition + i, slot }));

/** What a step leaves for sequences that generate. */
export interface StepOutputs {
  /** [outputs, vocab]: valid until the next step. */
  readonly logits: Float32Array;
  /** Of each of the rows that were counted. */
  readonly costs: readonly TokenCost[];
  /** And where activity is wanted, which neurons, by layer. */
  readonly neurons: readonly StepActivity['neurons'][];
  /** Of all of them, where that is wanted. */
  readonly together?: ReadTogether;
  /** What the step took. */
  readonly ms: number;
}

/** Nothing here runs by itself: whoever runs a step has a turn of the claims (slot-claims.ts). */
export class Steps {
  readonly #parts: StepParts;
  readonly #programs = new Map<string, Loaded>();
  readonly #choice = new ProductChoice();
  readonly #closed: () => void;
  readonly #neurons: NeuronCache | undefined;

  /** `closed` throws where no step may run any more; long work asks it before each step. */
  constructor(parts: StepParts, closed: () => void) {
    this.#parts = parts;
    this.#closed = closed;
    if (parts.decoder.neuronSlots !== undefined) {
      const { spec, decoder, favourHeld } = parts;
      this.#neurons = new NeuronCache(spec, decoder, favourHeld);
    }
  }

  /** Of a model whose neurons stay in a file: what was read. */
  get neurons(): NeuronCache | undefined {
    return this.#neurons;
  }

  /** The program that decoding runs. */
  get program(): DecoderProgram['program'] {
    return this.load().built.program;
  }

  /** Compiled when first asked for. */
  load(options: Partial<ProgramOptions> = {}): Loaded {
    const key = JSON.stringify(options);
    let found = this.#programs.get(key);
    if (found === undefined) {
      const built = this.#parts.decoder.build({ sparsity: this.#parts.sparsity, ...options });
      found = { built, loaded: this.#parts.session.load(built.program) };
      this.#programs.set(key, found);
    }
    return found;
  }

  /**
   * One step of the decoding program, within a turn. What is read of weights is counted for the first `counted` rows.
   * @throws RelufyError as `run`.
   */
  async advance(
    { activity = false, sparsity = this.#parts.sparsity, phase, drafts, together: slot }: AdvanceOptions,
    rows: readonly Row[],
    outputRows: readonly number[],
    counted: number,
  ): Promise<StepOutputs> {
    const options = {
      ...(activity && { neurons: true }),
      ...(sparsity !== this.#parts.sparsity && { sparsity }),
      ...(phase && { phase }),
      ...(drafts && { drafts }),
    };
    let program = this.load(options);
    // what stays in a file is read by lists alone
    const hasLists =
      this.#parts.decoder.neuronSlots === undefined &&
      program.built.reads.some(({ activeCount }) => activeCount !== undefined);
    const way = hasLists ? this.#choice.next(rows.length) : 'listed';
    const marks = hasMarks(this.#parts) && hasLists && slot !== undefined && phase !== 'reuse';
    if (way === 'all' || marks)
      program = this.load({ ...options, ...(way === 'all' && { weights: way }), ...(marks && { phase: 'load' }) });
    if (marks) await this.forgetLoaded(slot);
    const start = performance.now();
    await this.run(program, rows, outputRows, []);
    const ms = performance.now() - start;
    if (hasLists) this.#choice.took(rows.length, way, ms);
    const counts = await rowsRead(program.built, program.loaded, counted);
    const costs = counts.map((rowsOf) => costOf(program.built, rowsOf));
    const neurons = activity ? await neuronsRead(program.built, program.loaded, counted) : [];
    const marked = marks ? await countMarks(this.#parts, slot) : undefined;
    const together = slot === undefined ? undefined : readTogether(program.built, counts, { marked, way });
    const logits = await this.logits(program, outputRows.length);
    return { logits, costs, neurons, ms, ...(together && { together }) };
  }

  /** Takes the marks away from a slot whose tokens load anew. Within a turn. */
  forgetLoaded(slot: number): Promise<void> {
    return forgetMarks(this.#parts, slot);
  }

  /**
   * One step over rows of any slots, each row at the end of what its slot holds.
   * @throws RelufyError `backend` that names the layer, where what came out is not finite. The slots then hold what they
   * held before, or nothing where their state is recurrent.
   */
  async run(
    { loaded, built }: Loaded,
    rows: readonly Row[],
    outputRows: readonly number[],
    targets: readonly number[],
  ): Promise<void> {
    this.#closed();
    const { session, cache } = this.#parts;
    const { denseTokens } = this.#parts.decoder.layout;
    const inputs = {
      tokens: Int32Array.from(rows, ({ token }) => token),
      positions: Int32Array.from(rows, ({ position }) => position),
      slots: Int32Array.from(rows, ({ slot }) => slot),
      outputRows,
      targets,
      ...(denseTokens !== undefined && {
        maskStrength: Float32Array.from(rows, ({ position }) => (position < denseTokens ? 0 : 1)),
      }),
    };
    const written = pendingOf(Object.entries(inputs).map(([name, values]) => session.write(name, values)));
    if (written) await written;
    const step = { rows: rows.length, outputs: outputRows.length };
    await loaded.run(step);
    await this.#neurons?.afterStep(session, { loaded, built });
    if (await isFiniteStep(this.#parts, loaded, rows, outputRows.length)) {
      for (const { slot, token } of rows) cache.append(slot, [token]);
      return;
    }
    if (!cache.keepsPrefixes) for (const { slot } of rows) cache.truncate(slot, 0);
    throw await notFiniteError(session, loaded, built, step, (dim, row) => {
      const { token, position } = rows[dim === 'rows' ? row : (outputRows[row] as number)] as Row;
      return `position ${position} (token id ${token})`;
    });
  }

  /** [rows, vocab] of the last step of that program. */
  logits({ loaded }: Loaded, rows: number): MaybePromise<Float32Array> {
    return elementsOf(loaded, 'logits', 0, rows * this.#parts.spec.vocabSize) as MaybePromise<Float32Array>;
  }
}
