// The Node entry; index.ts is the same for browsers, which write no files and choose no backend.
export { convertModel, createBackend } from '@relufy/models';
export * from './front-door.js';
export { loadModel } from './node/load-model.js';
