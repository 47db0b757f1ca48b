// The platforms that have a package with a prebuilt binary, and what a cross-compiler has to know of each: its target
// in zig's words, with the oldest system that Node 20 runs on; and what was tried of each. Facts only.

/** `tried` until a binary has been run: what package-native.mjs does to each. */
const inspected =
  'Compiled and inspected (exports, what it asks of the system). Not run: no machine of this kind was at hand.';

/** By package: `@relufy/native-NAME`. */
export const targets = {
  'linux-x64': {
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
    zig: 'x86_64-linux-gnu.2.28',
    system: 'Linux, glibc 2.28',
    tried:
      'Compiled, inspected, and run in Node 20.20 on Debian 12 with AVX-512: the bundled model answers in int8 as it does in WebAssembly. The contract suite was run on the musl binary, which is made of the same kernels.',
  },
  'linux-arm64': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    zig: 'aarch64-linux-gnu.2.28',
    system: 'Linux, glibc 2.28',
    tried:
      'Compiled, inspected, and run in Node 24.19 under qemu-user 7.2: the bundled model answers in bf16 and int8, with dotprod and with neon, as it does in WebAssembly on x64. The contract suite was not run, nor real hardware.',
  },
  'linux-x64-musl': {
    os: 'linux',
    cpu: 'x64',
    libc: 'musl',
    zig: 'x86_64-linux-musl',
    system: 'Linux, musl 1.2',
    tried:
      'Compiled, inspected, and run in Node 24.19 on musl 1.2.5: the contract suite passes for avx512, avx2 and scalar (162 tests: every op against the reference executor, with equal bits at 1, 2 and 3 threads).',
  },
  'linux-arm64-musl': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
    zig: 'aarch64-linux-musl',
    system: 'Linux, musl 1.2',
    tried:
      'Compiled, inspected, and loaded in Node 24.19 on musl 1.2.5 under qemu-user 7.2: memory, mapped files and the team of threads begin. No model was run, nor the contract suite, nor real hardware.',
  },
  'darwin-arm64': { os: 'darwin', cpu: 'arm64', zig: 'aarch64-macos.11.0', system: 'macOS 11', tried: inspected },
  'darwin-x64': { os: 'darwin', cpu: 'x64', zig: 'x86_64-macos.11.0', system: 'macOS 11', tried: inspected },
  'win32-x64': {
    os: 'win32',
    cpu: 'x64',
    zig: 'x86_64-windows-gnu',
    system: 'Windows 10',
    tried:
      'Compiled, inspected, and loaded in Node 20.20 under Wine 8: memory, files and the team of threads begin, and the first 11 ops of the contract suite pass for avx512 (then the ten minutes were over). Not run on Windows.',
  },
  'win32-arm64': { os: 'win32', cpu: 'arm64', zig: 'aarch64-windows-gnu', system: 'Windows 10', tried: inspected },
};

/** Instruction sets of the kernels in a binary, the fastest first, with their compiler flags. */
export const instructionSets = {
  x64: {
    avx512:
      '-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c -mbmi -mbmi2 -mpopcnt -mprefer-vector-width=512',
    avx2: '-mavx2 -mfma -mf16c -mbmi -mbmi2 -mpopcnt',
    scalar: '',
  },
  arm64: { dotprod: '-march=armv8.2-a+dotprod', neon: '', scalar: '' },
};
