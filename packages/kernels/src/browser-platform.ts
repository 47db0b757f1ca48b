// Browsers, and other places with Web Workers. Owns fetching and starting; no Node built-in is imported here.
import type { Build, Platform, Sharing } from './platform.js';

const wasm: Readonly<Record<Build, () => URL>> = {
  threads: () => new URL('./threads.wasm', import.meta.url),
  single: () => new URL('./single.wasm', import.meta.url),
  'threads-relaxed': () => new URL('./threads-relaxed.wasm', import.meta.url),
  'single-relaxed': () => new URL('./single-relaxed.wasm', import.meta.url),
  'training-threads': () => new URL('./training-threads.wasm', import.meta.url),
  'training-single': () => new URL('./training-single.wasm', import.meta.url),
};

export const browserPlatform: Platform = {
  get sharing(): Sharing {
    if (
      typeof SharedArrayBuffer === 'undefined' ||
      (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false
    )
      return {
        available: false,
        reason:
          'no shared memory: serve the page with Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy headers',
      };
    return { available: true };
  },

  // hardwareConcurrency counts hardware threads, two a core on most machines
  physicalCores: () => Math.max(1, Math.ceil((globalThis.navigator?.hardwareConcurrency ?? 2) / 2)),

  relaxedSimd: true,

  compile: async (build) => {
    const response = await fetch(wasm[build]());
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return WebAssembly.compile(await response.arrayBuffer());
  },

  startWorker: ({ message, death }) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => message(data);
    worker.onmessageerror = () => death('a message could not be read');
    worker.onerror = (event) => {
      event.preventDefault();
      death(event.message || 'it could not be started', event.error);
    };
    return {
      post: (value) => worker.postMessage(value),
      terminate: () => worker.terminate(),
      hold: () => {},
    };
  },
};
