// `relufy('llama-tales')`: a provider of the AI SDK, and the models that it has loaded. Each id is loaded once, with its
// first call, and by all that use it. Does not own what a call does (language-model.ts, embedding-model.ts).
import { type EmbeddingModelV3, type LanguageModelV3, NoSuchModelError, type ProviderV3 } from '@ai-sdk/provider';
import { type LoadOptions, loadModel, type ModelSource } from 'relufy';
import { RelufyEmbeddingModel, type RelufyEmbeddingSettings } from './embedding-model.js';
import { RelufyLanguageModel, type RelufyLanguageModelSettings } from './language-model.js';
import type { ProvidedModel } from './provided-model.js';

export interface RelufyProviderSettings {
  /** How models are loaded: format, threads, backend, plan, progress. */
  readonly load?: LoadOptions;
  /** Sources behind names of your own: `{ mine: '/models/mine' }`, or files of a page. A loaded model is taken as it is. */
  readonly models?: Readonly<Record<string, ModelSource | ProvidedModel>>;
  /** How the provider calls itself. Default: "relufy". */
  readonly name?: string;
}

export interface RelufyProvider extends ProviderV3, AsyncDisposable {
  /** `llama-tales`, a name on the hub, a folder, a GGUF file, or a name of the settings. */
  (modelId: string, settings?: RelufyLanguageModelSettings): LanguageModelV3;
  languageModel(modelId: string, settings?: RelufyLanguageModelSettings): LanguageModelV3;
  /** Vectors of texts, by the last hidden state of a language model. */
  embeddingModel(modelId: string, settings?: RelufyEmbeddingSettings): EmbeddingModelV3;
  /** Loads a model before its first call. */
  preload(modelId: string): Promise<void>;
  /** Frees the models that the provider loaded. The next call loads again. */
  dispose(): Promise<void>;
}

const isLoaded = (source: ModelSource | ProvidedModel): source is ProvidedModel =>
  typeof source === 'object' && 'generate' in source;

export function createRelufy({ load, models = {}, name = 'relufy' }: RelufyProviderSettings = {}): RelufyProvider {
  const loaded = new Map<string, Promise<ProvidedModel>>();
  const get = (id: string): Promise<ProvidedModel> => {
    const source = Object.hasOwn(models, id) ? (models[id] as ModelSource | ProvidedModel) : id;
    if (isLoaded(source)) return Promise.resolve(source);
    let model = loaded.get(id);
    if (model === undefined) {
      model = loadModel(source, load);
      loaded.set(id, model);
      // what failed is tried again with the next call
      model.catch(() => loaded.delete(id));
    }
    return model;
  };
  const languageModel = (modelId: string, settings: RelufyLanguageModelSettings = {}): LanguageModelV3 =>
    new RelufyLanguageModel(name, modelId, () => get(modelId), settings);
  const dispose = async (): Promise<void> => {
    const all = [...loaded.values()];
    loaded.clear();
    await Promise.allSettled(all.map(async (model) => (await model).dispose()));
  };
  return Object.assign(languageModel, {
    specificationVersion: 'v3' as const,
    languageModel,
    embeddingModel: (modelId: string, settings: RelufyEmbeddingSettings = {}): EmbeddingModelV3 =>
      new RelufyEmbeddingModel(name, modelId, () => get(modelId), settings),
    imageModel: (modelId: string): never => {
      throw new NoSuchModelError({ modelId, modelType: 'imageModel' });
    },
    preload: async (modelId: string) => void (await get(modelId)),
    dispose,
    [Symbol.asyncDispose]: dispose,
  });
}

/** With settings as they come. */
export const relufy: RelufyProvider = createRelufy();
