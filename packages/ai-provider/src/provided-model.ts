// What the provider needs of a model; `Model` of @relufy/models has it all, and a test's own may have no more.
import type { Model } from '@relufy/models';

export type ProvidedModel = Pick<
  Model,
  'name' | 'backend' | 'contextLength' | 'recommendedSampling' | 'encode' | 'generate' | 'forward' | 'dispose'
> & {
  readonly tokenizer:
    | Pick<NonNullable<Model['tokenizer']>, 'hasChatTemplate' | 'applyChatTemplate' | 'encode'>
    | undefined;
  readonly spec: Pick<Model['spec'], 'numHiddenLayers'>;
};
