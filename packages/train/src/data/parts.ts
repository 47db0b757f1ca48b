// From sequences to the rows of a step: each sequence has a slot of its own and positions from 0, and rows whose next
// token is scored are outputs. Does not own which sequences (sequences.ts) or running them (session.ts).
import type { Part } from '../session.js';
import type { Sequence } from './sequences.js';

export interface PartLimits {
  readonly maxRows: number;
  readonly slots: number;
  /** Rows that a sequence may have. */
  readonly contextLength: number;
}

/** Rows of a sequence: every token but the last, which is only scored. */
const rowsOf = ({ ids }: Sequence): number => ids.length - 1;

/** As many sequences as surely fit. */
export function takeSequences(next: () => Sequence, { maxRows, slots, contextLength }: PartLimits): Sequence[] {
  const taken: Sequence[] = [];
  for (let rows = 0; taken.length < slots && rows + contextLength <= maxRows; ) {
    const sequence = next();
    taken.push(sequence);
    rows += rowsOf(sequence);
  }
  return taken;
}

/**
 * The sequences of a batch in parts, each into the first with room. How much room a part has never decides which sequences
 * there are: where short ones leave gaps, there is a part more.
 */
export function intoParts(
  sequences: readonly Sequence[],
  { maxRows, slots }: Omit<PartLimits, 'contextLength'>,
): Sequence[][] {
  const parts: { readonly taken: Sequence[]; rows: number }[] = [];
  for (const sequence of sequences) {
    const rows = rowsOf(sequence);
    let part = parts.find((other) => other.taken.length < slots && other.rows + rows <= maxRows);
    if (part === undefined) {
      part = { taken: [], rows: 0 };
      parts.push(part);
    }
    part.taken.push(sequence);
    part.rows += rows;
  }
  return parts.map(({ taken }) => taken);
}

/** `weight`: what each scored token counts. */
export function partOf(sequences: readonly Sequence[], weight: number): Part {
  const rows = sequences.reduce((sum, sequence) => sum + rowsOf(sequence), 0);
  const [tokens, positions, slots] = [new Int32Array(rows), new Int32Array(rows), new Int32Array(rows)];
  const outputRows: number[] = [];
  const targets: number[] = [];
  let row = 0;
  sequences.forEach((sequence, slot) => {
    for (let position = 0; position < rowsOf(sequence); position++, row++) {
      tokens[row] = sequence.ids[position] as number;
      positions[row] = position;
      slots[row] = slot;
      if (sequence.mask[position + 1] !== 1) continue;
      outputRows.push(row);
      targets.push(sequence.ids[position + 1] as number);
    }
  });
  return {
    tokens,
    positions,
    slots,
    outputRows: Int32Array.from(outputRows),
    targets: Int32Array.from(targets),
    weights: new Float32Array(targets.length).fill(weight),
  };
}

export function scoredTokens(sequences: readonly Sequence[]): number {
  let scored = 0;
  for (const { mask } of sequences) for (let i = 1; i < mask.length; i++) scored += mask[i] as number;
  return scored;
}
