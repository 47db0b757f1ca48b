// The worker team: one a process, shared by every model in it. Owns the workers, the control block, and the queue that
// serves opens, steps and closes one after the other. Does not own memory (session.ts) or kernels (assembly/).
//
// The host never joins a step: it writes the command, notifies once, and is told by one message of worker 0. A worker
// that dies takes the team with it: what runs and what is queued rejects, the others (they may sit in a barrier that
// nobody will complete) are terminated, and the next backend starts a fresh team.
import { RelufyError, type RowFile } from '@relufy/tensor';
import { cannotRead, type Engine, knownBySystem } from './engine.js';
import type { KnownFile } from './fetch-rows.js';
import type { Modules } from './modules.js';
import { Participants } from './participants.js';
import type { Platform, WorkerHandle } from './platform.js';
import {
  action,
  controlWord,
  controlWords,
  type HostMessage,
  participantBits,
  type StepCall,
  type WorkerMessage,
} from './protocol.js';

interface Waiting {
  left: number;
  /** Why one of them could not. */
  refusal?: string;
  readonly resolve: (message: WorkerMessage) => void;
  readonly reject: (error: Error) => void;
}

class Team {
  readonly #platform: Platform;
  readonly #control = new Int32Array(new SharedArrayBuffer(controlWords * 4));
  readonly #workers: WorkerHandle[] = [];
  readonly #participants = new Participants();
  #generation = 0;
  #opened = 0;
  #openedFiles = 0;
  #open = 0;
  #jobs = 0;
  #last: Promise<unknown> = Promise.resolve();
  #waiting: Waiting | undefined;
  #failure: RelufyError | undefined;
  /** Backends that use the team; it stops with the last. */
  users = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  get alive(): boolean {
    return this.#failure === undefined;
  }

  /** Starts workers until there are `threads`. */
  grow(threads: number): Promise<void> {
    return this.#enqueue(async () => {
      for (let index = this.#workers.length; index < threads; index++) {
        const worker: WorkerHandle = this.#platform.startWorker({
          message: (message) => this.#hear(message as WorkerMessage),
          death: (reason, cause) => {
            if (this.#workers.includes(worker))
              this.#fail(`wasm backend: worker ${index} of the team died: ${reason}. Create the backend again.`, cause);
          },
        });
        worker.hold(index === 0);
        this.#workers.push(worker);
        const answer = this.#answers(1);
        const control = this.#control;
        const command = control[index === 0 ? controlWord.command : controlWord.others] as number;
        const message: HostMessage = { kind: 'start', index, control, command };
        worker.post(message);
        await answer;
      }
    });
  }

  /** Makes a session's memory known to the first `threads` workers. */
  open(module: WebAssembly.Module, memory: WebAssembly.Memory, barrier: number, threads: number): Promise<number> {
    const session = this.#opened++;
    this.#open++;
    this.grow(threads);
    return this.#tell({ kind: 'open', session, module, memory, barrier }, threads).then(() => session);
  }

  /**
   * Makes the workers forget a session. Where garbage cannot be collected on demand (browsers), only the end of a worker
   * frees a memory for certain: then the workers go with the last session, and start anew with the next.
   */
  async close(session: number, threads: number, large: boolean): Promise<void> {
    if (!this.alive) return;
    await this.#tell({ kind: 'close', session, collect: large }, threads);
    this.#open--;
    if (!large) return;
    if (this.#platform.collect) this.#platform.collect();
    else
      await this.#enqueue(async () => {
        if (this.#open === 0) this.#dismiss();
      });
  }

  /**
   * Makes a file known to the first `threads` workers, each of which opens it for itself. Where a browser gives one access
   * handle at a time (Firefox), worker 0 has it, and reads for all.
   */
  async openFile(file: RowFile, threads: number): Promise<KnownFile> {
    const known = knownBySystem(file, this.#platform.readFile);
    if (known !== undefined) return known;
    const { handle } = file;
    if (this.#platform.readFile || handle === undefined) throw cannotRead(file, 'another kind of file');
    const number = this.#openedFiles++;
    const message = { kind: 'openFile', file: number, handle } as const;
    const refusal = await this.#tell(message, 1);
    if (typeof refusal === 'string') throw cannotRead(file, refusal);
    const answer = threads > 1 ? await this.#tell(message, threads) : 0;
    return { number, byFirst: typeof answer === 'string' };
  }

  async closeFile(file: number, threads: number): Promise<void> {
    if (this.alive && !this.#platform.readFile) await this.#tell({ kind: 'closeFile', file }, threads);
  }

  /** On `threads` workers, or fewer while they have no cores; `everyThread`: on all of them. */
  run(call: StepCall, threads: number, everyThread: boolean): Promise<void> {
    return this.#enqueue(async () => {
      const done = this.#answers(1);
      const taking = everyThread ? threads : this.#participants.of(threads, performance.now());
      this.#write(call);
      this.#command(action.run, taking);
      await done;
      const [took, stalled] = [this.#control[controlWord.took], this.#control[controlWord.stalled]] as [number, number];
      if (taking > 1) this.#participants.heard(taking, took / 1000, stalled / 1000 / (taking - 1), performance.now());
    });
  }

  profile(call: StepCall, threads: number): Promise<Float64Array> {
    return this.#enqueue(async () => {
      const done = this.#answers(1);
      this.#write(call);
      this.#command(action.profile, threads);
      return (await done) as Float64Array;
    });
  }

  stop(): void {
    this.#fail('wasm backend: used after dispose(). Create it again.', undefined, 'state');
  }

  /** Sends a message to the first workers: they wait in shared memory, so a command calls them to their event loop. */
  #tell(message: HostMessage, threads: number): Promise<WorkerMessage> {
    return this.#enqueue(async () => {
      const done = this.#answers(threads);
      for (const worker of this.#workers.slice(0, threads)) worker.post(message);
      this.#command(action.listen, threads);
      return await done;
    });
  }

  #write(call: StepCall): void {
    const control = this.#control;
    control[controlWord.session] = call.session;
    control[controlWord.program] = call.program;
    control[controlWord.from] = call.from;
    control[controlWord.to] = call.to;
    control[controlWord.rows] = call.rows;
    control[controlWord.outputs] = call.outputs;
    control[controlWord.scratch] = call.scratch;
    control[controlWord.scratchStride] = call.scratchStride;
    control[controlWord.shared] = call.shared;
    control[controlWord.barrier] = call.barrier;
  }

  #command(what: number, threads: number): void {
    this.#control[controlWord.action] = what;
    this.#generation++;
    const command = (this.#generation << participantBits) | threads;
    Atomics.store(this.#control, controlWord.command, command);
    Atomics.notify(this.#control, controlWord.command);
    if (threads === 1) return;
    Atomics.store(this.#control, controlWord.others, command);
    Atomics.notify(this.#control, controlWord.others);
  }

  /** Resolves when so many messages have come. One call at a time: the queue sees to that. */
  #answers(count: number): Promise<WorkerMessage> {
    return new Promise((resolve, reject) => {
      this.#waiting = { left: count, resolve, reject };
    });
  }

  #hear(message: WorkerMessage): void {
    const waiting = this.#waiting;
    if (waiting && typeof message === 'string') waiting.refusal = message;
    if (waiting === undefined || --waiting.left > 0) return;
    this.#waiting = undefined;
    waiting.resolve(waiting.refusal ?? message);
  }

  /** Runs a job when those before it are done. Worker 0 keeps the process alive while there are any. */
  #enqueue<T>(job: () => Promise<T>): Promise<T> {
    if (this.#jobs++ === 0) this.#workers[0]?.hold(true);
    const start = (): Promise<T> => (this.#failure === undefined ? job() : Promise.reject(this.#failure));
    const result = this.#last.then(start);
    const after = (): void => {
      if (--this.#jobs === 0) this.#workers[0]?.hold(false);
    };
    this.#last = result.then(after, after);
    return result;
  }

  #dismiss(): void {
    for (const worker of this.#workers.splice(0)) worker.terminate();
  }

  #fail(message: string, cause?: unknown, code: 'backend' | 'state' = 'backend'): void {
    if (this.#failure !== undefined) return;
    this.#failure = new RelufyError(code, message, { cause });
    this.#dismiss();
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}

let team: Team | undefined;

/** A share of the process's team: its first `threads` workers. The team starts with the first user and ends with the last. */
export async function joinTeam(
  platform: Platform,
  threads: number,
  everyThread: boolean,
  modules: Modules,
): Promise<Engine> {
  await modules('inference'); // what is missing is said before a team starts
  if (!team?.alive) team = new Team(platform);
  const joined = team;
  joined.users++;
  let member = true;
  const dispose = (): void => {
    if (member && --joined.users === 0) joined.stop();
    member = false;
  };
  try {
    await joined.grow(threads);
  } catch (error) {
    dispose();
    throw error;
  }
  return {
    openFile: (file) => joined.openFile(file, threads),
    closeFile: (number) => joined.closeFile(number, threads),
    open: async (memory, kernels, barrier) => joined.open(await modules(kernels), memory, barrier, threads),
    run: (call) => joined.run(call, threads, everyThread),
    profile: (call) => joined.profile(call, threads),
    close: (session, large) => joined.close(session, threads, large),
    dispose,
  };
}
