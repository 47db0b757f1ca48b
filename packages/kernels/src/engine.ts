// Where steps run: on a team of workers (team.ts), or on the calling thread where memory cannot be shared (here).
import { RelufyError, type RowFile, yieldToEventLoop } from '@relufy/tensor';
import type { KnownFile, ReadFile } from './fetch-rows.js';
import type { KernelSet, Modules } from './modules.js';
import { instantiate, profileOps, type RunKernel, type StepCall } from './protocol.js';
import { SyncFiles } from './sync-files.js';

/** Runs the steps of the sessions that are open in it. Calls are served one after the other. */
export interface Engine {
  /**
   * Makes a file known to the threads that run steps.
   * @throws RelufyError `backend` where they cannot read it.
   */
  openFile(file: RowFile): Promise<KnownFile>;
  closeFile(number: number): Promise<void>;
  /** Makes a session's memory, with its barrier at that address, known to a set of kernels; gives their number for steps. */
  open(memory: WebAssembly.Memory, kernels: KernelSet, barrier: number): Promise<number>;
  run(call: StepCall): Promise<void>;
  /** Runs op by op; gives the milliseconds of each. */
  profile(call: StepCall): Promise<Float64Array>;
  /** Forgets a session; `large` when its memory is worth a collection of garbage. */
  close(session: number, large: boolean): Promise<void>;
  dispose(): void;
}

/** How steps know a file that the system has a number for; undefined for others. */
export const knownBySystem = ({ descriptor }: RowFile, readFile: ReadFile | undefined): KnownFile | undefined =>
  readFile && descriptor !== undefined ? { number: descriptor, byFirst: false } : undefined;

/** The refusal of a file. */
export const cannotRead = ({ path }: RowFile, why: string): RelufyError =>
  new RelufyError(
    'backend',
    `wasm backend: expected a file that the threads of steps can read at once, got ${why} for ${path}. In a browser, load it from the private file system (directoryFiles) with shared memory or in a dedicated worker, or load without memoryBudget.`,
  );

/** One thread, the caller's: a step blocks it, so the event loop gets a turn before each. */
export class LocalEngine implements Engine {
  readonly #modules: Modules;
  readonly #readFile: ReadFile | undefined;
  readonly #instances = new Map<number, RunKernel>();
  readonly #files = new SyncFiles();
  #opened = 0;
  #openedFiles = 0;

  constructor(modules: Modules, readFile?: ReadFile) {
    this.#modules = modules;
    this.#readFile = readFile;
  }

  async openFile(file: RowFile): Promise<KnownFile> {
    const known = knownBySystem(file, this.#readFile);
    if (known !== undefined) return known;
    if (this.#readFile || file.handle === undefined) throw cannotRead(file, 'another kind of file');
    const number = this.#openedFiles++;
    await this.#files.open(number, file.handle).catch((error: unknown) => {
      throw cannotRead(file, error instanceof Error ? error.message : String(error));
    });
    return { number, byFirst: false };
  }

  async closeFile(number: number): Promise<void> {
    this.#files.close(number);
  }

  async open(memory: WebAssembly.Memory, kernels: KernelSet): Promise<number> {
    const module = await this.#modules(kernels);
    const session = this.#opened++;
    this.#instances.set(session, instantiate(module, memory, this.#readFile ?? this.#files.read));
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
