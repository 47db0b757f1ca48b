// The contract suite on the team at 1, 2 and 3 threads, and on the builds without relaxed SIMD and without shared memory.
// Where the engine has no relaxed SIMD (Node 20) the first two would be the same build, and one is run.
import { runBackendSuite } from '@relufy/tensor/contract';
import { rowFileOf } from '../../../tools/testing/row-file.js';
import { createWasmBackend } from '../dist/node.js';

const tolerance = 2e-6;
const probe = await createWasmBackend({ threads: 1 });
const hasRelaxedSimd = probe.description.includes('relaxed');
await probe.dispose();

runBackendSuite({
  name: 'wasm',
  create: (threads) => createWasmBackend({ threads, everyThread: true }),
  threads: [1, 2, 3],
  tolerance,
  makeRowFile: rowFileOf,
});

if (hasRelaxedSimd)
  runBackendSuite({
    name: 'wasm without relaxed SIMD',
    create: (threads) => createWasmBackend({ threads, relaxedSimd: false, everyThread: true }),
    threads: [1, 2],
    tolerance,
    makeRowFile: rowFileOf,
  });

runBackendSuite({
  name: 'wasm without shared memory',
  create: () => createWasmBackend({ sharedMemory: false }),
  threads: [1],
  tolerance,
  makeRowFile: rowFileOf,
});
