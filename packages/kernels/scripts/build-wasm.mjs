// Compiles assembly/ to dist/threads.wasm (shared memory, a team) and dist/single.wasm (one thread, plain memory), from
// one source: ASC_FEATURE_THREADS is the only difference. The same with the kernels of training, which only programs that
// train load: dist/training-threads.wasm and dist/training-single.wasm. Runs after tsup, which empties dist.
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = fileURLToPath(new URL('..', import.meta.url));
const common = [
  ...['--runtime', 'stub', '--enable', 'simd', '--importMemory', '--noExportMemory'],
  ...['--initialMemory', '1', '--maximumMemory', '65536', '--use', 'abort=', '-O3', '--noAssert', '--baseDir', folder],
];
const entries = { '': 'assembly/index.ts', 'training-': 'assembly/training/index.ts' };
const builds = { threads: ['--enable', 'threads', '--sharedMemory'], single: [] };
const products = Object.entries(entries).flatMap(([prefix, entry]) =>
  Object.entries(builds).map(([name, flags]) => [entry, ...flags, '--outFile', `dist/${prefix}${name}.wasm`]),
);

for (const product of products) {
  const args = [...product, ...common, ...process.argv.slice(2)];
  const { error, stderr } = await asc.main(args);
  if (error) {
    process.stderr.write(stderr.toString());
    throw error;
  }
}
