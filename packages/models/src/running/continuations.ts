// Log-probabilities of what may follow contexts, as many at once as there are slots.
// Owns rounds over the slots. Does not own a step (steps.ts) nor a pass over one sequence (sequences.ts).
import { elementsOf } from '@relufy/tensor';
import { commonPrefix } from './parked-slots.js';
import type { SlotClaims } from './slot-claims.js';
import type { ContinuationScore, ScoreRequest } from './step-results.js';
import { type Loaded, type Row, rowsFrom, type StepParts, type Steps } from './steps.js';

interface Scoring {
  readonly context: readonly number[];
  readonly continuation: readonly number[];
  readonly logprobs: Float32Array;
  greedy: boolean;
}

export class Continuations {
  readonly #parts: StepParts;
  readonly #steps: Steps;
  readonly #claims: SlotClaims;

  constructor(parts: StepParts, steps: Steps, claims: SlotClaims) {
    this.#parts = parts;
    this.#steps = steps;
    this.#claims = claims;
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
    const program = await this.#claims.turn(() => this.#steps.load({ head: 'logprobs' }));
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
      await this.#claims.turn(() => this.#steps.run(program, contexts.slice(at, at + limits.maxRows), [], []));

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
        await this.#steps.run(program, chunk, [...chunk.keys()], targets);
        const logprobs = await elementsOf(program.loaded, 'logprob', 0, chunk.length);
        const best = await elementsOf(program.loaded, 'best', 0, chunk.length);
        chunk.forEach(({ scoring, target, i }, row) => {
          scoring.logprobs[i] = logprobs[row] as number;
          if (best[row] !== target) scoring.greedy = false;
        });
      });
  }

  /** Computes ids[from, to) in a slot, without logits. */
  async #prefill(program: Loaded, slot: number, ids: readonly number[], from: number, to: number): Promise<void> {
    const { cache, limits } = this.#parts;
    for (let at = cache.truncate(slot, from); at < to; at += limits.maxRows) {
      const chunk = rowsFrom(ids.slice(at, Math.min(to, at + limits.maxRows)), at, slot);
      await this.#claims.turn(() => this.#steps.run(program, chunk, [], []));
    }
  }
}

/** Ids that all contexts begin with, short of the last one of each. */
function commonLength(contexts: readonly (readonly number[])[]): number {
  const [first = []] = contexts;
  return Math.min(...contexts.map((context) => Math.min(context.length - 1, commonPrefix(first, context))));
}
