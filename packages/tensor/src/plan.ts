// The memory plan: where each activation of a program lies in its arena. Two activations share memory when no op needs
// both. Owns lifetimes and offsets. Does not own the memory, nor buffers that outlive a step.
import { byteCount } from './buffer.js';
import { opDefinition } from './op-table.js';
import type { Program } from './program.js';

/** Offsets are in units of 64 bytes: one cache line, and 32 bits of them reach far beyond 4 GiB. */
export const unitBytes = 64;

export const toUnits = (bytes: number): number => Math.ceil(bytes / unitBytes);

export interface MemoryPlan {
  /** Activation -> offset within the arena, in units. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly totalUnits: number;
}

/**
 * Greedy: larger buffers first, each at the lowest offset where it meets no buffer that is alive at the same time.
 * A kept buffer lives from its first use to the end of the step.
 */
export function planMemory(program: Program): MemoryPlan {
  const lives = lifetimes(program);
  const order = [...lives.values()].sort((a, b) => b.units - a.units || a.first - b.first);
  const placed: (Life & { offset: number })[] = [];
  for (const life of order) {
    const meets = placed
      .filter((other) => other.first <= life.last && life.first <= other.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of meets) {
      if (offset + life.units <= other.offset) break;
      offset = Math.max(offset, other.offset + other.units);
    }
    placed.push({ ...life, offset });
  }
  return {
    offsets: new Map(placed.map(({ name, offset }) => [name, offset])),
    totalUnits: placed.reduce((end, { offset, units }) => Math.max(end, offset + units), 0),
  };
}

interface Life {
  readonly name: string;
  readonly units: number;
  readonly first: number;
  last: number;
}

function lifetimes(program: Program): Map<string, Life> {
  const lives = new Map<string, Life>();
  program.ops.forEach((op, index) => {
    for (const operand of Object.keys(opDefinition(op.kind).operands)) {
      const buffer = program.buffers.get(op.operands[operand] ?? '');
      if (buffer?.kind !== 'activation') continue;
      const life = lives.get(buffer.name);
      if (life) life.last = index;
      else
        lives.set(buffer.name, {
          name: buffer.name,
          units: toUnits(byteCount(buffer, program)),
          first: index,
          last: index,
        });
    }
  });
  for (const name of program.kept) {
    const life = lives.get(name);
    if (life) life.last = program.ops.length;
  }
  return lives;
}
