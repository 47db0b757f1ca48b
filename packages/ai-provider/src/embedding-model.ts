// Vectors of texts: the last hidden state of a language model, its mean over the tokens or that of the last token, of length
// 1. A decoder was not trained for this: similar texts come out near each other, and no more is promised.
import type { EmbeddingModelV3, EmbeddingModelV3CallOptions, EmbeddingModelV3Result } from '@ai-sdk/provider';
import { type Pooling, pooled } from '@relufy/server/shaped-output';
import type { ProvidedModel } from './provided-model.js';

export interface RelufyEmbeddingSettings {
  /** Default: `mean`. */
  readonly pooling?: Pooling;
}

export class RelufyEmbeddingModel implements EmbeddingModelV3 {
  readonly specificationVersion = 'v3';
  readonly maxEmbeddingsPerCall = 2048;
  /** One model computes one text at a time. */
  readonly supportsParallelCalls = false;
  readonly provider: string;
  readonly modelId: string;
  readonly #load: () => Promise<ProvidedModel>;
  readonly #pooling: Pooling;

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
      embeddings.push([...pooled(captured[tap] as Float32Array, ids.length, this.#pooling)]);
      tokens += ids.length;
    }
    return { embeddings, usage: { tokens }, warnings: [] };
  };
}
