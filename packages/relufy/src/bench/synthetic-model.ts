// A decoder of made-up weights in a session: buffers filled, programs loaded, steps run with another token each time, and
// what a step read counted. Does not own what is compared (sparse-decode.ts, plans.ts), the numbers (synthetic.ts) or the
// clock (measure.ts).
import {
  buildDecoder,
  type DecoderProgram,
  fillPartial,
  fillSigns,
  fillTwoBits,
  type ModelSpec,
  type WeightRead,
} from '@relufy/models';
import type { BufferDecl, BufferView, DType, HostBackend, HostProgram, HostSession } from '@relufy/tensor';
import { fillRandom, fillRows } from './synthetic.js';

/** A program of a model, in its session. */
export interface LoadedStep {
  readonly built: DecoderProgram;
  readonly loaded: HostProgram;
}

export interface SyntheticOptions {
  /** Most rows of a step; default 1. */
  readonly maxRows?: number;
  /** Rows whose logits are computed at most; default 1, the last one. */
  readonly maxOutputs?: number;
  /** Rows of a buffer that are not random: so many, the rest repeats them; undefined for a buffer that is. */
  readonly rowsOf?: (
    decl: BufferDecl,
  ) => { readonly count: number; readonly row: (index: number) => Float32Array } | undefined;
}

/** The first position of a step, where nothing else is asked for. */
const usualPosition = 128;
/** Rows of weights that decide which neurons are active, before they repeat: equal ones are active together. */
const distinctNeurons = 1024;

export class SyntheticModel {
  readonly #session: HostSession;
  readonly #decoder: (spec: ModelSpec) => ReturnType<typeof buildDecoder>;
  readonly #spec: ModelSpec;
  #steps = 0;

  private constructor(
    session: HostSession,
    decoder: (spec: ModelSpec) => ReturnType<typeof buildDecoder>,
    spec: ModelSpec,
  ) {
    this.#session = session;
    this.#decoder = decoder;
    this.#spec = spec;
  }

  static async open(
    backend: HostBackend,
    spec: ModelSpec,
    dtype: DType,
    { maxRows = 1, maxOutputs = 1, rowsOf }: SyntheticOptions = {},
  ): Promise<SyntheticModel> {
    const limits = { maxRows, maxOutputs };
    const decoder = (one: ModelSpec) =>
      buildDecoder(one, { limits, slots: 1, contextLength: 512, matrixDType: () => dtype });
    const { buffers } = decoder(spec);
    const session = await backend.createSession(buffers, limits);
    buffers.forEach((decl, seed) => {
      const view = session.view(decl.name);
      const rows = rowsOf?.(decl);
      if (rows) fillRows(view, decl, rows.count, rows.row);
      else if (/[nN]orm\.weight$/.test(decl.name)) view.fill(1);
      else if (/(bias|threshold)$/.test(decl.name)) view.fill(0);
      else if (decl.kind === 'weight' || decl.kind === 'constant')
        fillRandom(view, decl, seed + 1, /(gate|up)\.weight$/.test(decl.name) ? distinctNeurons : undefined);
    });
    session.view('slots').fill(0);
    // what a predictor takes of the weights themselves
    await fillSigns(spec, buffers, session);
    await fillPartial(spec, buffers, session);
    await fillTwoBits(spec, buffers, session);
    return new SyntheticModel(session, decoder, spec);
  }

  view(buffer: string): BufferView {
    return this.#session.view(buffer);
  }

  /** Buffers of this spec have to be those that the model was opened with. */
  load(spec: ModelSpec, sparsity: 'dense' | 'exact', taps: readonly string[] = []): LoadedStep {
    const built = this.#decoder(spec).build({ sparsity, taps });
    return { built, loaded: this.#session.load(built.program) };
  }

  /** Other tokens in every step, so that no set of neurons repeats; `again`: those of the step before. */
  async run({ loaded }: LoadedStep, { rows = 1, again = false, outputs = 1 } = {}): Promise<void> {
    const { mixer, vocabSize } = this.#spec;
    // a recurrent state goes on from step to step: begun anew, two programs can be compared
    const first = rows === 1 && mixer.kind === 'attention' ? usualPosition : 0;
    if (!again) this.#steps += rows;
    const token = this.#steps;
    const each = (of: (row: number) => number) => Int32Array.from({ length: rows }, (_, row) => of(row));
    this.#session.view('tokens').set(each((row) => ((token + row) * 7919) % vocabSize));
    this.#session.view('positions').set(each((row) => first + row));
    const last = Int32Array.from({ length: outputs }, (_, i) => rows - outputs + i);
    this.#session.view('outputRows').set(last);
    await loaded.run({ rows, outputs });
  }

  /** @throws Error unless two programs give the same logits, bit for bit. */
  async checkEqual(one: LoadedStep, other: LoadedStep, rows = 1): Promise<void> {
    await this.run(one, { rows });
    const logits = (one.loaded.view('logits') as Float32Array).slice();
    await this.run(other, { rows, again: true });
    const expected = other.loaded.view('logits') as Float32Array;
    if (!logits.every((value, i) => Number.isFinite(value) && Object.is(value, expected[i])))
      throw new Error('internal: sparse and dense decoding disagree; nothing was timed');
  }

  /** Of the last step of one row: each read of weights with how many rows of it there were. */
  readsOf({ built, loaded }: LoadedStep): readonly (WeightRead & { readonly read: number })[] {
    return built.reads.map((one) => ({
      ...one,
      read: one.activeCount === undefined ? one.rows : (loaded.view(one.activeCount)[0] as number),
    }));
  }

  dispose(): Promise<void> {
    return this.#session.dispose();
  }
}
