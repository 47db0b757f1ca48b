// The ops that a recurrent mixer adds to the op table: what tokens of a slot leave for the next one. Rows of a slot are its
// tokens in order, and a sequence begins anew at position 0, so nobody has to clear a slot's state.
import { f32, i32, type OpDefinition, read, update, write } from './op-rules.js';
import type { Shapes } from './shapes.js';

/** Where each row of a step belongs: its slot, and its position there. */
export function places(s: Shapes, count: ReturnType<Shapes['dim']>): void {
  s.expect('positions', [count]);
  s.expect('slots', [count]);
}

/** What tokens of a slot leave for the next: one row of `state` a slot. */
function recurrence(s: Shapes, size: number): void {
  places(s, s.dim('out', 0));
  s.expect('state', [s.dim('state', 0), size]);
}

export const recurrentOpTable = {
  tokenShift: {
    code: 42,
    formula:
      'out[r] = state[slots[r]], or +0 where positions[r] is 0; then state[slots[r]] = x[r]. Row by row: the rows of a slot are its tokens in order, so out is the x of the token before',
    operands: { x: read(f32), positions: read(i32), slots: read(i32), state: update(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      const fields = s.rowwise('x', 'out', []);
      recurrence(s, fields.width);
      return fields;
    },
  },
  mix: {
    code: 43,
    formula: 'out[r] = a[r] * weight + b[r] * (1 - weight), the three and 1 - weight rounded to f32',
    operands: { a: read(f32), b: read(f32), weight: read(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('b', s.matrix('a'));
      return s.rowwise('a', 'out', ['weight']);
    },
  },
  wkv: {
    code: 44,
    // RWKV-4 (arXiv 2305.13048, eq. 16 and appendix D): a and b are the sums times exp(-p), which keeps exp from overflowing
    formula:
      'column by column, row by row, (a, b, p) = state[slots[r]], three stretches of width, or (0, 0, -1e38) where positions[r] is 0: q = max(p, first + k[r]), out[r] = (exp(p - q) a + exp(first + k[r] - q) v[r]) / (exp(p - q) b + exp(first + k[r] - q)); then w = p - exp(decay), q = max(w, k[r]), state = (exp(w - q) a + exp(k[r] - q) v[r], exp(w - q) b + exp(k[r] - q), q)',
    operands: {
      k: read(f32),
      v: read(f32),
      decay: read(f32),
      first: read(f32),
      positions: read(i32),
      slots: read(i32),
      state: update(f32),
      out: write(f32),
    },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('v', s.matrix('k'));
      const fields = s.rowwise('k', 'out', ['decay', 'first']);
      recurrence(s, 3 * fields.width);
      return fields;
    },
  },
} as const satisfies Record<string, OpDefinition>;
