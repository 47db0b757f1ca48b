// What a backend owes: memory for buffers, and the ability to run programs over them. Small on purpose: a new need is
// a new op, not a new method. The reference executor (reference/) is one; the kernels packages are others.
import type { BufferDecl, StepLimits } from './buffer.js';
import type { DType } from './dtype.js';
import type { Program } from './program.js';
import type { StoredPlace } from './stored-rows.js';

/** f32 buffers are seen as Float32Array, bf16 and f16 as their bits, i32 as Int32Array, i8 as Int8Array, block formats as bytes. */
export type BufferView = Float32Array | Uint16Array | Int32Array | Int8Array | Uint8Array;

/** A value, or a promise of one where the memory is not the host's own. */
export type MaybePromise<T> = T | Promise<T>;

/** Elements are numbers, or the bytes of block formats: as `BufferView` has them. */
export interface BufferPlace {
  readonly buffer: string;
  readonly at: number;
}

export interface BufferRange extends BufferPlace {
  readonly count: number;
}

/** `Memory`: what its sessions can do besides. */
export interface Backend<Memory extends Session = Session> {
  readonly name: string;
  /** One line for people: which build, how many threads, and why. */
  readonly description: string;
  readonly threads: number;
  /** Bytes that it takes beside its sessions, such as the heaps of its workers: a memory budget counts them. Default 0. */
  readonly ownBytes?: number;
  /** Formats that its products take for weights. */
  readonly weightDTypes: readonly DType[];
  /**
   * Allocates the buffers that outlive a step, sized for the limits (which every program of the session shares).
   * Refuses with a `backend` error before allocating anything when they cannot fit.
   */
  createSession(buffers: readonly BufferDecl[], limits: StepLimits): Promise<Memory>;
  /** Gives back what the backend itself holds. Its sessions must be disposed first; a team shared with others lives on. */
  dispose(): Promise<void>;
}

/** A backend whose sessions lie in memory that JavaScript sees. */
export type HostBackend = Backend<HostSession>;

/**
 * One model's memory. What reads and writes it works on any session when it awaits `read`, `write` and `copy`, which throw a
 * RelufyError `input` for elements that a buffer does not have.
 */
export interface Session {
  readonly memoryBytes: number;
  /**
   * The whole buffer, without a copy: sessions over host memory only. Valid until the next `load`: fetch it anew each time.
   * `elementsOf` takes it where it is, and reads where it is not.
   */
  view?(buffer: string): BufferView;
  /** A copy of elements [from, to), of all without them. */
  read(buffer: string, from?: number, to?: number): MaybePromise<BufferView>;
  /** Puts values at an element and after it, at the first without `at`. They may be changed when it is done. */
  write(buffer: string, values: ArrayLike<number>, at?: number): MaybePromise<void>;
  /** Copies elements within a buffer, where they may overlap, or to another of the same format. */
  copy(from: BufferRange, to: BufferPlace): MaybePromise<void>;
  /**
   * Takes buffers from a local file as they lie there, by mapping it, where a backend can: `places` gives the first byte
   * of each, a multiple of 64. Before the first `load`, from which on such buffers are not written; before, writing to one
   * changes this session only.
   * @throws RelufyError `checkpoint` when a buffer does not lie within the file; `io` when it cannot be mapped.
   */
  adopt?(path: string, places: Iterable<readonly [buffer: string, firstByte: number]>): void;
  /**
   * Says where the rows of a `stored` buffer lie, before the first `load` of a program that fetches them, where a backend can
   * read rows in a step. The session closes the file when it is disposed. A step whose rows cannot be read whole rejects with
   * an `io` error.
   * @throws RelufyError `checkpoint` when the buffer does not lie within the file; `backend` when this system cannot.
   */
  attach?(buffer: string, place: StoredPlace): MaybePromise<void>;
  /** Validates, plans and encodes a program. Programs of a session share its buffers and do not run at the same time. */
  load(program: Program): LoadedProgram;
  /** Frees the memory; every later call throws a `state` error. */
  dispose(): Promise<void>;
}

export interface HostSession extends Session {
  view(buffer: string): BufferView;
  read(buffer: string, from?: number, to?: number): BufferView;
  write(buffer: string, values: ArrayLike<number>, at?: number): void;
  copy(from: BufferRange, to: BufferPlace): void;
  load(program: Program): HostProgram;
}

export interface Step {
  /** Tokens in this step, 0..maxRows. */
  readonly rows: number;
  /** Rows whose outputs are wanted, 0..maxOutputs. */
  readonly outputs: number;
}

export interface LoadedProgram {
  readonly program: Program;
  /** A kept activation at its full size, without a copy: sessions over host memory only. Valid until the next run or load. */
  view?(buffer: string): BufferView;
  /** A copy of elements [from, to) of a kept activation, of all without them. */
  read(buffer: string, from?: number, to?: number): MaybePromise<BufferView>;
  /** Runs all ops, or those of [from, to): a debugger and a profiler step through a program that way. */
  run(step: Step, from?: number, to?: number): Promise<void>;
}

export interface HostProgram extends LoadedProgram {
  view(buffer: string): BufferView;
  read(buffer: string, from?: number, to?: number): BufferView;
}
