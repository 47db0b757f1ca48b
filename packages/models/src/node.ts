export * from './index.js';
export { convertModel } from './node/convert.js';
export { loadModel } from './node/source.js';
