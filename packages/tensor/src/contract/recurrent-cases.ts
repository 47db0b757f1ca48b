// The cases of the ops that carry something from token to token of a slot (tokenShift, wkv) and of mix, and random ones of the
// same kinds: rows of one slot and of several, interleaved, sequences that begin within a step and go on from a state.
import fc from 'fast-check';
import { buffer, type Fill, type OpCase, sentinel } from './case.js';

const normal: Fill = { kind: 'normal' };
const stale: Fill = { kind: 'constant', value: sentinel };
const values = (...numbers: readonly number[]): Fill => ({ kind: 'values', values: numbers });
const matrix = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', ['rows', width], fill);
const vector = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', [width], fill);

interface RecurrentShape {
  readonly op: 'tokenShift' | 'mix' | 'wkv';
  readonly rows: number;
  readonly width: number;
  /** Of each row, in turn. */
  readonly slots?: readonly number[];
  readonly positions?: readonly number[];
  /** How large keys are: exponents of them. */
  readonly scale?: number;
}

const slotCount = 3;

export function recurrentCase({ op, rows, width, slots = [1], positions = [4], scale = 1 }: RecurrentShape): OpCase {
  const where = {
    positions: buffer('positions', 'i32', ['rows'], values(...positions)),
    slots: buffer('slots', 'i32', ['rows'], values(...slots)),
  };
  const out = matrix('out', width, stale);
  const state = (size: number, fill: Fill) => buffer('state', 'f32', [slotCount, size], fill);
  const common = { op, rows, maxRows: rows + 1, attributes: {} };
  const at = `[${rows}, ${width}], slots ${slots.join(' ')}, positions ${positions.join(' ')}`;
  switch (op) {
    case 'mix': {
      const operands = { a: matrix('a', width), b: matrix('b', width), weight: vector('weight', width), out };
      return { ...common, name: `mix [${rows}, ${width}]`, operands, results: ['out'], exact: true };
    }
    case 'tokenShift': {
      const operands = { x: matrix('x', width), ...where, state: state(width, normal), out };
      return { ...common, name: `tokenShift ${at}`, operands, results: ['out', 'state'], exact: true };
    }
    case 'wkv': {
      const k = matrix('k', width, { kind: 'normal', scale });
      // of sums of exponentials the divisor is positive
      const sums = state(3 * width, values(0.5, 1.25, 2, 0.75, 3));
      const weights = { decay: vector('decay', width), first: vector('first', width) };
      const operands = { k, v: matrix('v', width), ...weights, ...where, state: sums, out };
      return { ...common, name: `wkv ${at}, keys of ${scale}`, operands, results: ['out', 'state'] };
    }
  }
}

function* recurrences(): Generator<OpCase> {
  for (const op of ['tokenShift', 'wkv'] as const) {
    for (const width of [1, 3, 4, 5, 15, 16, 17, 33, 100])
      for (const rows of [1, 2, 5]) yield recurrentCase({ op, rows, width });
    const rows = 9;
    for (const width of [7, 64]) {
      // a sequence that begins; one that begins after another one; two whose rows lie between each other's
      yield recurrentCase({ op, rows, width, positions: [0, 1, 2, 3, 4, 5, 6, 7, 8] });
      yield recurrentCase({ op, rows, width, slots: [2, 2, 2, 0, 0], positions: [5, 6, 7, 0, 1, 8, 9, 10, 2] });
      yield recurrentCase({ op, rows, width, slots: [0, 2], positions: [3, 0, 4, 1, 5, 2, 6, 3, 7] });
      if (op === 'wkv')
        for (const scale of [0, 30, 1e4])
          yield recurrentCase({ op, rows, width, scale, positions: [0, 1, 2, 3, 4, 5, 6, 7, 8] });
    }
  }
  for (const width of [1, 3, 4, 17, 100]) for (const rows of [1, 5]) yield recurrentCase({ op: 'mix', rows, width });
}

export const recurrentCases: readonly OpCase[] = [...recurrences()];

/** Random cases: rows of a slot stand in order, wherever those of others stand. */
export const recurrentArbitrary = fc
  .record({
    op: fc.constantFrom('tokenShift', 'wkv', 'mix'),
    width: fc.integer({ min: 1, max: 150 }),
    slots: fc.array(fc.integer({ min: 0, max: slotCount - 1 }), { minLength: 1, maxLength: 12 }),
    starts: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })),
    scale: fc.constantFrom(0.1, 1, 10),
  })
  .map(({ op, width, slots, starts, scale }) => {
    const next = [...starts];
    const positions = slots.map((slot) => next[slot]!++);
    return recurrentCase({ op: op as RecurrentShape['op'], rows: slots.length, width, slots, positions, scale });
  });
