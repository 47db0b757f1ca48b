// The Node entry; index.ts is the same for browsers.
import { createBackend, type WasmBackend, type WasmBackendOptions } from './backend.js';
import { nodePlatform } from './node-platform.js';
import { streamBandwidthOn } from './streaming.js';

export type { WasmBackend, WasmBackendOptions } from './backend.js';
export type { WasmProgram, WasmSession } from './session.js';

/** A backend of SIMD kernels in WebAssembly, on a team of workers that all models of the process share. */
export function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  return createBackend(nodePlatform, options);
}

/** Streaming-read bandwidth in GB/s over a buffer of so many bytes, with a backend's team or with so many threads. */
export const streamBandwidth = /* @__PURE__ */ streamBandwidthOn(nodePlatform);
