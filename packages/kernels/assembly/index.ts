// What the WASM module of inference exports: `run`, and the kernels. training/index.ts is the other module.
export { stream } from './bench';
export { run } from './interpreter';
export * from './kernels';
export { scratchBytes, sharedBytes } from './scratch';
