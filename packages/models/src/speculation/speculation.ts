// Speculative decoding (Leviathan et al. 2211.17192, Chen et al. 2302.01318), exact: some tokens are drafted, one step
// computes the logits behind each of them, and a token of the answer is chosen from the model's own logits, by the same
// sampler with the same random numbers as without. A drafted token that equals the choice saved a step; at the first that
// does not, the rest is cut from the KV cache. So an answer is the same token by token, greedy or sampled, whatever filters,
// grammars and stops there are: a draft that is one token has its probability under the model as its chance.
// Does not own who drafts (drafters.ts), how many (pace.ts), nor a step (../scheduler.ts).
import { RelufyError } from '@relufy/tensor';
import { commonPrefix } from '../running/parked-slots.js';
import type { Lane, LaneStep } from '../running/scheduler.js';
import type { StepStatistics } from '../running/statistics.js';
import type { Advanced } from '../running/step-activity.js';
import type { Drafter } from './drafters.js';
import type { SpeculateOptions } from './options.js';
import type { Pace } from './pace.js';

interface SpeculationParts {
  readonly lane: Lane;
  /** Opened with the first draft, or never. */
  readonly openDrafter: () => Drafter | undefined;
  readonly pace: Pace;
  readonly options: Required<SpeculateOptions>;
  readonly contextLength: number;
  /** What counts this answer, and the model's. */
  readonly statistics: () => readonly StepStatistics[];
}

/** A step that verified a draft, as long as its logits are of use. */
interface Verified {
  readonly step: LaneStep;
  readonly tokens: readonly number[];
  /** Ids before the draft. */
  readonly from: number;
  readonly draftMs: number;
  /** Until its answer was here, with all that was read of it. */
  readonly stepMs: number;
}

export class Speculation {
  /** Where its answer is computed. */
  readonly lane: Lane;
  readonly #parts: SpeculationParts;
  #drafter: Drafter | undefined;
  /** It failed: a model that drafts was disposed of, or gave no numbers. The answer is the model's, and goes on. */
  #isOutOfDrafts = false;
  #verified: Verified | undefined;
  /** The prompt has been computed. */
  #isAnswering = false;
  /** Prompt and answer: the list that `advance` is given, which grows. */
  #ids: readonly number[] = [];

  constructor(parts: SpeculationParts) {
    this.lane = parts.lane;
    this.#parts = parts;
  }

  /** The logits behind `ids`, after which at most `most` tokens may come. Always the same list, which grows by a token. */
  async advance(ids: readonly number[], most: number): Promise<Advanced | undefined> {
    this.#ids = ids;
    const known = this.#nextVerified(ids);
    if (known) return known;
    const drafted = await this.#draft(ids, most);
    if (drafted === undefined) return this.#plainStep(ids);
    const { tokens, draftMs } = drafted;
    const start = performance.now();
    const step = await this.#verify(ids, tokens);
    if (step === undefined) return this.#plainStep(ids);
    this.#verified = { step, tokens, from: ids.length, draftMs, stepMs: performance.now() - start };
    return step.rows[0];
  }

  /** Ends it, and gives the slot back: nothing is in it that is not in the answer. */
  close(): void {
    this.settle();
    this.#drafter?.close();
    this.#parts.lane.leave(Math.max(0, this.#ids.length - 1));
  }

  /** Where the token that was chosen last is the one that was drafted, its logits are there. */
  #nextVerified(ids: readonly number[]): Advanced | undefined {
    if (this.#verified === undefined) return undefined;
    const { step, tokens, from } = this.#verified;
    const at = ids.length - from;
    const row = ids.at(-1) === tokens[at - 1] ? step.rows[at] : undefined;
    const cost = step.costs[at];
    if (row === undefined || cost === undefined) {
      this.settle();
      return undefined;
    }
    // its time and its bytes are those of the step, which the first token has
    for (const statistics of this.#parts.statistics()) statistics.decode(0, { ...cost, bytes: 0 });
    return row;
  }

  /** Tells what became of the last draft, as far as the answer has come. */
  settle(): void {
    if (this.#verified === undefined) return;
    const { step, tokens, from, draftMs, stepMs } = this.#verified;
    this.#verified = undefined;
    const chosen = this.#ids.slice(from);
    const accepted = commonPrefix(tokens, chosen);
    // an answer that ended says nothing about what would have come
    const compared = Math.min(tokens.length, chosen.length, accepted + 1);
    const took = { drafted: tokens.length, accepted, compared, draftMs, stepMs };
    if (compared > 0) this.#parts.pace.verified(took);
    const { together, costs } = step;
    const down = costs[0]?.shares.filter(({ site }) => site === 'down') ?? [];
    const ofRow = down.reduce((sum, { share }) => sum + share, 0) / Math.max(1, down.length);
    const union = together?.neurons === undefined ? undefined : { density: together.neurons, ofRow };
    for (const statistics of this.#parts.statistics()) statistics.verified({ ...took, ...(union && { union }) });
  }

  /** undefined where none is to be made. */
  async #draft(
    ids: readonly number[],
    most: number,
  ): Promise<{ readonly tokens: readonly number[]; readonly draftMs: number } | undefined> {
    const { lane, pace, options, contextLength } = this.#parts;
    // the token after the last drafted one is chosen as well
    const room = Math.min(options.tokens, most - 1, contextLength - ids.length, lane.mostDrafted);
    // beside others, rows are theirs
    if (this.#isOutOfDrafts || !this.#isAnswering || room < 1 || !lane.isAlone) return undefined;
    const count = options.adaptive ? pace.next(room) : room;
    if (count === 0) return undefined;
    if (this.#drafter === undefined) {
      this.#drafter = this.#parts.openDrafter();
      if (this.#drafter?.prepare) lane.rest();
      await this.#orNone(this.#drafter?.prepare?.(ids));
    }
    const start = performance.now();
    const drafting = this.#isOutOfDrafts ? undefined : this.#drafter?.draft(ids, count);
    // what was asked is over, and whoever came meanwhile need not wait for a draft
    if (drafting instanceof Promise) lane.rest();
    const draft = await this.#orNone(drafting);
    if (draft === undefined || draft.tokens.length === 0) return undefined;
    const draftMs = performance.now() - start;
    if (draft.bytes > 0) for (const statistics of this.#parts.statistics()) statistics.drafts(draftMs, draft.bytes);
    return { tokens: draft.tokens, draftMs };
  }

  /** What a drafter gives; of one that fails nothing, and nothing more is asked of it. */
  async #orNone<T>(drafting: T | Promise<T>): Promise<T | undefined> {
    try {
      return await drafting;
    } catch (error) {
      if (!RelufyError.is(error) || (error.code !== 'backend' && error.code !== 'state')) throw error;
      this.#isOutOfDrafts = true;
      return undefined;
    }
  }

  /** undefined where a row of a token that is not in the answer gave no numbers. */
  async #verify(ids: readonly number[], tokens: readonly number[]): Promise<LaneStep | undefined> {
    try {
      return await this.#parts.lane.advance([...ids, ...tokens], { drafted: tokens.length });
    } catch (error) {
      if (RelufyError.is(error) && error.code === 'backend') return undefined;
      throw error;
    }
  }

  async #plainStep(ids: readonly number[]): Promise<Advanced | undefined> {
    const { lane, pace } = this.#parts;
    const start = performance.now();
    const step = await lane.advance(ids);
    const ms = performance.now() - start;
    if (!this.#isAnswering) pace.begin();
    else if (step && step.costs.length > 0 && lane.isAlone) {
      pace.plain(ms);
      for (const statistics of this.#parts.statistics()) statistics.plainStep(ms);
    }
    this.#isAnswering = true;
    return step?.rows[0];
  }
}
