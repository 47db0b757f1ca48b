// Where the buffers of a session lie in its memory. Pure arithmetic in units of 64 bytes; session.ts owns the memory.
//
//   unit 0: reserved, so that offset 0 means "absent" | buffers | arena of activations, the largest plan of any program
//
// Nothing ever moves: the arena is last and grows in place. Records and scratch are not in here; the binary owns them.
import { type BufferDecl, heldBytes, type StepLimits, toUnits } from '@relufy/tensor';

export interface BufferLayout {
  readonly offsets: ReadonlyMap<string, number>;
  /** Where the arena begins. */
  readonly totalUnits: number;
}

export function layOutBuffers(buffers: readonly BufferDecl[], limits: StepLimits): BufferLayout {
  const offsets = new Map<string, number>();
  let unit = 1;
  for (const buffer of buffers) {
    offsets.set(buffer.name, unit);
    unit += toUnits(heldBytes(buffer, limits));
  }
  return { offsets, totalUnits: unit };
}
