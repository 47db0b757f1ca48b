// What the backend needs of the place it runs in. node-platform.ts and browser-platform.ts are the two; everything else
// in this package is neutral.

import type { ReadFile } from './fetch-rows.js';

/** What build-wasm.mjs makes: shared memory or not, each for engines with relaxed SIMD too, and with training's kernels. */
export type Build = `${'threads' | 'single'}${'' | '-relaxed'}` | `training-${'threads' | 'single'}`;

export type Sharing = { readonly available: true } | { readonly available: false; readonly reason: string };

export interface Platform {
  /** Whether memory can be shared with workers; if not, why, and what to do about it. */
  readonly sharing: Sharing;
  /** Physical cores that this process may use. */
  physicalCores(): number;
  /** Threads that can run at the same time. */
  processors(): number;
  /** `false` where relaxed SIMD hides after a flag because it computes wrong results. */
  readonly relaxedSimd: boolean;
  /** Reads a file at a position, at once, where its number is known in every thread. */
  readonly readFile?: ReadFile;
  /** What a worker takes beside the shared memory, where it was measured. */
  readonly workerBytes?: number;
  compile(build: Build): Promise<WebAssembly.Module>;
  startWorker(events: WorkerEvents): WorkerHandle;
  /** Collects garbage now, where the place allows it. */
  readonly collect?: () => void;
}

export interface WorkerEvents {
  message(message: unknown): void;
  /** The worker ended or threw, without being asked to. */
  death(reason: string, cause?: unknown): void;
}

export interface WorkerHandle {
  post(message: unknown): void;
  terminate(): void;
  /** Whether the worker keeps the process alive. */
  hold(alive: boolean): void;
}

/** Where the modules lie, each written out: bundlers copy a file that stands in such an expression. */
export const wasm: Readonly<Record<Build, () => URL>> = {
  threads: () => new URL('./threads.wasm', import.meta.url),
  single: () => new URL('./single.wasm', import.meta.url),
  'threads-relaxed': () => new URL('./threads-relaxed.wasm', import.meta.url),
  'single-relaxed': () => new URL('./single-relaxed.wasm', import.meta.url),
  'training-threads': () => new URL('./training-threads.wasm', import.meta.url),
  'training-single': () => new URL('./training-single.wasm', import.meta.url),
};
