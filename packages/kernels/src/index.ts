// The browser entry; node.ts is the same for Node.
import { measureStreaming, type StreamingOptions } from '@relufy/tensor';
import { createBackend, type WasmBackend, type WasmBackendOptions } from './backend.js';
import { browserPlatform } from './browser-platform.js';

export type { WasmBackend, WasmBackendOptions } from './backend.js';
export type { WasmProgram, WasmSession } from './session.js';

/** A backend of SIMD kernels in WebAssembly, on a team of workers that all models of the process share. */
export function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  return createBackend(browserPlatform, options);
}

/** Streaming-read bandwidth in GB/s over a buffer of so many bytes, with a backend's team or with so many threads. */
export async function streamBandwidth(
  backendOrThreads: WasmBackend | number,
  bytes: number,
  options: StreamingOptions = {},
): Promise<number> {
  if (typeof backendOrThreads !== 'number') return measureStreaming(backendOrThreads, bytes, options);
  const backend = await createWasmBackend({ threads: backendOrThreads });
  return measureStreaming(backend, bytes, options).finally(() => backend.dispose());
}
