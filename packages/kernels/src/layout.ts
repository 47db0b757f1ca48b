// Where everything of a session lies in its memory. Pure arithmetic in units of 64 bytes; session.ts owns the memory.
//
//   unit 0: reserved, so that offset 0 means "absent" | barrier | buffers (do not move) | programs | scratch | shared | arena
//
// What follows the buffers is laid out anew at each load: every program has its own records, all share one scratch (the
// largest need, a part for each thread), what threads share in an op, and one arena of activations (the largest plan).
import {
  type BufferDecl,
  encodeProgram,
  heldBytes,
  type Program,
  recordWords,
  type StepLimits,
  toUnits,
  trainingOpTable,
  unitBytes,
} from '@relufy/tensor';
import type { KernelSizes } from './sizes.js';

export const pageBytes = 65536;
export const maxPages = 65536;

/** The barrier's block: three cache lines, and one to keep the buffers away. */
const barrierUnits = 4;

export interface BufferLayout {
  readonly barrierUnit: number;
  readonly offsets: ReadonlyMap<string, number>;
  readonly totalUnits: number;
}

export function layOutBuffers(buffers: readonly BufferDecl[], limits: StepLimits): BufferLayout {
  const offsets = new Map<string, number>();
  let unit = 1 + barrierUnits;
  for (const buffer of buffers) {
    offsets.set(buffer.name, unit);
    unit += toUnits(heldBytes(buffer, limits));
  }
  return { barrierUnit: 1, offsets, totalUnits: unit };
}

/** Units of the records of a program with so many ops. */
export const recordUnits = (ops: number): number => toUnits(ops * recordWords * 4);

/** What a program needs beside buffers, records and activations. */
export interface Workspace {
  /** Scratch of one thread. */
  readonly scratchUnits: number;
  /** What the threads share. */
  readonly sharedUnits: number;
}

/** The most that any op of a program needs, with so many threads. */
export function workspaceOf(program: Program, threads: number, sizes: KernelSizes): Workspace {
  const training = program.ops.some(({ kind }) => kind in trainingOpTable);
  // where buffers lie does not matter: what an op needs follows from its numbers
  const words = encodeProgram(program, () => 1);
  let [scratch, shared] = [0, 0];
  for (let op = 0; op < program.ops.length; op++) {
    const record = words.subarray(op * recordWords, (op + 1) * recordWords);
    scratch = Math.max(scratch, sizes.scratchBytes(record, program, threads, training));
    shared = Math.max(shared, sizes.sharedBytes(record));
  }
  // one unit more, so that the last line of one thread and the first of the next are never prefetched as a pair
  return { scratchUnits: toUnits(scratch) + 1, sharedUnits: toUnits(shared) };
}

export const pagesOf = (units: number): number => Math.ceil((units * unitBytes) / pageBytes);
