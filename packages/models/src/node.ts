export * from './index.js';
export { loadModel } from './node/source.js';
