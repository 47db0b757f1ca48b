// The ops that training adds for a recurrent mixer: the gradients of tokenShift, mix and wkv. As with attention, every position of
// a slot must be a row of the step, so that nothing from before it has a gradient. Does not own the forward ops (recurrent-ops.ts).
import { f32, i32, maybe, maybeUpdate, type OpDefinition, read, update, write } from './op-rules.js';
import { places } from './recurrent-ops.js';

export const recurrentTrainingOpTable = {
  tokenShiftBackward: {
    code: 45,
    formula:
      'out[r] = residual[r] + dy[q], q the next row of the slot of r unless positions[q] is 0; residual[r] where there is none (+0 without residual)',
    operands: { dy: read(f32), positions: read(i32), slots: read(i32), residual: maybe(f32), out: write(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('residual', s.matrix('dy'));
      places(s, s.matrix('dy')[0]);
      return s.rowwise('dy', 'out', []);
    },
  },
  mixBackward: {
    code: 46,
    formula:
      'out[r] = residual[r] + dy[r] * weight where part is 0 (the gradient of a), dy[r] * (1 - weight) where it is 1 (of b)',
    operands: { dy: read(f32), weight: read(f32), residual: maybe(f32), out: write(f32) },
    attributes: { part: 'int' },
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('residual', s.matrix('dy'));
      return s.rowwise('dy', 'out', ['weight']);
    },
  },
  mixGradient: {
    code: 47,
    formula: 'weight[c] += sum over r of dy[r][c] (a[r][c] - b[r][c])',
    operands: { dy: read(f32), a: read(f32), b: read(f32), weight: update(f32) },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      s.expect('b', s.matrix('dy'));
      return s.rowwise('dy', 'a', ['weight']);
    },
  },
  wkvBackward: {
    code: 48,
    // with A, B the sums themselves, D = B + exp(first + k) and y what wkv gave: A' = exp(-exp(decay)) A + exp(k) v, B' likewise
    formula:
      'column by column: dk, dv = the gradients of k and v, decayGradient and firstGradient += those of decay and first, of wkv over the rows of each slot from positions[r] = 0 on. states[r]: what the rows of a slot hand on, first (a, b, p) forwards as wkv has them, then the gradients of the sums times exp(g), and g, backwards',
    operands: {
      k: read(f32),
      v: read(f32),
      decay: read(f32),
      first: read(f32),
      positions: read(i32),
      slots: read(i32),
      dy: read(f32),
      states: write(f32),
      dk: write(f32),
      dv: write(f32),
      decayGradient: maybeUpdate(f32),
      firstGradient: maybeUpdate(f32),
    },
    attributes: {},
    derived: ['count', 'width'],
    infer: (s) => {
      const [count, width] = s.matrix('k');
      for (const operand of ['v', 'dy', 'dv']) s.expect(operand, [count, width]);
      for (const operand of ['decayGradient', 'firstGradient']) s.expect(operand, [width]);
      const fields = s.rowwise('k', 'dk', ['decay', 'first']);
      s.expect('states', [count, 3 * fields.width]);
      places(s, count);
      return fields;
    },
  },
} as const satisfies Record<string, OpDefinition>;
