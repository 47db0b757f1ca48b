// Compiles cpp/ to one Node addon with the machine's own C++ compiler: no node-gyp, no cmake, no download. One object an
// instruction set (kernels/kernels.cpp with that set's flags), and one for everything else.
// Owns flags and commands; build-native.mjs and the tests call it. The variable CXX names another compiler.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../cpp/', import.meta.url));

/** Flags of each instruction set, by architecture. */
const instructionSets = {
  x64: {
    avx512:
      '-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c -mbmi -mbmi2 -mpopcnt -mprefer-vector-width=512',
    avx2: '-mavx2 -mfma -mf16c -mbmi -mbmi2 -mpopcnt',
    scalar: '',
  },
  arm64: { dotprod: '-march=armv8.2-a+dotprod', neon: '', scalar: '' },
};

// Without contraction, what is written as a multiplication and an addition has two roundings on every path (simd.h).
const flags =
  '-std=c++20 -O3 -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -Wall -Wextra -Wshadow -Wconversion -DNAPI_VERSION=8';
const linking = {
  linux: '-shared -static-libstdc++ -static-libgcc -pthread -Wl,-z,nodelete -Wl,--no-undefined-version',
  darwin: '-bundle -undefined dynamic_lookup',
};

const words = (text) => text.split(' ').filter((word) => word !== '');

/** The compiler to use: CXX, or the first of g++, clang++, c++ that runs; undefined if none does. */
export function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++'];
  return candidates.find((name) => {
    const [command, ...args] = words(name);
    return spawnSync(command, [...args, '--version'], { stdio: 'ignore' }).status === 0;
  });
}

/** Changes when anything that the binary is made of does. */
export function sourceHash() {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  for (const file of readdirSync(folder, { recursive: true }).sort())
    if (/\.(h|cpp)$/.test(file)) hash.update(file).update(readFileSync(path.join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

/** Compiles into the file `out`. `extra` flags come last. */
export async function compileNative({ out, compiler = findCompiler(), arch = process.arch, extra = '' }) {
  const platform = process.platform;
  const sets = instructionSets[arch];
  if (sets === undefined || linking[platform] === undefined)
    throw new Error(`native build: expected linux or darwin on x64 or arm64, got ${platform} on ${arch}.`);
  if (compiler === undefined)
    throw new Error('native build: no C++ compiler. Install g++ or clang++, or name one in the variable CXX.');
  const headers = path.join(
    path.dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')),
    'include',
  );
  const [command, ...prefix] = words(compiler);
  const objects = mkdtempSync(path.join(os.tmpdir(), 'relufy-native-'));
  try {
    const kernels = path.join(folder, 'kernels', 'kernels.cpp');
    const jobs = [
      ...Object.entries(sets).map(([name, more]) => [kernels, name, `-DRELUFY_ISA_${name.toUpperCase()} ${more}`]),
      ...['binding', 'isa', 'memory', 'team', 'turns'].map((name) => [path.join(folder, `${name}.cpp`), name, '']),
    ].map(([source, name, more]) => ({ source, object: path.join(objects, `${name}.o`), more }));
    await inParallel(jobs, os.availableParallelism(), ({ source, object, more }) =>
      execute(command, [
        ...prefix,
        ...words(flags),
        ...words(more),
        ...words(extra),
        '-I',
        headers,
        '-c',
        source,
        '-o',
        object,
      ]),
    );
    mkdirSync(path.dirname(out), { recursive: true });
    const built = path.join(objects, 'relufy.node');
    await execute(command, [...prefix, ...jobs.map(({ object }) => object), ...words(linking[platform]), '-o', built]);
    // whoever has the old file loaded keeps it
    rmSync(out, { force: true });
    moveFile(built, out);
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}

async function inParallel(jobs, width, run) {
  const left = [...jobs];
  const serve = async () => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) await run(job);
  };
  await Promise.all(Array.from({ length: width }, serve));
}

function execute(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`native build: ${command} failed (${code}).`)),
    );
  });
}

function moveFile(from, to) {
  const beside = `${to}.${process.pid}`;
  try {
    renameSync(from, to);
  } catch {
    copyFileSync(from, beside); // another file system
    renameSync(beside, to);
  }
}
