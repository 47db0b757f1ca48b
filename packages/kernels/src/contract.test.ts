// The contract suite on the team at 1, 2 and 3 threads, and on the build without shared memory.
import { runBackendSuite } from '@relufy/tensor/contract';
import { createWasmBackend } from '../dist/node.js';

const tolerance = 2e-6;
const training =
  /^(gradient of |linearBackward|linearGradient|normBackward|normGradient|activateBackward|penalty|attentionBackward|scatterAdd|place|crossEntropy|sumSquares|adamW|clip)/;
const skip = [{ reason: 'the ops of training run on the reference backend only, for now', cases: training }];

runBackendSuite({
  name: 'wasm',
  create: (threads) => createWasmBackend({ threads }),
  threads: [1, 2, 3],
  tolerance,
  skip,
});

runBackendSuite({
  name: 'wasm without shared memory',
  create: () => createWasmBackend({ sharedMemory: false }),
  threads: [1],
  tolerance,
  skip,
});
