// Node: files, worker threads, and the number of physical cores.
import { readFileSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { bundlerRemedy, locate } from '@relufy/tensor';
import { findCollector } from './collect.js';
import { type Platform, wasm } from './platform.js';

export const nodePlatform: Platform = {
  collect: findCollector({ setFlagsFromString }, { runInNewContext }),

  sharing: { available: true },

  processors: () => os.availableParallelism(),
  physicalCores: () => {
    const share = process.platform === 'linux' ? coresPerProcessor(readText('/proc/cpuinfo')) : 1;
    return Math.max(1, Math.ceil(os.availableParallelism() * share));
  },

  // V8 11.3 (Node 20) takes the instructions with a flag, and computes wrong results
  relaxedSimd: !/^(\d|10|11\.[0-3])\./.test(process.versions.v8),

  readFile: readSync,

  // Node 20 on Linux: 8.5 MB of a worker that does nothing, 3 MB when it has compiled kernels and run them
  workerBytes: 11.5e6,

  compile: async (build) => WebAssembly.compile(await readBeside(wasm[build])),

  startWorker: ({ message, death }) => {
    // as one expression: bundlers know a worker by it
    const worker = locate(() => new Worker(new URL('./worker.js', import.meta.url), { name: 'relufy', execArgv: [] }));
    worker.on('message', message);
    worker.on('messageerror', (error) => death(error.message, error));
    worker.on('error', (error) => {
      const lost =
        (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' || /^Cannot find module/.test(error.message);
      death(lost ? `${error.message.split('\n')[0]}. ${bundlerRemedy}` : error.message, error);
    });
    worker.on('exit', (code) => death(`it exited with code ${code}`));
    return {
      post: (value) => worker.postMessage(value),
      terminate: () => void worker.terminate(),
      hold: (alive) => (alive ? worker.ref() : worker.unref()),
    };
  },
};

/** Physical cores / logical processors, from the text of /proc/cpuinfo; 1 where it does not say. */
export function coresPerProcessor(cpuinfo: string): number {
  const processors = cpuinfo.split(/\n\s*\n/).filter((block) => /^processor\s*:/m.test(block));
  const field = (block: string, name: string) => new RegExp(`^${name}\\s*:\\s*(\\d+)`, 'm').exec(block)?.[1];
  const cores = new Set<string>();
  for (const block of processors) {
    const core = field(block, 'core id');
    if (core === undefined) return 1;
    cores.add(`${field(block, 'physical id')}/${core}`);
  }
  return cores.size > 0 ? cores.size / processors.length : 1;
}

/** A file of this package, which lies beside the code unless a bundler took the code alone. */
async function readBeside(file: () => URL): Promise<Uint8Array<ArrayBuffer>> {
  const url = locate(file);
  if (url.protocol === 'data:') return new Uint8Array(await (await fetch(url)).arrayBuffer());
  return readFile(url).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`expected a WebAssembly module at ${url}, got ${error.code ?? error.message}. ${bundlerRemedy}`, {
      cause: error,
    });
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
