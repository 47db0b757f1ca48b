// What a pass over a sequence is asked for, and what it gives: logits, captured taps, log-probabilities. Plain data, for
// whoever calls a model.
// Does not own how it is computed (sequences.ts, continuations.ts).

import type { TokenLogprob } from '../generation/sampling.js';
import type { SequenceReuse } from '../sparsity/reuse.js';

export interface ForwardOptions {
  /** Logits of every position, or of the last one (default). */
  readonly logits?: 'all' | 'last';
  /**
   * `hidden.k` (what enters block k; the last one is what the head reads); inputs of layers: `qkv.k`, `o.k`, `upGate.k`,
   * `down.k`; `ffnInput.k` and `ffnResidual.k`, after and before the FFN's norm; `predictorScores.k`; `preActivation.k`,
   * what the FFN's activation is applied to; and what each mask leaves, by its places, as
   * `kv.k`, `gateUp.k` or `neurons.k`.
   */
  readonly capture?: readonly string[];
  /**
   * Windows of tokens that reuse the neurons of those before them, of a model loaded with `reuse`. Default: as its sparsity
   * plan says.
   */
  readonly reuse?: SequenceReuse;
}

export interface ScoreOptions extends Pick<ForwardOptions, 'capture' | 'reuse'> {
  /** How many of the likeliest tokens to tell at each place. Default 0. */
  readonly topLogprobs?: number;
}

export interface ForwardResult {
  /** [rows, vocab], row-major. */
  readonly logits: Float32Array;
  readonly shape: readonly [rows: number, vocabSize: number];
  /** Tap -> [tokens, width], row-major. */
  readonly captured: Readonly<Record<string, Float32Array>>;
}

/** A context, and what may follow it. */
export interface ScoreRequest {
  readonly context: readonly number[];
  readonly continuations: readonly (readonly number[])[];
}

/** What a continuation is worth after a context. */
export interface ContinuationScore {
  /** The sum of log p(token | before) over the continuation. */
  readonly logprob: number;
  /** Each of its tokens is the model's first choice. */
  readonly isGreedy: boolean;
  /** log p of each token. */
  readonly logprobs: Float32Array;
}

export interface ScoreResult {
  /** log p(inputIds[i] | inputIds[0..i-1]); NaN for the first, which nothing comes before. */
  readonly logprobs: Float32Array;
  /** inputIds[i] is the model's first choice there; false for the first. */
  readonly isGreedy: readonly boolean[];
  /** The likeliest tokens at each place, best first, as many as were asked for; none for the first. */
  readonly topLogprobs: readonly (readonly TokenLogprob[])[];
  /** Tap -> [inputIds.length, its width], row-major. */
  readonly captured: Readonly<Record<string, Float32Array>>;
}
