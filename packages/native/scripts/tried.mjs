// What was tried of each platform's binary, for the README of its package. Of no influence on the bytes, so it stands apart from
// targets.mjs, which the hash of the sources takes: a platform that was tried keeps the binary that was tried.
// Owns words; describe-packages.mjs writes them out.

/** Until a binary has been run: what package-native.mjs does to each. */
const inspected =
  'Compiled and inspected (exports, what it asks of the system). Not run: no machine of this kind was at hand.';

/** By package: `@relufy/native-NAME`. */
export const tried = {
  'linux-x64':
    'Compiled, inspected, and run in Node 20.20 on Debian 12 with AVX-512: the bundled model answers in int8 as it does in WebAssembly. The contract suite was run on the musl binary, which is made of the same kernels.',
  'linux-arm64':
    'Compiled, inspected, and run in Node 24.19 under qemu-user 7.2: the bundled model answers in bf16 and int8, with dotprod and with neon, as it does in WebAssembly on x64. The contract suite was not run, nor real hardware.',
  'linux-x64-musl':
    'Compiled, inspected, and run in Node 24.19 on musl 1.2.5: the contract suite passes for avx512, avx2 and scalar (162 tests: every op against the reference executor, with equal bits at 1, 2 and 3 threads).',
  'linux-arm64-musl':
    'Compiled, inspected, and loaded in Node 24.19 on musl 1.2.5 under qemu-user 7.2: memory, mapped files and the team of threads begin. No model was run, nor the contract suite, nor real hardware.',
  'darwin-arm64': inspected,
  'darwin-x64': inspected,
  'win32-x64':
    'Compiled, inspected, and loaded in Node 20.20 under Wine 8: memory, files and the team of threads begin, and the first 11 ops of the contract suite pass for avx512 (then the ten minutes were over). Not run on Windows.',
  'win32-arm64': inspected,
};
