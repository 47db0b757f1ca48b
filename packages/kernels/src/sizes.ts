// How much memory kernels need beside their operands, as they say themselves (assembly/scratch.ts): a small instance of the
// module is asked, one record at a time. Owns the asking. Does not own where that memory lies (layout.ts).
import { recordWords, type StepLimits } from '@relufy/tensor';

export interface KernelSizes {
  /** Scratch that one of so many threads needs for an op; `training`: with the kernels of training. */
  scratchBytes(record: Uint32Array, limits: StepLimits, threads: number, training: boolean): number;
  /** Memory that the threads share in an op. */
  sharedBytes(record: Uint32Array): number;
}

interface Exports {
  scratchBytes(op: number, rows: number, outputs: number, threads: number, training: number): number;
  sharedBytes(op: number): number;
}

/** Where the record lies that is asked about: address 0 means "absent". */
const recordAt = 64;

const known = new WeakMap<WebAssembly.Module, KernelSizes>();

/** What the kernels of a module of inference say, also for those of training. */
export function sizesOf(module: WebAssembly.Module, shared: boolean): KernelSizes {
  const before = known.get(module);
  if (before !== undefined) return before;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared });
  // what runs steps imports a clock and reads of files; sizes need none
  const none = () => 0;
  const env = { memory, now: none, readRows: none };
  const asked = new WebAssembly.Instance(module, { env }).exports as unknown as Exports;
  const words = new Uint32Array(memory.buffer, recordAt, recordWords);
  const sizes: KernelSizes = {
    scratchBytes(record, { maxRows, maxOutputs }, threads, training) {
      words.set(record);
      return asked.scratchBytes(recordAt, maxRows, maxOutputs, threads, training ? 1 : 0) >>> 0;
    },
    sharedBytes(record) {
      words.set(record);
      return asked.sharedBytes(recordAt) >>> 0;
    },
  };
  known.set(module, sizes);
  return sizes;
}
