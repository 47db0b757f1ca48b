// What the WASM module of training exports: `run`, and the kernels (see ../interpreter.ts for why).
export * from '../kernels';
export { activateBackward, penalty } from './activate-backward';
export { blockAttention } from './attention';
export { attentionBackwardKeyValue } from './attention-key-value';
export { attentionBackwardQuery } from './attention-query';
export { crossEntropy } from './cross-entropy';
export { run } from './interpreter';
export { linearBackward } from './linear-backward';
export { linearGradient } from './linear-gradient';
export { normBackward, normGradient } from './norm-backward';
export { adamW, clip, sumSquares } from './optimizer';
export { mixBackward, mixGradient, tokenShiftBackward, wkvBackward } from './recurrent';
export { place, scatterAdd } from './rows';
export { tileList } from './sparse-tiles';
