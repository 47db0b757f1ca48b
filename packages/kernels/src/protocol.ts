// What the host and the workers of a team say to each other: a control block in shared memory for steps, messages for
// everything else. Owns names and types only; team.ts writes them, worker.ts reads them.
//
// Between steps worker 0 waits on word 0 of the control block, the others on the word `others`. The host fills the other
// words, then stores a new command (generation << 10 | participants) in both, or in word 0 where one worker is enough, and
// notifies once. Workers 0 .. participants - 1 act, the others go back to sleep; they read nothing else, so that the host
// may write the next command while they wake up.
import type { SyncFileHandle } from '@relufy/tensor';
import { fetchImports, type ReadFile } from './fetch-rows.js';

/** Words of the control block, an Int32Array. */
export const controlWord = {
  command: 0,
  action: 1,
  session: 2,
  program: 3,
  from: 4,
  to: 5,
  rows: 6,
  outputs: 7,
  scratch: 8,
  scratchStride: 9,
  shared: 10,
  barrier: 11,
  /** The last command of more than one worker: what all but worker 0 wait for, so that steps of one wake nobody else. */
  others: 12,
  /** Microseconds that the last step took, and that its waits lasted in vain: worker 0 says so. */
  took: 13,
  stalled: 14,
} as const;
export const controlWords = 16;

export const participantBits = 10;
export const maxThreads = 2 ** participantBits - 1;

export const action = {
  /** Run the ops [from, to); worker 0 posts `done`. */
  run: 0,
  /** The same op by op; worker 0 posts the milliseconds of each op. */
  profile: 1,
  /** Return to the event loop: a message is waiting. */
  listen: 2,
} as const;

/** Words of the barrier's block that the worker reads and resets; see assembly/team.ts. */
export const barrierWord = { mood: 48, stalled: 49 } as const;
export const barrierWords = 64;

/** One step, or a part of it: addresses in bytes. */
export interface StepCall {
  readonly session: number;
  readonly program: number;
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  readonly outputs: number;
  readonly scratch: number;
  readonly scratchStride: number;
  readonly shared: number;
  readonly barrier: number;
}

/** Host to worker. Each is answered by one message, after which the worker waits for commands again. */
export type HostMessage =
  | {
      readonly kind: 'start';
      readonly index: number;
      readonly control: Int32Array;
      readonly command: number;
    }
  | {
      readonly kind: 'open';
      readonly session: number;
      readonly module: WebAssembly.Module;
      readonly memory: WebAssembly.Memory;
      /** Where its barrier lies. */
      readonly barrier: number;
    }
  | { readonly kind: 'close'; readonly session: number; readonly collect: boolean }
  /** A file that steps read, by that number. */
  | { readonly kind: 'openFile'; readonly file: number; readonly handle: SyncFileHandle }
  | { readonly kind: 'closeFile'; readonly file: number };

/** Worker to host: done, the milliseconds of each op, or why it could not be done. */
export type WorkerMessage = 0 | Float64Array | string;

/** What the host and the workers call in the module; see assembly/interpreter.ts. */
export type RunKernel = (
  program: number,
  from: number,
  to: number,
  rows: number,
  outputs: number,
  thread: number,
  threads: number,
  scratch: number,
  shared: number,
  barrier: number,
) => void;

export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  readFile: ReadFile | undefined,
): RunKernel {
  const now = () => performance.now();
  const { exports } = new WebAssembly.Instance(module, { env: { memory, now, ...fetchImports(memory, readFile) } });
  return exports.run as RunKernel;
}

/** Runs a call op by op and gives the milliseconds of each; every thread of the team does the same. */
export function profileOps(run: RunKernel, call: StepCall, thread: number, threads: number): Float64Array {
  const times = new Float64Array(call.to - call.from);
  const scratch = call.scratch + thread * call.scratchStride;
  let before = performance.now();
  for (let op = call.from; op < call.to; op++) {
    run(call.program, op, op + 1, call.rows, call.outputs, thread, threads, scratch, call.shared, call.barrier);
    const now = performance.now();
    times[op - call.from] = now - before;
    before = now;
  }
  return times;
}
