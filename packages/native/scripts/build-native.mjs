// `pnpm --filter @relufy/native build:native`: generates the record accessors, then compiles to
// prebuilds/PLATFORM/relufy.node, where the loader looks. Needs `pnpm build` before, and a C++20 compiler.
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import './generate-ops.mjs';
import { platformName } from '../dist/platform.js';
import { compileNative, findCompiler, sourceHash } from './compile.mjs';

const out = fileURLToPath(new URL(`../prebuilds/${platformName}/relufy.node`, import.meta.url));
const compiler = findCompiler();
const began = performance.now();
const extra = process.argv.slice(2).join(' ');
// of what it is made, so that tests need not make it again; other flags make another binary
const made = `${out}.sources`;
rmSync(made, { force: true });
await compileNative({ out, compiler, extra });
if (extra === '') writeFileSync(made, `${sourceHash()}\n`);
console.log(
  `prebuilds/${platformName}/relufy.node: built by ${compiler} in ${((performance.now() - began) / 1000).toFixed(1)} s`,
);
