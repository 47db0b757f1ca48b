// streamBandwidth for both entries: with the team of a backend, or of one made for it.
import { measureStreaming, type StreamingOptions } from '@relufy/tensor';
import { createBackend, type WasmBackend } from './backend.js';
import type { Platform } from './platform.js';

/** Streaming-read bandwidth in GB/s over a buffer of so many bytes, with a backend's team or with so many threads. */
export type StreamBandwidth = (
  backendOrThreads: WasmBackend | number,
  bytes: number,
  options?: StreamingOptions,
) => Promise<number>;

export const streamBandwidthOn = (platform: Platform): StreamBandwidth =>
  async function streamBandwidth(backendOrThreads, bytes, options) {
    if (typeof backendOrThreads !== 'number') return measureStreaming(backendOrThreads, bytes, options);
    const backend = await createBackend(platform, { threads: backendOrThreads });
    return measureStreaming(backend, bytes, options).finally(() => backend.dispose());
  };
