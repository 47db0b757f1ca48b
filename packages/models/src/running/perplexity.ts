// Perplexity: e to the mean of -log p over scored tokens. One place for every measurement of a text. Does not own cutting a
// text into sequences, nor tasks that weigh words or bytes.
import type { ScoreResult } from './step-results.js';

/** Adds up log-probabilities of one sequence after the other. */
export class TokenLoss {
  #sum = 0;
  /** Scored so far. */
  tokens = 0;

  /** Of a sequence, from token `first` on. Nothing comes before its first token, which has none. */
  add(logprobs: Float32Array, first = 1): void {
    for (let i = first; i < logprobs.length; i++) this.#sum -= logprobs[i] as number;
    this.tokens += Math.max(0, logprobs.length - first);
  }

  /** Mean -log p: the cross-entropy, in nats. */
  get mean(): number {
    return this.#sum / this.tokens;
  }

  get perplexity(): number {
    return Math.exp(this.mean);
  }
}

export interface PerplexityOptions {
  /** Tokens of each sequence that are read and not scored. Default: 1, the first one, which nothing comes before. */
  readonly context?: number;
  readonly signal?: AbortSignal | undefined;
  /** Hears the share that is done, 0 to 1. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** Of a model over sequences, each from its own beginning. */
export async function perplexity(
  model: { score(ids: readonly number[]): Promise<Pick<ScoreResult, 'logprobs'>> },
  sequences: readonly (readonly number[])[],
  { context = 1, signal, onProgress }: PerplexityOptions = {},
): Promise<number> {
  const loss = new TokenLoss();
  for (const [at, ids] of sequences.entries()) {
    signal?.throwIfAborted();
    onProgress?.(at / sequences.length);
    loss.add((await model.score(ids)).logprobs, context);
  }
  return loss.perplexity;
}
