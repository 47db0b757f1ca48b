// What an answer took, as OpenAI (`usage`), llama-server (`timings`) and we ourselves (`sparsity`) tell it. Clients ignore
// what they do not know. Does not own how it is counted (answer.ts).
import type { SparsityFigures, Totals } from './answer.js';

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly completion_tokens_details: { readonly reasoning_tokens: number };
}

export function usageOf({ promptTokens, cachedTokens, completionTokens, reasoningTokens }: Totals): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  };
}

export interface Timings {
  readonly cache_n: number;
  readonly prompt_n: number;
  readonly prompt_ms: number;
  readonly prompt_per_second: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
  readonly predicted_per_second: number;
  readonly first_token_ms: number;
}

export function timingsOf(totals: Totals): Timings {
  const computed = totals.promptTokens - totals.cachedTokens;
  const rate = (tokens: number, ms: number) => (ms > 0 ? (tokens / ms) * 1000 : 0);
  return {
    cache_n: totals.cachedTokens,
    prompt_n: computed,
    prompt_ms: totals.promptMs,
    prompt_per_second: rate(computed, totals.promptMs),
    predicted_n: totals.completionTokens,
    predicted_ms: totals.predictedMs,
    predicted_per_second: rate(totals.completionTokens, totals.predictedMs),
    first_token_ms: totals.firstTokenMs,
  };
}

/** `usage`, `timings` and `sparsity`, as every object of an answer ends. */
export function figuresOf(totals: Totals): {
  readonly usage: Usage;
  readonly timings: Timings;
  readonly sparsity: SparsityFigures;
} {
  return { usage: usageOf(totals), timings: timingsOf(totals), sparsity: totals.sparsity };
}

/** An id as OpenAI's look: `chatcmpl-` and letters that nobody can guess. */
export const newId = (prefix: string): string => `${prefix}-${crypto.randomUUID().replaceAll('-', '')}`;

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);
