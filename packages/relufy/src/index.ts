// The browser entry; node.ts is the same for Node.
export * from './front-door.js';
export { loadModel } from './load-model.js';
