export * from '@relufy/models';
export { type ErrorCode, RelufyError } from '@relufy/tensor';
export { loadModel } from './load-model.js';
export { bundledNames, resolveSource } from './source.js';
