// The platforms that have a package with a prebuilt binary, and what a cross-compiler has to know of each: its target
// in zig's words, with the oldest system that Node 20 runs on. Facts that decide the bytes only: the hash of the sources takes
// this file. What was tried of each platform is in tried.mjs.

/** By package: `@relufy/native-NAME`. */
export const targets = {
  'linux-x64': {
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
    zig: 'x86_64-linux-gnu.2.28',
    system: 'Linux, glibc 2.28',
  },
  'linux-arm64': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    zig: 'aarch64-linux-gnu.2.28',
    system: 'Linux, glibc 2.28',
  },
  'linux-x64-musl': {
    os: 'linux',
    cpu: 'x64',
    libc: 'musl',
    zig: 'x86_64-linux-musl',
    system: 'Linux, musl 1.2',
  },
  'linux-arm64-musl': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
    zig: 'aarch64-linux-musl',
    system: 'Linux, musl 1.2',
  },
  'darwin-arm64': { os: 'darwin', cpu: 'arm64', zig: 'aarch64-macos.11.0', system: 'macOS 11' },
  'darwin-x64': { os: 'darwin', cpu: 'x64', zig: 'x86_64-macos.11.0', system: 'macOS 11' },
  'win32-x64': {
    os: 'win32',
    cpu: 'x64',
    zig: 'x86_64-windows-gnu',
    system: 'Windows 10',
  },
  'win32-arm64': { os: 'win32', cpu: 'arm64', zig: 'aarch64-windows-gnu', system: 'Windows 10' },
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
