export { writeGguf } from '@relufy/checkpoint/node';
export * from './index.js';
export { createNodeBackend as createBackend } from './node/backend.js';
export { convertModel } from './node/convert.js';
export { type ModelFolderOptions, writeModelFolder } from './node/model-folder.js';
export { loadModel, openModelFiles } from './node/source.js';
