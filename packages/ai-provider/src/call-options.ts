// From the AI SDK's call options to those of `generate`: names, defaults, and a warning for each setting that does nothing
// here. Does not own prompts (prompt.ts), tools (output-wanted.ts) nor what the options mean (@relufy/models).
import type { LanguageModelV3CallOptions, SharedV3Warning } from '@ai-sdk/provider';
import type { GenerateOptions } from '@relufy/models';
import { aBoolean, aNumber, aWhole, checkOptions, type OptionRules, oneOf } from '@relufy/tensor';
import type { ProvidedModel } from './provided-model.js';

/** `providerOptions: { relufy: ... }`: what the AI SDK has no name for. */
export interface RelufyProviderOptions {
  readonly minP?: number;
  readonly typicalP?: number;
  readonly repetitionPenalty?: number;
  readonly noRepeatNgramSize?: number;
  /** `dense` reads every weight: the same text, for comparison. */
  readonly sparsity?: 'exact' | 'dense';
  /** `enable_thinking` of the model's chat template. */
  readonly thinking?: boolean;
}

const rules: OptionRules<RelufyProviderOptions> = {
  minP: aNumber(0, 1),
  typicalP: aNumber(0, 1),
  repetitionPenalty: aNumber(0.01, 100),
  noRepeatNgramSize: aWhole(0),
  sparsity: oneOf('exact', 'dense'),
  thinking: aBoolean,
};

export interface CallSettings {
  readonly generate: GenerateOptions;
  readonly thinking: boolean | undefined;
  readonly warnings: readonly SharedV3Warning[];
}

/** What the caller leaves open is as the model's author samples (`generation_config.json`). */
export function callSettings(options: LanguageModelV3CallOptions, model: ProvidedModel): CallSettings {
  const own = (options.providerOptions?.relufy ?? {}) as RelufyProviderOptions;
  checkOptions('providerOptions.relufy', own, rules);
  const { thinking, ...further } = own;
  const warnings: SharedV3Warning[] = [];
  if (options.headers && Object.values(options.headers).some((value) => value !== undefined && !isOwn(value)))
    warnings.push({ type: 'unsupported', feature: 'headers', details: 'No request is made: the model runs here.' });
  const generate: GenerateOptions = {
    ...model.recommendedSampling,
    ...defined({
      maxNewTokens: options.maxOutputTokens,
      temperature: options.temperature,
      topP: options.topP,
      topK: options.topK,
      presencePenalty: options.presencePenalty,
      frequencyPenalty: options.frequencyPenalty,
      seed: options.seed,
      stop: options.stopSequences,
    }),
    ...further,
  };
  if (generate.temperature === 0)
    for (const key of ['topP', 'topK'] as const)
      if (options[key] !== undefined)
        warnings.push({
          type: 'unsupported',
          feature: key,
          details: 'With a temperature of 0 the likeliest token is taken.',
        });
  return { generate, thinking, warnings };
}

/** The AI SDK tells its own version in a header of every call. */
const isOwn = (value: string): boolean => /^ai(-sdk)?\//.test(value);

function defined<T extends object>(options: T): { [key in keyof T]?: NonNullable<T[key]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [key in keyof T]?: NonNullable<T[key]>;
  };
}
