// `node testing/elsewhere.mjs NAME COMMAND...`: the contract suite against npm/NAME/relufy.node, under a Node of another
// system or processor: `COMMAND` starts it, an emulator before it or not. vitest brings binaries for this machine alone,
// so the suite is bundled into one file, and node:test runs it there (vitest-elsewhere.mjs).
// Needs `pnpm build` and `package:native` before. The exit status is the suite's.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const [name, command, ...args] = process.argv.slice(2);
const binary = here(`../npm/${name}/relufy.node`);
if (command === undefined || !existsSync(binary))
  throw new Error(`testing/elsewhere.mjs: expected NAME COMMAND..., and a file ${binary}. Run package:native first.`);

const folder = mkdtempSync(path.join(os.tmpdir(), 'relufy-elsewhere-'));
try {
  const suite = path.join(folder, 'contract.mjs');
  const fromVitest = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'));
  await build({
    entryPoints: [here('../src/contract.test.ts')],
    outfile: suite,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    alias: { vitest: here('vitest-elsewhere.mjs') },
    plugins: [
      {
        name: 'the parts of vitest, as vitest finds them',
        setup({ onResolve }) {
          onResolve({ filter: /^(@vitest\/expect|chai)$/ }, ({ path: asked }) => ({
            path: fileURLToPath(found(asked)),
          }));
        },
      },
    ],
    banner: {
      js: "import { createRequire as require$ } from 'node:module'; const require = require$(import.meta.url);",
    },
    logLevel: 'error',
  });
  function found(asked) {
    // chai is a dependency of @vitest/expect, not of vitest
    const from = asked === 'chai' ? createRequire(fromVitest.resolve('@vitest/expect')) : fromVitest;
    return new URL(`file://${from.resolve(asked)}`);
  }
  const began = performance.now();
  const { status } = spawnSync(command, [...args, suite], {
    stdio: 'inherit',
    env: { ...process.env, RELUFY_NATIVE_BINARY: binary },
  });
  console.log(`${name}: ${status === 0 ? 'passed' : 'failed'} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
