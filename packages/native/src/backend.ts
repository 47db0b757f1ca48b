// createNativeBackend: options, the binary, the share of the team, and what `description` says of them.
import { availableParallelism } from 'node:os';
import {
  aBoolean,
  aWhole,
  type BufferDecl,
  checkOptions,
  type HostBackend,
  type OptionRules,
  RelufyError,
  type StepLimits,
  show,
  weightDTypes,
} from '@relufy/tensor';
import { type Binding, findBinding, type NativeTeam } from './binding.js';
import { physicalCores } from './cores.js';
import { type Engine, MemorySession, type NativeSession } from './session.js';

export interface NativeBackendOptions {
  /**
   * Threads that share a step, at most: those that the system gives no core stay out of it for a while. Default: the
   * physical cores. More than there are processors are as many as there are processors.
   */
  readonly threads?: number;
  /**
   * `true`: as many threads as asked for, and all of them in every op, on a crowded machine too. Slow there; for tests
   * of bits, which do not depend on the number of threads. Default false.
   */
  readonly everyThread?: boolean;
}

export interface NativeBackend extends HostBackend {
  /** The instruction set that its kernels are compiled for: avx512, avx2, neon or scalar. */
  readonly isa: string;
  createSession(buffers: readonly BufferDecl[], limits: StepLimits): Promise<NativeSession>;
}

export interface NativeAvailability {
  readonly available: boolean;
  /** One line: what was loaded, or why nothing can be. */
  readonly reason: string;
  /** The binary that was found, loadable or not. */
  readonly path?: string;
}

const maxThreads = 1023;

/** Whether the native backend can be created here, and why. Never throws. */
export function nativeAvailability(): NativeAvailability {
  const { binding, reason, path } = findBinding();
  return { available: binding !== undefined, reason, ...(path === undefined ? {} : { path }) };
}

/** A backend of C++ kernels on a team of threads that all models of the process share. */
export async function createNativeBackend(options: NativeBackendOptions = {}): Promise<NativeBackend> {
  checkOptions('createNativeBackend', options, rules);
  const { binding, reason } = findBinding();
  if (binding === undefined)
    throw new RelufyError(
      'backend',
      `native backend: expected a binary that loads: ${reason}. Or use the wasm backend.`,
    );
  const isa = chooseIsa(binding);
  const everyThread = options.everyThread === true;
  const threads = usefulThreads(options.threads ?? physicalCores(), everyThread);
  const team = binding.join(threads);
  if (team === undefined)
    throw new RelufyError('backend', `native backend: the system does not give ${threads} threads. Ask for fewer.`);
  return new Native({ binding, team, threads, isa, everyThread });
}

class Native implements NativeBackend {
  readonly name = 'native';
  readonly weightDTypes = weightDTypes;
  readonly description: string;
  readonly threads: number;
  readonly isa: string;
  #engine: Engine | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.threads = engine.threads;
    this.isa = engine.isa;
    this.description = `native: ${engine.isa}, ${engine.threads === 1 ? '1 thread' : `${engine.threads} threads`}`;
  }

  async createSession(buffers: readonly BufferDecl[], limits: StepLimits): Promise<MemorySession> {
    if (this.#engine === undefined)
      throw new RelufyError('state', 'native backend: used after dispose(). Create it again.');
    return new MemorySession(this.#engine, buffers, limits);
  }

  async dispose(): Promise<void> {
    const { binding, team } = this.#engine ?? {};
    this.#engine = undefined;
    if (team !== undefined) binding?.leave(team as NativeTeam);
  }
}

/** Threads beyond the processors would only share them. */
function usefulThreads(asked: number, everyThread: boolean): number {
  return everyThread ? asked : Math.min(asked, availableParallelism());
}

/** The fastest instruction set, or the one that RELUFY_NATIVE_ISA names. */
function chooseIsa({ isas }: Binding): string {
  const named = process.env.RELUFY_NATIVE_ISA;
  if (named === undefined || named === '') return isas[0] as string;
  if (!isas.includes(named))
    throw new RelufyError(
      'option',
      `native backend: RELUFY_NATIVE_ISA: expected ${isas.join(' or ')} on this machine, got ${show(named)}.`,
    );
  return named;
}

const rules: OptionRules<NativeBackendOptions> = { threads: aWhole(1, maxThreads), everyThread: aBoolean };
