// Where steps run: on a team of workers (team.ts), or on the calling thread where memory cannot be shared (here).
import { RelufyError, yieldToEventLoop } from '@relufy/tensor';
import type { ReadFile } from './fetch-rows.js';
import type { KernelSet, Modules } from './modules.js';
import { instantiate, profileOps, type RunKernel, type StepCall } from './protocol.js';

/** Runs the steps of the sessions that are open in it. Calls are served one after the other. */
export interface Engine {
  /** Whether a step can read rows of files. */
  readonly readsFiles: boolean;
  /** Makes a session's memory, with its barrier at that address, known to a set of kernels; gives their number for steps. */
  open(memory: WebAssembly.Memory, kernels: KernelSet, barrier: number): Promise<number>;
  run(call: StepCall): Promise<void>;
  /** Runs op by op; gives the milliseconds of each. */
  profile(call: StepCall): Promise<Float64Array>;
  /** Forgets a session; `large` when its memory is worth a collection of garbage. */
  close(session: number, large: boolean): Promise<void>;
  dispose(): void;
}

/** One thread, the caller's: a step blocks it, so the event loop gets a turn before each. */
export class LocalEngine implements Engine {
  readonly #modules: Modules;
  readonly #readFile: ReadFile | undefined;
  readonly #instances = new Map<number, RunKernel>();
  #opened = 0;

  constructor(modules: Modules, readFile?: ReadFile) {
    this.#modules = modules;
    this.#readFile = readFile;
  }

  get readsFiles(): boolean {
    return this.#readFile !== undefined;
  }

  async open(memory: WebAssembly.Memory, kernels: KernelSet): Promise<number> {
    const module = await this.#modules(kernels);
    const session = this.#opened++;
    this.#instances.set(session, instantiate(module, memory, this.#readFile));
    return session;
  }

  async run(call: StepCall): Promise<void> {
    await yieldToEventLoop();
    const { program, from, to, rows, outputs, scratch, shared, barrier } = call;
    this.#instance(call)(program, from, to, rows, outputs, 0, 1, scratch, shared, barrier);
  }

  async profile(call: StepCall): Promise<Float64Array> {
    await yieldToEventLoop();
    return profileOps(this.#instance(call), call, 0, 1);
  }

  async close(session: number): Promise<void> {
    this.#instances.delete(session);
  }

  dispose(): void {
    this.#instances.clear();
  }

  #instance({ session }: StepCall): RunKernel {
    const run = this.#instances.get(session);
    if (run === undefined) throw new RelufyError('state', 'wasm backend: used after dispose(). Create it again.');
    return run;
  }
}
