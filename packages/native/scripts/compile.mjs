// Compiles cpp/ to one Node addon with the machine's own C++ compiler: no node-gyp, no cmake, no download. One object an
// instruction set (kernels/kernels.cpp with that set's flags), and one for everything else.
// Owns flags and commands; build-native.mjs, package-native.mjs and the tests call it. The variable CXX names another
// compiler.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { instructionSets } from './targets.mjs';

const folder = fileURLToPath(new URL('../cpp/', import.meta.url));

// Without contraction, what is written as a multiplication and an addition has two roundings on every path (simd.h).
const flags =
  '-std=c++20 -O3 -fvisibility=hidden -ffp-contract=off -fno-math-errno -Wall -Wextra -Wshadow -Wconversion -DNAPI_VERSION=8';
const words = (text) => text.split(' ').filter((word) => word !== '');
const here = (file) => fileURLToPath(new URL(file, import.meta.url));

/** Without a table of symbols, build ids and paths, so that the same sources give the same bytes. */
const systems = {
  linux: {
    compiling: '-fPIC',
    // no name leaves the binary but what Node calls: not even the operators new and delete of the library in it
    linking: [
      ...words('-shared -s -static-libstdc++ -static-libgcc -pthread -Wl,-z,nodelete -Wl,--build-id=none'),
      `-Wl,--version-script=${here('exports.lds')}`,
    ],
  },
  darwin: {
    compiling: '-fPIC',
    linking: words('-dynamiclib -Wl,-undefined,dynamic_lookup -Wl,-install_name,relufy.node'),
  },
  win32: { compiling: '', linking: words('-shared -s') },
};

const sources = ['binding', 'isa', 'library', 'memory', 'pages-posix', 'pages-windows', 'row-file', 'team', 'turns'];

/** The folder of node-api-headers: Node-API's headers, and the names that node.exe exports. */
export function nodeApi() {
  return path.dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json'));
}

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
  for (const file of ['targets.mjs', 'exports.lds']) hash.update(readFileSync(here(file)));
  for (const file of readdirSync(folder, { recursive: true }).sort())
    if (/\.(h|cpp)$/.test(file)) hash.update(file).update(readFileSync(path.join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

/**
 * Compiles into the file `out`, for this machine or with a cross-compiler for another. `extra` flags come last;
 * `libraries` are linked in; `spelling` replaces flags of instruction sets by the compiler's own.
 */
export async function compileNative({
  out,
  compiler = findCompiler(),
  os: platform = process.platform,
  cpu = process.arch,
  extra = '',
  libraries = [],
  spelling = {},
}) {
  const sets = instructionSets[cpu];
  const system = systems[platform];
  if (sets === undefined || system === undefined)
    throw new Error(`native build: expected linux, darwin or win32 on x64 or arm64, got ${platform} on ${cpu}.`);
  if (compiler === undefined)
    throw new Error('native build: no C++ compiler. Install g++ or clang++, or name one in the variable CXX.');
  const headers = path.join(nodeApi(), 'include');
  const [command, ...prefix] = words(compiler);
  const objects = mkdtempSync(path.join(os.tmpdir(), 'relufy-native-'));
  try {
    const kernels = path.join(folder, 'kernels', 'kernels.cpp');
    const jobs = [
      ...Object.entries(sets).map(([name, more]) => [
        kernels,
        name,
        `-DRELUFY_ISA_${name.toUpperCase()} ${spelling[more] ?? more}`,
      ]),
      ...sources.map((name) => [path.join(folder, `${name}.cpp`), name, '']),
    ].map(([source, name, more]) => ({ source, object: path.join(objects, `${name}.o`), more }));
    await inParallel(jobs, os.availableParallelism(), ({ source, object, more }) =>
      execute(command, [
        ...prefix,
        ...words(flags),
        ...words(system.compiling),
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
    const parts = [...jobs.map(({ object }) => object), ...libraries];
    await execute(command, [...prefix, ...parts, ...system.linking, '-o', built]);
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

/** Runs a command; throws where it fails. */
export function execute(command, args) {
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
