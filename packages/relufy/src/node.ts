export { convertModel, createBackend, writeGguf } from '@relufy/models';
export * from './index.js';
export { loadModel } from './node/load-model.js';
