// The Node entry; index.ts is the same for browsers, and says why this repeats it.
export * from '@relufy/models';
export { type ErrorCode, RelufyError } from '@relufy/tensor';
export { loadModel } from './node/load-model.js';
export { bundledNames, resolveSource } from './source.js';
