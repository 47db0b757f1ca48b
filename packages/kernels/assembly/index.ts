// What the WASM module exports: `run`, and the kernels (see interpreter.ts for why).
export { activate, multiply } from './activation';
export { attention, expScores, mixValues, scoreKeys, storeKv } from './attention';
export { stream } from './bench';
export { tileBlocks } from './block-gemm';
export { tileTransposedBlocks } from './block-transposed';
export { gather } from './gather';
export { tile } from './gemm';
export { tileTransposed } from './gemm-transposed';
export { run } from './interpreter';
export { linear } from './linear';
export { logProb } from './logprob';
export { layerNorm, rmsNorm } from './norm';
export { rope } from './rope';
export { quantize } from './quantize';
export { roundRow } from './round';
export { selectActive } from './select';
export { axpyRows, gemvRows } from './sparse';
