// `pnpm --filter @relufy/native package:native [NAME...] [--twice]`: compiles the binary of every platform on this machine
// into npm/NAME/relufy.node, the packages that @relufy/native has as optional dependencies, and looks inside each: what it
// asks of the system, what it exports, whether it is signed where it must be. --twice compiles each again with an empty
// cache and compares the bytes. Needs `pnpm build` before, and Python with scripts/requirements.txt (zig and lief).
// Owns the order of these steps; flags are in compile.mjs, platforms in targets.mjs, their manifests in npm/.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import './generate-ops.mjs';
import { compileNative, execute, nodeApi, sourceHash } from './compile.mjs';
import { targets } from './targets.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { twice: { type: 'boolean', default: false } },
});
const unknown = positionals.find((name) => targets[name] === undefined);
if (unknown !== undefined)
  throw new Error(`package:native: expected ${Object.keys(targets).join(', ')}, got ${unknown}.`);
const names = positionals.length > 0 ? positionals : Object.keys(targets);

const python = process.env.PYTHON ?? 'python3';
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
checkZig();

/** Flags of instruction sets that zig spells in its own way. */
const spelling = { '-march=armv8.2-a+dotprod': '-mcpu=generic+v8_2a+dotprod' };

const temporary = mkdtempSync(path.join(os.tmpdir(), 'relufy-package-'));
try {
  for (const name of names)
    await packageOne(name).catch((error) => {
      console.error(`${name}: ${error.message}`);
      process.exitCode = 1;
    });
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

async function packageOne(name) {
  const began = performance.now();
  const out = here(`../npm/${name}/relufy.node`);
  await crossCompile(name, out);
  const bytes = readFileSync(out);
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const { about, wrong } = JSON.parse(read(python, [here('inspect-binary.py'), out, JSON.stringify(targets[name])]));
  const sizes = `${Math.round(bytes.length / 1000)} kB, ${Math.round(gzipSync(bytes).length / 1000)} kB packed`;
  console.log(`${name}: ${sizes}, ${seconds} s, sha256 ${sha256(bytes)}\n  ${about.join('; ')}`);
  if (wrong.length > 0) throw new Error(wrong.join('; '));
  if (options.twice) await compareAgain(name, bytes);
  record(name, bytes);
}

async function compareAgain(name, bytes) {
  const again = path.join(temporary, name, 'relufy.node');
  process.env.ZIG_GLOBAL_CACHE_DIR = path.join(temporary, 'cache');
  process.env.ZIG_LOCAL_CACHE_DIR = path.join(temporary, 'cache');
  await crossCompile(name, again);
  delete process.env.ZIG_GLOBAL_CACHE_DIR;
  delete process.env.ZIG_LOCAL_CACHE_DIR;
  const second = sha256(readFileSync(again));
  if (second !== sha256(bytes)) throw new Error(`${name}: expected the same bytes twice, got ${second}.`);
  console.log('  compiled again with an empty cache: the same bytes');
}

/** For the release: which sources the binary is made of. */
function record(name, bytes) {
  const file = here('../prebuilds/built.json');
  const built = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  mkdirSync(path.dirname(file), { recursive: true });
  built[name] = { sources: sourceHash(), sha256: sha256(bytes) };
  writeFileSync(file, `${JSON.stringify(built, null, 2)}\n`);
}

async function crossCompile(name, out) {
  const { os: system, cpu, zig } = targets[name];
  const libraries = [];
  if (system === 'win32') {
    const library = path.join(temporary, `node-${cpu}.lib`);
    const machine = { x64: 'i386:x86-64', arm64: 'arm64' }[cpu];
    await execute(python, ['-m', 'ziglang', 'dlltool', '-d', definitions(), '-l', library, '-m', machine]);
    libraries.push(library);
  }
  await compileNative({
    out,
    compiler: `${python} -m ziglang c++ -target ${zig}`,
    os: system,
    cpu,
    libraries,
    spelling,
  });
}

/** The names that node.exe exports, for the linker. */
function definitions() {
  return path.join(nodeApi(), 'def', 'node_api.def');
}

function checkZig() {
  const wanted = /^ziglang==(.*)$/m.exec(readFileSync(here('requirements.txt'), 'utf8'))[1];
  const got = spawnSync(python, ['-m', 'ziglang', 'version'], { encoding: 'utf8' }).stdout?.trim();
  if (got !== wanted)
    throw new Error(
      `package:native: expected zig ${wanted} in ${python}, got ${got || 'none'}. ` +
        'Run `pip install -r packages/native/scripts/requirements.txt` in a virtual environment, and name its python in the variable PYTHON.',
    );
}

function read(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args[0]}: ${stderr}`);
  return stdout;
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
