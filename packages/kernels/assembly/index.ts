// What the WASM module exports: `run`, and the kernels (see interpreter.ts for why).
export { activate, multiply } from './activation';
export { attention, expScores, mixValues, scoreKeys, storeKv } from './attention';
export { stream } from './bench';
export { gather } from './gather';
export { tileColumns, tileRows } from './gemm';
export { run } from './interpreter';
export { linear } from './linear';
export { logProb } from './logprob';
export { layerNorm, rmsNorm } from './norm';
export { rope } from './rope';
export { axpyRows, gemvRows, selectActive } from './sparse';
