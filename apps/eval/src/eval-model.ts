// What an evaluation needs of a model, and a loaded Model as one. Small, so that tests bring their own.
import { hasNormRelu, type Model, type ScoreRequest } from '@relufy/models';
import { weightFormats } from '@relufy/sparsity';
import type { GenerationSettings } from './requests.js';
import type { Encoding } from './token-pairs.js';

export interface EvalModel extends Encoding {
  readonly name: string;
  /** Tokens that one pass reads. */
  readonly maxLength: number;
  /** What it runs with, for the results file. */
  readonly description: Readonly<Record<string, unknown>>;
  /** Continuations that it likes to be asked for at once. */
  readonly lanes: number;
  readonly score: (
    requests: readonly ScoreRequest[],
  ) => Promise<readonly (readonly { readonly logprob: number; readonly isGreedy: boolean }[])[]>;
  readonly generate: (
    context: readonly number[],
    settings: GenerationSettings,
    signal?: AbortSignal,
  ) => Promise<string>;
}

export interface EvalModelOptions {
  /** Default: what the tokenizer does when it encodes. */
  readonly addBosToken?: boolean;
}

export function evalModel(model: Model, { addBosToken = true }: EvalModelOptions = {}): EvalModel {
  const { tokenizer } = model;
  return {
    name: model.name,
    maxLength: model.contextLength,
    description: {
      model_type: model.modelType,
      backend: model.backend,
      weights: weightFormats(model),
      sparsity: model.sparsity,
      activation: model.spec.ffn.activation.kind,
      stage_2: hasNormRelu(model.spec),
      context_length: model.contextLength,
      add_bos_token: addBosToken,
    },
    encode: (text, addSpecialTokens) => model.encode(text, { addSpecialTokens }),
    addSpecialTokens: addBosToken,
    ...(tokenizer?.bosToken !== undefined && { bosText: tokenizer.bosToken }),
    prefixId: tokenizer?.bosId ?? model.eosTokenIds[0],
    lanes: model.scoringLanes,
    score: (requests) => model.scoreBatch(requests),
    generate: async (context, { maxNewTokens, temperature, until }, signal) => {
      const stream = model.generate(context, {
        maxNewTokens,
        temperature,
        stop: [...until],
        ...(signal && { signal }),
      });
      return (await stream.result).text;
    },
  };
}
