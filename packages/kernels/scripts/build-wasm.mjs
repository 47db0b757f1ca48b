// Compiles assembly/ to dist/*.wasm: `threads` (shared memory, a team) and `single` (one thread, plain memory), each once
// more for engines with relaxed SIMD, from one source, which asks for the features; and both with the kernels of
// training, which only programs that train load. Runs after tsup, which empties dist.
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = fileURLToPath(new URL('..', import.meta.url));
const common = [
  ...['--runtime', 'stub', '--enable', 'simd', '--importMemory', '--noExportMemory'],
  ...['--initialMemory', '1', '--maximumMemory', '65536', '--use', 'abort=', '-O3', '--noAssert', '--baseDir', folder],
];
const memories = { threads: ['--enable', 'threads', '--sharedMemory'], single: [] };
const products = Object.entries(memories).flatMap(([memory, flags]) => [
  [memory, 'assembly/index.ts', ...flags],
  [`${memory}-relaxed`, 'assembly/index.ts', '--enable', 'relaxed-simd', ...flags],
  [`training-${memory}`, 'assembly/training/index.ts', ...flags],
]);

for (const [name, ...args] of products) {
  const outFile = ['--outFile', `dist/${name}.wasm`];
  const { error, stderr } = await asc.main([...args, ...outFile, ...common, ...process.argv.slice(2)]);
  if (error) {
    process.stderr.write(stderr.toString());
    throw error;
  }
}
