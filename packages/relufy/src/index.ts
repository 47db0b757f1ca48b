// The browser entry; node.ts is the same for Node. Nothing in this package imports either of them: an entry that another
// file reaches is built into a chunk, and there esbuild loses `export *` (tools/checks/exports.test.ts would tell).
export * from '@relufy/models';
export { type ErrorCode, RelufyError } from '@relufy/tensor';
export { loadModel } from './load-model.js';
export { bundledNames, resolveSource } from './source.js';
