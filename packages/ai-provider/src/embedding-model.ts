// Vectors of texts: the last hidden state of a language model, its mean over the tokens or that of the last token, of length
// 1. A decoder was not trained for this: similar texts come out near each other, and no more is promised.
import type { EmbeddingModelV3, EmbeddingModelV3CallOptions, EmbeddingModelV3Result } from '@ai-sdk/provider';
import type { ProvidedModel } from './provided-model.js';

export interface RelufyEmbeddingSettings {
  /** Default: `mean`. */
  readonly pooling?: 'mean' | 'last';
}

export class RelufyEmbeddingModel implements EmbeddingModelV3 {
  readonly specificationVersion = 'v3';
  readonly maxEmbeddingsPerCall = 2048;
  /** One model computes one text at a time. */
  readonly supportsParallelCalls = false;
  readonly provider: string;
  readonly modelId: string;
  readonly #load: () => Promise<ProvidedModel>;
  readonly #pooling: 'mean' | 'last';

  constructor(
    provider: string,
    modelId: string,
    load: () => Promise<ProvidedModel>,
    { pooling = 'mean' }: RelufyEmbeddingSettings,
  ) {
    this.provider = provider;
    this.modelId = modelId;
    this.#load = load;
    this.#pooling = pooling;
  }

  /** Bound: ai 7 calls it on a proxy, which has no private members. */
  readonly doEmbed = async ({ values, abortSignal }: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> => {
    const model = await this.#load();
    const tap = `hidden.${model.spec.numHiddenLayers}`;
    const embeddings: number[][] = [];
    let tokens = 0;
    for (const value of values) {
      abortSignal?.throwIfAborted();
      const ids = await model.encode(value);
      const { captured } = await model.forward(ids, { capture: [tap] });
      embeddings.push(pooled(captured[tap] as Float32Array, ids.length, this.#pooling));
      tokens += ids.length;
    }
    return { embeddings, usage: { tokens }, warnings: [] };
  };
}

/** `states`: [tokens, width]. */
function pooled(states: Float32Array, tokens: number, pooling: 'mean' | 'last'): number[] {
  const width = states.length / tokens;
  const sum = new Array<number>(width).fill(0);
  for (let token = pooling === 'last' ? tokens - 1 : 0; token < tokens; token++)
    for (let i = 0; i < width; i++) sum[i]! += states[token * width + i] as number;
  const length = Math.hypot(...sum);
  return sum.map((value) => (length > 0 ? value / length : 0));
}
