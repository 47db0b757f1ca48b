// createWasmBackend: options, the choice between a team and the calling thread, and what `description` says of it.
import {
  aBoolean,
  aWhole,
  type BufferDecl,
  checkOptions,
  type HostBackend,
  type OptionRules,
  RelufyError,
  type StepLimits,
  weightDTypes,
} from '@relufy/tensor';
import { type Engine, LocalEngine } from './engine.js';
import { modulesFor } from './modules.js';
import type { Platform } from './platform.js';
import { maxThreads } from './protocol.js';
import { relaxedSimdWorks } from './relaxed.js';
import { MemorySession, type WasmSession } from './session.js';
import { type KernelSizes, sizesOf } from './sizes.js';
import { joinTeam } from './team.js';

export interface WasmBackendOptions {
  /**
   * Workers that share a step. Default: the physical cores. More than there are processors are as many as there are
   * processors: threads that share a core are slower, each wait of one for the other by a hundred times.
   */
  readonly threads?: number;
  /** `true`: as many as asked for. For tests of bits, which do not depend on the number of threads. Default false. */
  readonly everyThread?: boolean;
  /** `false`: one thread, the calling one, as where SharedArrayBuffer is missing. A step then blocks it. */
  readonly sharedMemory?: boolean;
  /**
   * `false`: the build without relaxed SIMD, whose bits are the same on every engine and processor. Default: the one with
   * it, where the engine has it (Node 22, Chrome); it rounds some sums once less, and is faster. Programs that train run
   * without it.
   */
  readonly relaxedSimd?: boolean;
}

export interface WasmBackend extends HostBackend {
  createSession(buffers: readonly BufferDecl[], limits: StepLimits): Promise<WasmSession>;
}

export async function createBackend(platform: Platform, options: WasmBackendOptions): Promise<WasmBackend> {
  checkOptions('createWasmBackend', options, rules);
  const { sharing } = platform;
  const shared = options.sharedMemory !== false && sharing.available;
  try {
    const relaxed = options.relaxedSimd !== false && platform.relaxedSimd && relaxedSimdWorks();
    const simd = relaxed ? 'relaxed SIMD' : 'SIMD';
    if (shared) {
      const asked = options.threads ?? platform.physicalCores();
      const threads = options.everyThread ? asked : Math.min(asked, platform.processors());
      const modules = modulesFor(platform, 'threads', relaxed);
      const engine = await joinTeam(platform, threads, options.everyThread === true, modules);
      const sizes = sizesOf(await modules('inference'), true);
      return new Wasm(
        engine,
        sizes,
        threads,
        true,
        threads * (platform.workerBytes ?? 0),
        `wasm: ${simd}, ${threads === 1 ? '1 thread' : `${threads} threads`}`,
      );
    }
    const reason = sharing.available ? 'sharedMemory: false' : sharing.reason;
    const modules = modulesFor(platform, 'single', relaxed);
    const sizes = sizesOf(await modules('inference'), false);
    return new Wasm(
      new LocalEngine(modules, platform.readFile),
      sizes,
      1,
      false,
      0,
      `wasm: ${simd}, 1 thread, the calling one (${reason})`,
    );
  } catch (error) {
    if (RelufyError.is(error)) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new RelufyError('backend', `wasm backend: it could not be started: ${why}.`, { cause: error });
  }
}

class Wasm implements WasmBackend {
  readonly name = 'wasm';
  readonly weightDTypes = weightDTypes;
  readonly description: string;
  readonly threads: number;
  readonly ownBytes: number;
  readonly #engine: Engine;
  readonly #sizes: KernelSizes;
  readonly #shared: boolean;
  #disposed = false;

  constructor(
    engine: Engine,
    sizes: KernelSizes,
    threads: number,
    shared: boolean,
    ownBytes: number,
    description: string,
  ) {
    this.#engine = engine;
    this.#sizes = sizes;
    this.threads = threads;
    this.#shared = shared;
    this.ownBytes = ownBytes;
    this.description = description;
  }

  async createSession(buffers: readonly BufferDecl[], limits: StepLimits): Promise<MemorySession> {
    if (this.#disposed) throw new RelufyError('state', 'wasm backend: used after dispose(). Create it again.');
    return MemorySession.create(this.#engine, this.#sizes, this.threads, this.#shared, buffers, limits);
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#engine.dispose();
  }
}

const rules: OptionRules<WasmBackendOptions> = {
  threads: aWhole(1, maxThreads),
  everyThread: aBoolean,
  sharedMemory: aBoolean,
  relaxedSimd: aBoolean,
};
