// The op cases of a recurrent mixer's gradients at the sizes where kernels break. What they must give is the reference's; that the
// reference is right is gradient-cases.ts.
import { buffer, type Fill, type OpCase, sentinel } from './case.js';

const normal: Fill = { kind: 'normal' };
/** Other numbers than those of a buffer beside it. */
const twice: Fill = { kind: 'normal', scale: 2 };
const stale: Fill = { kind: 'constant', value: sentinel };
const values = (...numbers: readonly number[]): Fill => ({ kind: 'values', values: numbers });
const matrix = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', ['rows', width], fill);
const vector = (name: string, width: number, fill: Fill = normal) => buffer(name, 'f32', [width], fill);

/** One sequence; two after each other in a slot; three whose rows lie between each other's. */
const layouts = [
  { slots: [1], positions: Array.from({ length: 70 }, (_, at) => at) },
  { slots: [2], positions: [0, 1, 2, 0, 1] },
  { slots: [0, 2, 1], positions: [0, 0, 0, 1, 1, 1, 2, 2, 2] },
] as const;

export function* recurrentTrainingCases(): Generator<OpCase> {
  for (const width of [1, 3, 4, 15, 16, 17, 33, 100])
    for (const { slots, positions } of layouts) {
      const rows = Math.min(positions.length, width > 30 ? 70 : 5);
      const where = {
        positions: buffer('positions', 'i32', ['rows'], values(...positions)),
        slots: buffer('slots', 'i32', ['rows'], values(...slots)),
      };
      const common = { rows, maxRows: rows + 1, attributes: {} };
      const at = `[${rows}, ${width}], slots ${slots.join(' ')}`;
      const residual = rows > 5 ? {} : { residual: matrix('residual', width) };
      const dy = matrix('dy', width);
      const out = matrix('out', width, stale);
      yield {
        ...common,
        name: `tokenShiftBackward ${at}`,
        op: 'tokenShiftBackward',
        operands: { dy, ...where, ...residual, out },
        results: ['out'],
        exact: true,
      };
      for (const scale of [1, 0.3])
        yield {
          ...common,
          name: `wkvBackward ${at}, keys of ${scale}`,
          op: 'wkvBackward',
          operands: {
            k: matrix('k', width, { kind: 'normal', scale }),
            v: matrix('v', width, twice),
            ...{ decay: vector('decay', width), first: vector('first', width) },
            ...{ ...where, dy },
            states: matrix('states', 3 * width, stale),
            ...{ dk: matrix('dk', width, stale), dv: matrix('dv', width, stale) },
            ...(scale === 1 && { decayGradient: vector('decayGradient', width) }),
            ...(scale === 1 && { firstGradient: vector('firstGradient', width) }),
          },
          results: ['dk', 'dv', ...(scale === 1 ? ['decayGradient', 'firstGradient'] : [])],
        };
    }
  for (const width of [1, 3, 4, 17, 100])
    for (const rows of [1, 2, 5, 70]) {
      const common = { rows, maxRows: rows + 1 };
      const dy = matrix('dy', width);
      for (const part of [0, 1])
        yield {
          ...common,
          name: `mixBackward [${rows}, ${width}], part ${part}`,
          op: 'mixBackward',
          operands: {
            dy,
            weight: vector('weight', width),
            ...(part === 1 && { residual: matrix('residual', width) }),
            out: matrix('out', width, stale),
          },
          attributes: { part },
          results: ['out'],
        };
      yield {
        ...common,
        name: `mixGradient [${rows}, ${width}]`,
        op: 'mixGradient',
        operands: { dy, a: matrix('a', width), b: matrix('b', width, twice), weight: vector('weight', width) },
        attributes: {},
        results: ['weight'],
      };
    }
}
