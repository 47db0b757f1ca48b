// The kernels that every module exports (see interpreter.ts for why).
export { activate, multiply } from './activation';
export { attention, expScores, storeKv } from './attention';
export { tileBlocks } from './block-gemm';
export { tileTransposedBlocks } from './block-transposed';
export { concat } from './concat';
export { gather } from './gather';
export { tile } from './gemm';
export { tileTransposed } from './gemm-transposed';
export { linear } from './linear';
export { logProb } from './logprob';
export { choose, mask } from './masks';
export { layerNorm, rmsNorm } from './norm';
export { rope } from './rope';
export { quantize } from './quantize';
export { roundRow } from './round';
export { selectActive } from './select';
export { axpyRows, gemvRows } from './sparse';
export { keepTop } from './top';
