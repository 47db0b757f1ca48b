// `pnpm --filter @relufy/native build:native`: generates the record accessors, then compiles to
// prebuilds/PLATFORM-ARCH/relufy.node, where the loader looks. Needs `pnpm build` before, and a C++20 compiler.
import { fileURLToPath } from 'node:url';
import './generate-ops.mjs';
import { compileNative, findCompiler } from './compile.mjs';

const target = `${process.platform}-${process.arch}`;
const out = fileURLToPath(new URL(`../prebuilds/${target}/relufy.node`, import.meta.url));
const compiler = findCompiler();
const began = performance.now();
await compileNative({ out, compiler, extra: process.argv.slice(2).join(' ') });
console.log(
  `prebuilds/${target}/relufy.node: built by ${compiler} in ${((performance.now() - began) / 1000).toFixed(1)} s`,
);
