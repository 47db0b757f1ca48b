// The binary that the tests load: prebuilds/ if it is made of the present sources, else one compiled once into the
// temporary folder, named by the sources' hash. Where there is no compiler, the reason to skip by.
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { compileNative, findCompiler, sourceHash } from '../scripts/compile.mjs';

/** Sets RELUFY_NATIVE_BINARY; gives why not, if not. */
export async function provideBinary() {
  if (process.env.RELUFY_NATIVE_BINARY) return undefined;
  await import('../scripts/generate-ops.mjs');
  const file = path.join(
    os.tmpdir(),
    `relufy-native-${process.platform}-${process.arch}-${sourceHash()}`,
    'relufy.node',
  );
  if (!existsSync(file)) {
    if (findCompiler() === undefined) return 'no C++ compiler to build the binary with';
    await compileNative({ out: file });
  }
  process.env.RELUFY_NATIVE_BINARY = file;
  return undefined;
}
