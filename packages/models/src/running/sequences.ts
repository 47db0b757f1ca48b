// Passes over a whole sequence in a slot of its own: logits, taps, log-probabilities.
// Owns the walk in spans, each a turn of the claims, and continuations that reuse neurons. Does not own a step (steps.ts) nor
// continuations that share steps (continuations.ts).
import { elementsOf } from '@relufy/tensor';
import type { ProgramOptions } from '../decoder/decoder-program.js';
import { type TokenLogprob, tokenLogprobs } from '../generation/sampling.js';
import { type ReuseOptions, type SequenceReuse, type StepSpan, stepSpans } from '../sparsity/reuse.js';
import type { SlotClaims } from './slot-claims.js';
import type { ContinuationScore, ForwardResult, ScoreRequest, ScoreResult } from './step-results.js';
import { type Loaded, rowsFrom, type StepParts, type Steps } from './steps.js';
import { keepTap } from './taps.js';

export class Sequences {
  readonly #parts: StepParts;
  readonly #steps: Steps;
  readonly #claims: SlotClaims;

  constructor(parts: StepParts, steps: Steps, claims: SlotClaims) {
    this.#parts = parts;
    this.#steps = steps;
    this.#claims = claims;
  }

  /** The program of a span of a sequence, whose marks are gone where it forgets. */
  async #begin(options: Partial<ProgramOptions>, slot: number, { phase, forgets }: StepSpan): Promise<Loaded> {
    if (forgets) await this.#steps.forgetLoaded(slot);
    return this.#steps.load({ ...options, ...(phase && { phase }) });
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
      await this.#steps.run(program, rowsFrom(chunk, at, slot), outputs, []);
      if (which === 'all') logits.set(await this.#steps.logits(program, chunk.length), at * vocabSize);
      else if (last) logits.set((await this.#steps.logits(program, outputs.length)).subarray(-vocabSize));
      for (const tap of capture) await keepTap(program, tap, captured, { rows: chunk.length, at, of: ids.length });
    });
    return { logits, shape: [which === 'all' ? ids.length : 1, vocabSize], captured };
  }

  /**
   * A whole sequence from position 0: log-probabilities, no logits kept, with taps. Alternatives need the logits of a
   * chunk; then a token's number comes from the same floats as theirs, so that the best one equals its alternative.
   * `rows`: how many tokens are computed; the last one's row tells nothing of the sequence.
   */
  async score(
    ids: readonly number[],
    capture: readonly string[] = [],
    topCount = 0,
    reuse?: SequenceReuse,
    rows = ids.length,
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
    await this.#sequence(ids.slice(0, rows), options, async (program, slot, { from: at, to }) => {
      const chunk = ids.slice(at, to);
      const targets = ids.slice(at + 1, to + 1);
      // whoever captures gets the last hidden state of the last id too; its target is of no interest
      const outputs = [...(capture.length > 0 ? chunk : targets).keys()];
      await this.#steps.run(program, rowsFrom(chunk, at, slot), outputs, targets);
      for (const tap of capture) await keepTap(program, tap, captured, { rows: chunk.length, at, of: ids.length });
      if (topCount > 0) {
        const logits = await this.#steps.logits(program, targets.length);
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

  /** Continuations whose windows reuse neurons: marks are those of one sequence, so each is a pass of its own. */
  async scoreReusing(requests: readonly ScoreRequest[], reuse: ReuseOptions): Promise<ContinuationScore[][]> {
    const scores: ContinuationScore[][] = [];
    for (const { context, continuations } of requests) {
      const own: ContinuationScore[] = [];
      for (const continuation of continuations) {
        const ids = [...context, ...continuation];
        const windows = { ...reuse, prompt: context.length };
        const { logprobs: all, isGreedy } = await this.score(ids, [], 0, windows, ids.length - 1);
        const logprobs = all.slice(context.length);
        const logprob = logprobs.reduce((sum, value) => sum + value, 0);
        own.push({ logprob, isGreedy: isGreedy.slice(context.length).every(Boolean), logprobs });
      }
      scores.push(own);
    }
    return scores;
  }
}
