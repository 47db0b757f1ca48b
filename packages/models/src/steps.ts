// Steps over the slots of a session: what is run for rows of any sequences, a whole sequence, or continuations of a context.
// Longer than 400 lines because scoring and forward share one slot of work with the steps that they run.
// Owns programs and what a step leaves. Does not own slots (slot-claims.ts), who shares a step (scheduler.ts) nor the choice
// of tokens. Longer than 400 lines because what runs a step is one class, whose parts are its programs and one slot cache.
import {
  elementsOf,
  type LoadedProgram,
  type MaybePromise,
  pendingOf,
  type Session,
  type StepLimits,
} from '@relufy/tensor';
import type { Decoder } from './decoder.js';
import type { DecoderProgram, ProgramOptions } from './decoder-program.js';
import { NeuronCache } from './neuron-cache.js';
import { countMarks, forgetMarks, hasMarks } from './neuron-marks.js';
import { isFiniteStep, notFiniteError } from './not-finite.js';
import { commonPrefix } from './parked-slots.js';
import { ProductChoice } from './product-choice.js';
import { type SequenceReuse, type StepSpan, stepSpans } from './reuse.js';
import { type TokenLogprob, tokenLogprobs } from './sampling.js';
import type { SlotClaims } from './slot-claims.js';
import type { SlotCache } from './slots.js';
import type { ModelSpec } from './spec.js';
import { costOf, type ReadTogether, readTogether, rowsRead, type TokenCost } from './statistics.js';
import { type AdvanceOptions, neuronsRead, type StepActivity } from './step-activity.js';
import type { ContinuationScore, ForwardResult, ScoreRequest, ScoreResult } from './step-results.js';
import { keepTap } from './taps.js';

/** What steps run on. */
export interface StepParts {
  readonly spec: ModelSpec;
  readonly session: Session;
  readonly decoder: Decoder;
  readonly limits: StepLimits;
  readonly cache: SlotCache;
  readonly sparsity: 'exact' | 'dense';
}

interface Loaded {
  readonly loaded: LoadedProgram;
  readonly built: DecoderProgram;
}

/** One token of a step. */
export interface Row {
  readonly token: number;
  readonly position: number;
  readonly slot: number;
}

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

interface Scoring {
  readonly context: readonly number[];
  readonly continuation: readonly number[];
  readonly logprobs: Float32Array;
  greedy: boolean;
}

/** Nothing here runs by itself: each step is a turn of the claims. */
export class Steps {
  readonly #parts: StepParts;
  readonly #claims: SlotClaims;
  readonly #programs = new Map<string, Loaded>();
  readonly #choice = new ProductChoice();
  readonly #closed: () => void;
  readonly #neurons: NeuronCache | undefined;

  /** `closed` throws where no step may run any more; long work asks it before each step. */
  constructor(parts: StepParts, claims: SlotClaims, closed: () => void) {
    this.#parts = parts;
    this.#claims = claims;
    this.#closed = closed;
    if (parts.decoder.neuronSlots !== undefined) this.#neurons = new NeuronCache(parts.spec, parts.decoder);
  }

  /** Of a model whose neurons stay in a file: what was read. */
  get neurons(): NeuronCache | undefined {
    return this.#neurons;
  }

  /** The program that decoding runs. */
  get program(): DecoderProgram['program'] {
    return this.#program().built.program;
  }

  /** Compiled when first asked for. */
  #program(options: Partial<ProgramOptions> = {}): Loaded {
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
   * @throws RelufyError as `#run`.
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
    let program = this.#program(options);
    // what stays in a file is read by lists alone
    const hasLists =
      this.#parts.decoder.neuronSlots === undefined &&
      program.built.reads.some(({ activeCount }) => activeCount !== undefined);
    const way = hasLists ? this.#choice.next(rows.length) : 'listed';
    const marks = hasMarks(this.#parts) && hasLists && slot !== undefined && phase !== 'reuse';
    if (way === 'all' || marks)
      program = this.#program({ ...options, ...(way === 'all' && { weights: way }), ...(marks && { phase: 'load' }) });
    if (marks) await this.forgetLoaded(slot);
    const start = performance.now();
    await this.#run(program, rows, outputRows, []);
    const ms = performance.now() - start;
    if (hasLists) this.#choice.took(rows.length, way, ms);
    const counts = await rowsRead(program.built, program.loaded, counted);
    const costs = counts.map((rowsOf) => costOf(program.built, rowsOf));
    const neurons = activity ? await neuronsRead(program.built, program.loaded, counted) : [];
    const marked = marks ? await countMarks(this.#parts, slot) : undefined;
    const together = slot === undefined ? undefined : readTogether(program.built, counts, { marked, way });
    const logits = await this.#logits(program, outputRows.length);
    return { logits, costs, neurons, ms, ...(together && { together }) };
  }

  /** Takes the marks away from a slot whose tokens load anew. Within a turn. */
  forgetLoaded(slot: number): Promise<void> {
    return forgetMarks(this.#parts, slot);
  }

  /** The program of a span of a sequence, whose marks are gone where it forgets. */
  async #begin(options: Partial<ProgramOptions>, slot: number, { phase, forgets }: StepSpan): Promise<Loaded> {
    if (forgets) await this.forgetLoaded(slot);
    return this.#program({ ...options, ...(phase && { phase }) });
  }

  /** Computes ids[from, to) in a slot, without logits. */
  async #prefill(program: Loaded, slot: number, ids: readonly number[], from: number, to: number): Promise<void> {
    const { cache, limits } = this.#parts;
    for (let at = cache.truncate(slot, from); at < to; at += limits.maxRows) {
      const chunk = ids.slice(at, Math.min(to, at + limits.maxRows));
      await this.#claims.turn(() => this.#step(program, slot, chunk, at, []));
    }
  }

  /** Runs the tokens that come next in a slot; `outputRows` are the rows whose logits are wanted. */
  #step(
    program: Loaded,
    slot: number,
    ids: readonly number[],
    firstPosition: number,
    outputRows: readonly number[],
    targets: readonly number[] = [],
  ): Promise<void> {
    const rows = ids.map((token, row) => ({ token, position: firstPosition + row, slot }));
    return this.#run(program, rows, outputRows, targets);
  }

  /**
   * One step over rows of any slots, each row at the end of what its slot holds.
   * @throws RelufyError `backend` that names the layer, where what came out is not finite. The slots then hold what they
   * held before, or nothing where their state is recurrent.
   */
  async #run(
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
    await this.#neurons?.afterStep(session);
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

  #logits({ loaded }: Loaded, rows: number): MaybePromise<Float32Array> {
    return elementsOf(loaded, 'logits', 0, rows * this.#parts.spec.vocabSize) as MaybePromise<Float32Array>;
  }

  /** A whole sequence from position 0 in a slot of its own, a turn for each span; `each` runs the step. */
  #sequence(
    ids: readonly number[],
    { chunkRows, reuse, ...options }: { chunkRows: number; reuse: SequenceReuse | undefined } & Partial<ProgramOptions>,
    each: (program: Loaded, slot: number, span: StepSpan) => Promise<void>,
  ): Promise<void> {
    return this.#claims.hold({}, async ([held]) => {
      const slot = held as number;
      const { cache } = this.#parts;
      cache.truncate(slot, 0);
      if (reuse) cache.keepFromOthers(slot, reuse.prompt ?? 0);
      for (const span of stepSpans(0, ids.length, chunkRows, reuse))
        await this.#claims.turn(async () => each(await this.#begin(options, slot, span), slot, span));
      if (reuse) cache.truncate(slot, reuse.prompt ?? 0);
    });
  }

  /** A whole sequence from position 0, with taps. */
  async forward(
    ids: readonly number[],
    which: 'all' | 'last',
    capture: readonly string[],
    reuse?: SequenceReuse,
  ): Promise<ForwardResult> {
    const { limits } = this.#parts;
    const { vocabSize } = this.#parts.spec;
    // the last hidden state exists for output rows only, so whoever captures gets all of them
    const every = which === 'all' || capture.length > 0;
    const chunkRows = every ? Math.min(limits.maxRows, limits.maxOutputs) : limits.maxRows;
    const logits = new Float32Array((which === 'all' ? ids.length : 1) * vocabSize);
    const captured: Record<string, Float32Array> = {};
    const options = { chunkRows, reuse, ...(capture.length > 0 && { taps: capture }) };
    await this.#sequence(ids, options, async (program, slot, { from: at, to }) => {
      const chunk = ids.slice(at, to);
      const last = to === ids.length;
      const outputs = every ? chunk.map((_, row) => row) : last ? [chunk.length - 1] : [];
      await this.#step(program, slot, chunk, at, outputs);
      if (which === 'all') logits.set(await this.#logits(program, chunk.length), at * vocabSize);
      else if (last) logits.set((await this.#logits(program, outputs.length)).subarray(-vocabSize));
      for (const tap of capture) await keepTap(program, tap, captured, { rows: chunk.length, at, of: ids.length });
    });
    return { logits, shape: [which === 'all' ? ids.length : 1, vocabSize], captured };
  }

  /**
   * Contexts with their continuations, as many at once as there are slots: what all contexts of a round begin with is
   * computed once in the first slot and forked, then the rest of each context once for its continuations. Rows of all of
   * them share steps, unpadded, so a score does not depend on what it is asked with: a row's sums never do.
   */
  async scoreBatch(requests: readonly ScoreRequest[]): Promise<ContinuationScore[][]> {
    const scorings = requests.map(({ context, continuations }) =>
      continuations.map((continuation): Scoring => {
        return { context, continuation, logprobs: new Float32Array(continuation.length), greedy: true };
      }),
    );
    const waiting = scorings.flat();
    while (waiting.length > 0) {
      const most = Math.min(this.#parts.cache.slots, waiting.length + 1);
      await this.#claims.hold({ least: 1, most, ids: (waiting[0] as Scoring).context }, (slots) =>
        this.#scoreRound(waiting.splice(0, Math.max(1, slots.length - 1)), slots),
      );
    }
    return scorings.map((own) =>
      own.map(({ logprobs, greedy }) => ({
        logprob: logprobs.reduce((sum, value) => sum + value, 0),
        isGreedy: greedy,
        logprobs,
      })),
    );
  }

  /** Continuations that one round takes: the first slot keeps what contexts have in common, unless it is the only one. */
  get lanes(): number {
    return Math.max(1, this.#parts.cache.slots - 1);
  }

  async #scoreRound(round: readonly Scoring[], slots: readonly number[]): Promise<void> {
    const { cache, limits, session } = this.#parts;
    const program = await this.#claims.turn(() => this.#program({ head: 'logprobs' }));
    const [shared] = slots as readonly [number];
    const slotOf = (lane: number) => slots[slots.length === 1 ? 0 : lane + 1] as number;
    const length = commonLength(round.map(({ context }) => context));
    const { context: first } = round[0] as Scoring;
    // a prompt's last token comes with the continuation, whose first logits it gives
    await this.#prefill(program, shared, first, Math.min(cache.commonPrefix(shared, first), length), length);

    const forks: (Promise<unknown> | undefined)[] = [];
    const fork = (from: number, to: number, of: number) => {
      if (from !== to) forks.push(cache.fork(session, from, to, of));
    };
    /** Where the context of each of the round is computed: continuations of one stand one after the other. */
    const firstLanes = round.map(({ context }) => round.findIndex((other) => other.context === context));
    const contexts = round.flatMap(({ context }, lane): Row[] => {
      if (firstLanes[lane] !== lane) return [];
      fork(shared, slotOf(lane), length);
      return context.slice(length, -1).map((token, i) => ({ token, position: length + i, slot: slotOf(lane) }));
    });
    await Promise.all(forks.splice(0));
    for (let at = 0; at < contexts.length; at += limits.maxRows)
      await this.#claims.turn(() => this.#run(program, contexts.slice(at, at + limits.maxRows), [], []));

    const rows = round.flatMap((scoring, lane) => {
      const { context, continuation } = scoring;
      const last = context.length - 1;
      const slot = slotOf(lane);
      fork(slotOf(firstLanes[lane] as number), slot, last);
      return continuation.map((target, i) => {
        const token = i === 0 ? (context[last] as number) : (continuation[i - 1] as number);
        return { token, position: last + i, slot, target, scoring, i };
      });
    });
    await Promise.all(forks);
    const chunkRows = Math.min(limits.maxRows, limits.maxOutputs);
    for (let at = 0; at < rows.length; at += chunkRows)
      await this.#claims.turn(async () => {
        const chunk = rows.slice(at, at + chunkRows);
        const targets = chunk.map(({ target }) => target);
        await this.#run(program, chunk, [...chunk.keys()], targets);
        const logprobs = await elementsOf(program.loaded, 'logprob', 0, chunk.length);
        const best = await elementsOf(program.loaded, 'best', 0, chunk.length);
        chunk.forEach(({ scoring, target, i }, row) => {
          scoring.logprobs[i] = logprobs[row] as number;
          if (best[row] !== target) scoring.greedy = false;
        });
      });
  }

  /**
   * A whole sequence from position 0: log-probabilities, no logits kept, with taps. Alternatives need the logits of a
   * chunk; then a token's number comes from the same floats as theirs, so that the best one equals its alternative.
   */
  async score(
    ids: readonly number[],
    capture: readonly string[] = [],
    topCount = 0,
    reuse?: SequenceReuse,
  ): Promise<ScoreResult> {
    const { limits } = this.#parts;
    const { vocabSize } = this.#parts.spec;
    const topLogprobs: TokenLogprob[][] = ids.map(() => []);
    const captured: Record<string, Float32Array> = {};
    const logprobs = new Float32Array(ids.length).fill(Number.NaN);
    const isGreedy = ids.map(() => false);
    const options = {
      chunkRows: Math.min(limits.maxRows, limits.maxOutputs),
      reuse,
      ...(capture.length > 0 && { taps: capture }),
      ...(topCount === 0 && { head: 'logprobs' as const }),
    };
    await this.#sequence(ids, options, async (program, slot, { from: at, to }) => {
      const chunk = ids.slice(at, to);
      const targets = ids.slice(at + 1, to + 1);
      // whoever captures gets the last hidden state of the last id too; its target is of no interest
      const outputs = [...(capture.length > 0 ? chunk : targets).keys()];
      await this.#step(program, slot, chunk, at, outputs, targets);
      for (const tap of capture) await keepTap(program, tap, captured, { rows: chunk.length, at, of: ids.length });
      if (topCount > 0) {
        const logits = await this.#logits(program, targets.length);
        targets.forEach((target, row) => {
          const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
          const { logprob, topLogprobs: best } = tokenLogprobs(own, target, topCount);
          logprobs[at + 1 + row] = logprob;
          topLogprobs[at + 1 + row] = best.map((top) => ({ ...top, logprob: Math.fround(top.logprob) }));
          isGreedy[at + 1 + row] = best[0]?.tokenId === target;
        });
        return;
      }
      logprobs.set(await elementsOf(program.loaded, 'logprob', 0, targets.length), at + 1);
      const best = await elementsOf(program.loaded, 'best', 0, targets.length);
      targets.forEach((target, row) => {
        isGreedy[at + 1 + row] = best[row] === target;
      });
    });
    return { logprobs, isGreedy, captured, topLogprobs };
  }
}

/** Ids that all contexts begin with, short of the last one of each. */
function commonLength(contexts: readonly (readonly number[])[]): number {
  const [first = []] = contexts;
  return Math.min(...contexts.map((context) => Math.min(context.length - 1, commonPrefix(first, context))));
}
