// The binary that the tests load: prebuilds/ if it is made of the present sources, else one compiled once into the
// temporary folder, named by the sources' hash, through ccache where there is one: another clone may have compiled the same.
// Where there is no compiler, the reason to skip by.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileNative, findCompiler, sourceHash } from '../scripts/compile.mjs';

const platform = `${process.platform}-${process.arch}`;

/** Sets RELUFY_NATIVE_BINARY; gives why not, if not. */
export async function provideBinary() {
  if (process.env.RELUFY_NATIVE_BINARY) return undefined;
  await import('../scripts/generate-ops.mjs');
  const hash = sourceHash();
  const prebuilt = fileURLToPath(new URL(`../prebuilds/${platform}/relufy.node`, import.meta.url));
  const file = path.join(os.tmpdir(), `relufy-native-${platform}-${hash}`, 'relufy.node');
  if (hash === sourcesOf(prebuilt)) process.env.RELUFY_NATIVE_BINARY = prebuilt;
  else {
    if (!existsSync(file)) {
      const compiler = findCompiler();
      if (compiler === undefined) return 'no C++ compiler to build the binary with';
      await compileNative({ out: file, compiler: cached(compiler) });
    }
    process.env.RELUFY_NATIVE_BINARY = file;
  }
  return undefined;
}

/** What build:native made a binary of, as it noted; undefined where it did not. */
function sourcesOf(binary) {
  const note = `${binary}.sources`;
  return existsSync(binary) && existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined;
}

function cached(compiler) {
  if (spawnSync('ccache', ['--version'], { stdio: 'ignore' }).status !== 0) return compiler;
  // clones lie in different folders
  process.env.CCACHE_BASEDIR ??= fileURLToPath(new URL('../../../', import.meta.url));
  process.env.CCACHE_NOHASHDIR ??= '1';
  return `ccache ${compiler}`;
}
