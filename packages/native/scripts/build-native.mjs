// `pnpm --filter @relufy/native build:native`: generates the record accessors, then compiles to
// prebuilds/PLATFORM/relufy.node, where the loader looks. Needs `pnpm build` before, and a C++20 compiler.
import { fileURLToPath } from 'node:url';
import './generate-ops.mjs';
import { platformName } from '../dist/platform.js';
import { compileNative, findCompiler } from './compile.mjs';

const out = fileURLToPath(new URL(`../prebuilds/${platformName}/relufy.node`, import.meta.url));
const compiler = findCompiler();
const began = performance.now();
await compileNative({ out, compiler, extra: process.argv.slice(2).join(' ') });
console.log(
  `prebuilds/${platformName}/relufy.node: built by ${compiler} in ${((performance.now() - began) / 1000).toFixed(1)} s`,
);
