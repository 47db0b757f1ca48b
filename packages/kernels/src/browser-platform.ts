// Browsers, and other places with Web Workers. Owns fetching and starting; no Node built-in is imported here.
import { bundlerRemedy, locate } from '@relufy/tensor';
import { type Platform, type Sharing, wasm } from './platform.js';

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
  processors: () => globalThis.navigator?.hardwareConcurrency ?? 2,
  physicalCores: () => Math.max(1, Math.ceil((globalThis.navigator?.hardwareConcurrency ?? 2) / 2)),

  relaxedSimd: true,

  compile: async (build) => {
    const url = locate(wasm[build]);
    const expected = `expected a WebAssembly module at ${url}, got`;
    const response = await fetch(url).catch((cause) => {
      throw new Error(`${expected} no answer (${cause instanceof Error ? cause.message : cause})`, { cause });
    });
    if (!response.ok)
      throw new Error(`${expected} status ${`${response.status} ${response.statusText}`.trim()}. ${bundlerRemedy}`);
    const bytes = await response.arrayBuffer();
    // a server of single-page applications answers what is missing with its start page
    if (new DataView(bytes).byteLength < 4 || new DataView(bytes).getUint32(0) !== 0x0061736d)
      throw new Error(`${expected} ${response.headers.get('content-type') ?? 'something else'}. ${bundlerRemedy}`);
    return WebAssembly.compile(bytes);
  },

  startWorker: ({ message, death }) => {
    // as one expression: bundlers know a worker by it
    const worker = locate(() => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }));
    worker.onmessage = ({ data }) => message(data);
    worker.onmessageerror = () => death('a message could not be read');
    worker.onerror = (event) => {
      event.preventDefault();
      death(event.message || `its script, worker.js, could not be loaded. ${bundlerRemedy}`, event.error);
    };
    return {
      post: (value) => worker.postMessage(value),
      terminate: () => worker.terminate(),
      hold: () => {},
    };
  },
};
