// Compiles assembly/ to dist/threads.wasm (shared memory, a team) and dist/single.wasm (one thread, plain memory), from
// one source: ASC_FEATURE_THREADS is the only difference. Runs after tsup, which empties dist.
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const folder = fileURLToPath(new URL('..', import.meta.url));
const common = [
  ...['assembly/index.ts', '--runtime', 'stub', '--enable', 'simd', '--importMemory', '--noExportMemory'],
  ...['--initialMemory', '1', '--maximumMemory', '65536', '--use', 'abort=', '-O3', '--noAssert', '--baseDir', folder],
];
const builds = { threads: ['--enable', 'threads', '--sharedMemory'], single: [] };

for (const [name, flags] of Object.entries(builds)) {
  const args = [...common, ...flags, '--outFile', `dist/${name}.wasm`, ...process.argv.slice(2)];
  const { error, stderr } = await asc.main(args);
  if (error) {
    process.stderr.write(stderr.toString());
    throw error;
  }
}
