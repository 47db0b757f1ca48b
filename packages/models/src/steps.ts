// Steps over the slots of a session: what is run for a prompt, a whole sequence, or continuations of a context.
// Owns programs and the KV bookkeeping. Does not own the order of a user's calls (model.ts) nor the choice of tokens.
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
import { isFiniteStep, notFiniteError } from './not-finite.js';
import { commonPrefix, type ParkedSlots } from './parked-slots.js';
import { type TokenLogprob, tokenLogprobs } from './sampling.js';
import type { SlotCache } from './slots.js';
import type { ModelSpec } from './spec.js';
import type { StepStatistics } from './statistics.js';
import { type Advanced, type AdvanceOptions, countDecode } from './step-activity.js';
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
  /** Conversations that another one took the chat's slot from. */
  readonly parked: ParkedSlots;
}

/** Says between steps that there is no point in going on. */
export type Stopped = () => boolean;

interface Loaded {
  readonly loaded: LoadedProgram;
  readonly built: DecoderProgram;
}

/** One token of a step. */
interface Row {
  readonly token: number;
  readonly position: number;
  readonly slot: number;
}

interface Scoring {
  readonly continuation: readonly number[];
  readonly logprobs: Float32Array;
  greedy: boolean;
}

/** A context in a round, with those of its continuations that fit in. */
interface Share {
  readonly context: readonly number[];
  readonly scorings: readonly Scoring[];
  readonly firstLane: number;
}

/** One chat's slot. Further slots are for work that forks. */
const chatSlot = 0;

/** One step runs at a time: whoever calls waits for the last call. */
export class Steps {
  readonly #parts: StepParts;
  readonly #programs = new Map<string, Loaded>();
  readonly #closed: () => void;
  /** The chat's slot holds a conversation, which may go on: nothing that was scored or passed through once. */
  #holdsChat = false;

  /** `closed` throws where no step may run any more; long work asks it before each step. */
  constructor(parts: StepParts, closed: () => void) {
    this.#parts = parts;
    this.#closed = closed;
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
   * Computes the ids that the chat's slot does not hold yet; gives the logits of the last one (valid until the next
   * step), or nothing when it was stopped on the way.
   */
  async advance(
    ids: readonly number[],
    stopped: Stopped,
    statistics: readonly StepStatistics[],
    { activity: wantsActivity = false, sparsity = this.#parts.sparsity }: AdvanceOptions = {},
  ): Promise<Advanced | undefined> {
    const { cache } = this.#parts;
    const program = this.#program({
      ...(wantsActivity && { neurons: true }),
      ...(sparsity !== this.#parts.sparsity && { sparsity }),
    });
    const start = performance.now();
    await this.#takeTurns(ids);
    const cached = Math.min(cache.commonPrefix(chatSlot, ids), ids.length - 1);
    if (!(await this.#prefill(program, ids, cached, ids.length, stopped))) return undefined;
    const ms = performance.now() - start;
    const isPrompt = ids.length - cached > 1;
    if (isPrompt) for (const each of statistics) each.prefill(ids.length - cached, ms);
    const activity = isPrompt ? undefined : await countDecode(program, ms, statistics, wantsActivity);
    return { logits: await this.#logits(program, 1), cached, ...(activity && { activity }) };
  }

  /** Conversations in turns: whoever has to leave the chat's slot is parked, and whoever comes back finds its tokens. */
  async #takeTurns(ids: readonly number[]): Promise<void> {
    const { cache, parked, session } = this.#parts;
    const held = cache.commonPrefix(chatSlot, ids);
    if (held < cache.length(chatSlot)) await this.#parkChat();
    // the last id is computed anyway, for its logits: a token of an answer has nothing to gain
    if (held < ids.length - 1 && parked.longestPrefix(ids) > held) {
      cache.truncate(chatSlot, 0);
      cache.append(chatSlot, await parked.restore(session, chatSlot, ids));
    }
    this.#holdsChat = true;
  }

  /** Before the chat's slot is used for something else. */
  async #parkChat(): Promise<void> {
    const { cache, parked, session } = this.#parts;
    if (this.#holdsChat) await parked.park(session, chatSlot, cache.ids(chatSlot));
    this.#holdsChat = false;
  }

  /**
   * Computes ids[from, to) in the chat's slot, with the logits of the last id of all. False when it was stopped: then
   * the slot holds what was computed.
   */
  async #prefill(
    program: Loaded,
    ids: readonly number[],
    from: number,
    to: number,
    stopped?: Stopped,
  ): Promise<boolean> {
    const { cache, limits } = this.#parts;
    cache.truncate(chatSlot, from);
    for (let at = from; at < to; at += limits.maxRows) {
      if (stopped?.()) return false;
      const chunk = ids.slice(at, Math.min(to, at + limits.maxRows));
      await this.#step(program, chunk, at, at + chunk.length === ids.length ? [chunk.length - 1] : []);
      cache.append(chatSlot, chunk);
    }
    return true;
  }

  /** Runs consecutive tokens of the chat's slot; `outputRows` are the rows whose logits are wanted. */
  #step(
    program: Loaded,
    ids: readonly number[],
    firstPosition: number,
    outputRows: readonly number[],
    targets: readonly number[] = [],
  ): Promise<void> {
    const rows = ids.map((token, row) => ({ token, position: firstPosition + row, slot: chatSlot }));
    return this.#run(program, rows, outputRows, targets);
  }

  /**
   * One step over rows of any slots.
   * @throws RelufyError `backend` that names the layer, where what came out is not finite. The slots then hold what they
   * held before.
   */
  async #run(
    { loaded, built }: Loaded,
    rows: readonly Row[],
    outputRows: readonly number[],
    targets: readonly number[],
  ): Promise<void> {
    this.#closed();
    const { session, cache } = this.#parts;
    const { denseTokens } = this.#parts.spec;
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
    if (await isFiniteStep(this.#parts, loaded, rows, outputRows.length)) return;
    for (const { slot, position } of rows) cache.truncate(slot, position);
    throw await notFiniteError(session, loaded, built, step, (dim, row) => {
      const { token, position } = rows[dim === 'rows' ? row : (outputRows[row] as number)] as Row;
      return `position ${position} (token id ${token})`;
    });
  }

  #logits({ loaded }: Loaded, rows: number): MaybePromise<Float32Array> {
    return elementsOf(loaded, 'logits', 0, rows * this.#parts.spec.vocabSize) as MaybePromise<Float32Array>;
  }

  /** A whole sequence from position 0, with taps. */
  async forward(ids: readonly number[], which: 'all' | 'last', capture: readonly string[]): Promise<ForwardResult> {
    const { limits, cache } = this.#parts;
    const { vocabSize } = this.#parts.spec;
    const program = this.#program(capture.length > 0 ? { taps: capture } : {});
    // the last hidden state exists for output rows only, so whoever captures gets all of them
    const every = which === 'all' || capture.length > 0;
    const chunkRows = every ? Math.min(limits.maxRows, limits.maxOutputs) : limits.maxRows;
    const logits = new Float32Array((which === 'all' ? ids.length : 1) * vocabSize);
    const captured: Record<string, Float32Array> = {};
    await this.#parkChat();
    cache.truncate(chatSlot, 0);
    for (let at = 0; at < ids.length; at += chunkRows) {
      const chunk = ids.slice(at, at + chunkRows);
      const last = at + chunk.length === ids.length;
      const outputs = every ? chunk.map((_, row) => row) : last ? [chunk.length - 1] : [];
      await this.#step(program, chunk, at, outputs);
      cache.append(chatSlot, chunk);
      if (which === 'all') logits.set(await this.#logits(program, chunk.length), at * vocabSize);
      else if (last) logits.set((await this.#logits(program, outputs.length)).subarray(-vocabSize));
      for (const tap of capture) await keepTap(program, tap, captured, { rows: chunk.length, at, of: ids.length });
    }
    return { logits, shape: [which === 'all' ? ids.length : 1, vocabSize], captured };
  }

  /**
   * Contexts with their continuations, as many at once as there are slots: what all contexts of a round begin with is
   * computed once in the chat's slot and forked, then the rest of each context once for its continuations. Rows of all of
   * them share steps, unpadded, so a score does not depend on what it is asked with: a row's sums never do.
   */
  async scoreBatch(requests: readonly ScoreRequest[]): Promise<ContinuationScore[][]> {
    const scorings = requests.map(({ continuations }) =>
      continuations.map((continuation): Scoring => {
        return { continuation, logprobs: new Float32Array(continuation.length), greedy: true };
      }),
    );
    let round: Share[] = [];
    let free = this.lanes;
    for (const [at, { context }] of requests.entries()) {
      const waiting = [...(scorings[at] as Scoring[])];
      while (waiting.length > 0) {
        const taken = waiting.splice(0, free);
        round.push({ context, scorings: taken, firstLane: this.lanes - free });
        free -= taken.length;
        if (free > 0) continue;
        await this.#scoreRound(round);
        [round, free] = [[], this.lanes];
      }
    }
    if (round.length > 0) await this.#scoreRound(round);
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

  async #scoreRound(round: readonly Share[]): Promise<void> {
    const { cache, limits } = this.#parts;
    const program = this.#program({ head: 'logprobs' });
    const slotOf = (lane: number) => (cache.slots === 1 ? chatSlot : lane + 1);
    const shared = commonLength(round.map(({ context }) => context));
    const first = (round[0] as Share).context;
    await this.#parkChat();
    // a prompt's last token comes with the continuation, whose first logits it gives
    await this.#prefill(program, first, Math.min(cache.commonPrefix(chatSlot, first), shared), shared);

    const forks: (Promise<unknown> | undefined)[] = [];
    const contexts = round.flatMap(({ context, firstLane }): Row[] => {
      const slot = slotOf(firstLane);
      forks.push(this.#fork(chatSlot, slot, shared));
      const rest = context.slice(shared, -1);
      cache.append(slot, rest);
      return rest.map((token, i) => ({ token, position: shared + i, slot }));
    });
    await Promise.all(forks.splice(0));
    for (let at = 0; at < contexts.length; at += limits.maxRows)
      await this.#run(program, contexts.slice(at, at + limits.maxRows), [], []);

    const rows = round.flatMap(({ context, scorings, firstLane }) =>
      scorings.flatMap((scoring, lane) => {
        const last = context.length - 1;
        const slot = slotOf(firstLane + lane);
        forks.push(this.#fork(slotOf(firstLane), slot, last));
        return scoring.continuation.map((target, i) => {
          const token = i === 0 ? (context[last] as number) : (scoring.continuation[i - 1] as number);
          return { token, position: last + i, slot, target, scoring, i };
        });
      }),
    );
    await Promise.all(forks);
    const chunkRows = Math.min(limits.maxRows, limits.maxOutputs);
    for (let at = 0; at < rows.length; at += chunkRows) {
      const chunk = rows.slice(at, at + chunkRows);
      const targets = chunk.map(({ target }) => target);
      await this.#run(program, chunk, [...chunk.keys()], targets);
      const logprobs = await elementsOf(program.loaded, 'logprob', 0, chunk.length);
      const best = await elementsOf(program.loaded, 'best', 0, chunk.length);
      chunk.forEach(({ scoring, target, i }, row) => {
        scoring.logprobs[i] = logprobs[row] as number;
        if (best[row] !== target) scoring.greedy = false;
      });
    }
  }

  #fork(from: number, to: number, length: number): Promise<unknown> | undefined {
    if (from === to) return undefined;
    const { numHiddenLayers, attention } = this.#parts.spec;
    const heads = numHiddenLayers * attention.numKeyValueHeads;
    return this.#parts.cache.fork(this.#parts.session, from, to, length, heads, attention.headDim);
  }

  /**
   * A whole sequence from position 0: log-probabilities, no logits kept, with taps. Alternatives need the logits of a
   * chunk; then a token's number comes from the same floats as theirs, so that the best one equals its alternative.
   */
  async score(ids: readonly number[], capture: readonly string[] = [], topCount = 0): Promise<ScoreResult> {
    const { limits, cache } = this.#parts;
    const { vocabSize } = this.#parts.spec;
    const taps = capture.length > 0 && { taps: capture };
    const program = this.#program({ ...taps, ...(topCount === 0 && { head: 'logprobs' }) });
    const topLogprobs: TokenLogprob[][] = ids.map(() => []);
    const captured: Record<string, Float32Array> = {};
    const chunkRows = Math.min(limits.maxRows, limits.maxOutputs);
    const logprobs = new Float32Array(ids.length).fill(Number.NaN);
    const isGreedy = ids.map(() => false);
    await this.#parkChat();
    cache.truncate(chatSlot, 0);
    for (let at = 0; at < ids.length; at += chunkRows) {
      const chunk = ids.slice(at, at + chunkRows);
      const targets = ids.slice(at + 1, at + 1 + chunk.length);
      // whoever captures gets the last hidden state of the last id too; its target is of no interest
      const outputs = [...(capture.length > 0 ? chunk : targets).keys()];
      await this.#step(program, chunk, at, outputs, targets);
      cache.append(chatSlot, chunk);
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
        continue;
      }
      logprobs.set(await elementsOf(program.loaded, 'logprob', 0, targets.length), at + 1);
      const best = await elementsOf(program.loaded, 'best', 0, targets.length);
      targets.forEach((target, row) => {
        isGreedy[at + 1 + row] = best[row] === target;
      });
    }
    return { logprobs, isGreedy, topLogprobs, captured };
  }
}

/** Ids that all contexts begin with, short of the last one of each. */
function commonLength(contexts: readonly (readonly number[])[]): number {
  const [first = []] = contexts;
  return Math.min(...contexts.map((context) => Math.min(context.length - 1, commonPrefix(first, context))));
}
