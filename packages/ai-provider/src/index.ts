export type { RelufyProviderOptions } from './call-options.js';
export type { RelufyEmbeddingSettings } from './embedding-model.js';
export type { RelufyLanguageModelSettings, RelufyReport } from './language-model.js';
export { createRelufy, type RelufyProvider, type RelufyProviderSettings, relufy } from './provider.js';
