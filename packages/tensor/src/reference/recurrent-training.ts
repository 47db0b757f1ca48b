// The definition of the gradients of a recurrent mixer: tokenShift, mix, wkv. Sums in f64, rows of a slot one after the other.
// Does not own which op belongs to which forward op (gradient.ts).
import type { recurrentTrainingOpTable } from '../recurrent-training-ops.js';
import { field, type Kernel, type Operand, operand } from './call.js';
import { roundingOf } from './recurrent.js';

type Places = Readonly<Record<'positions' | 'slots', Operand>>;

/** The row of the same slot that follows; undefined for the last of a sequence. */
function nextRow({ positions, slots }: Places, r: number, count: number): number | undefined {
  for (let q = r + 1; q < count; q++) if (slots.get(q) === slots.get(r)) return positions.get(q) === 0 ? undefined : q;
  return undefined;
}

/** The row of the same slot that it follows; undefined for the first of a sequence. */
function rowBefore({ positions, slots }: Places, r: number): number | undefined {
  if (positions.get(r) === 0) return undefined;
  for (let p = r - 1; p >= 0; p--) if (slots.get(p) === slots.get(r)) return p;
  return undefined;
}

const tokenShiftBackward: Kernel = (call) => {
  const [dy, out, { residual }] = [operand(call, 'dy'), operand(call, 'out'), call.operands];
  const places = { positions: operand(call, 'positions'), slots: operand(call, 'slots') };
  const width = field(call, 'width');
  for (let r = 0; r < call.count; r++) {
    const next = nextRow(places, r, call.count);
    for (let c = 0; c < width; c++) {
      const kept = residual ? residual.get(r * width + c) : 0;
      out.set(r * width + c, next === undefined ? kept : kept + dy.get(next * width + c));
    }
  }
};

const mixBackward: Kernel = (call) => {
  const [dy, weight, out] = [operand(call, 'dy'), operand(call, 'weight'), operand(call, 'out')];
  const { residual } = call.operands;
  const width = field(call, 'width');
  for (let i = 0; i < call.count * width; i++) {
    const own = weight.get(i % width);
    const gradient = dy.get(i) * (field(call, 'part') === 0 ? own : 1 - own);
    out.set(i, residual ? residual.get(i) + gradient : gradient);
  }
};

const mixGradient: Kernel = (call) => {
  const [dy, a, b, weight] = [operand(call, 'dy'), operand(call, 'a'), operand(call, 'b'), operand(call, 'weight')];
  const width = field(call, 'width');
  for (let c = 0; c < width; c++) {
    let sum = 0;
    for (let at = c; at < call.count * width; at += width) sum += dy.get(at) * (a.get(at) - b.get(at));
    weight.set(c, weight.get(c) + sum);
  }
};

/** The exponent of sums that hold nothing; and that of gradients that are none: exp(this or anything - that) is 0. */
const [nothing, none] = [-1e38, 1e38];

// With A = a exp(p) and B = b exp(p), y = (A + exp(first + k) v) / (B + exp(first + k)). The gradients of A and B behind a row are
// ga exp(-g) and gb exp(-g), g so small that no exponent is above 0.
const wkvBackward: Kernel = (call) => {
  const [k, v, dy, states] = [operand(call, 'k'), operand(call, 'v'), operand(call, 'dy'), operand(call, 'states')];
  const [decay, first, dk, dv] = [
    operand(call, 'decay'),
    operand(call, 'first'),
    operand(call, 'dk'),
    operand(call, 'dv'),
  ];
  const { decayGradient, firstGradient } = call.operands;
  const places = { positions: operand(call, 'positions'), slots: operand(call, 'slots') };
  const width = field(call, 'width');
  const stateOf = (r: number | undefined, c: number, start: readonly [number, number, number]) =>
    r === undefined
      ? start
      : ([0, 1, 2].map((i) => states.get(r * 3 * width + i * width + c)) as [number, number, number]);
  const keep = (r: number, c: number, numbers: readonly number[]) => {
    for (const [i, value] of numbers.entries()) states.set(r * 3 * width + i * width + c, value);
  };
  // as wkv does: exponents are rounded at each step
  const round = roundingOf(states);
  const exp = (exponent: number) => Math.exp(round(exponent));
  for (let c = 0; c < width; c++) {
    const [rate, bonus] = [round(Math.exp(decay.get(c))), first.get(c)];
    for (let r = 0; r < call.count; r++) {
      const before = rowBefore(places, r);
      const [a, b, p] = stateOf(before, c, [0, 0, nothing]);
      if (before === undefined) {
        keep(r, c, [0, 0, nothing]);
        continue;
      }
      const [key, value] = [k.get(before * width + c), v.get(before * width + c)];
      const decayed = round(p - rate);
      const next = Math.max(decayed, key);
      const [kept, added] = [exp(decayed - next), exp(key - next)];
      keep(r, c, [kept * a + added * value, kept * b + added, next]);
    }
    let [decaySum, firstSum] = [0, 0];
    for (let r = call.count - 1; r >= 0; r--) {
      const [a, b, p] = stateOf(r, c, [0, 0, nothing]);
      const [ga, gb, g] = stateOf(nextRow(places, r, call.count), c, [0, 0, none]);
      const [key, value] = [k.get(r * width + c), v.get(r * width + c)];
      const raised = round(bonus + key);
      const q = Math.max(p, raised);
      const [past, now] = [exp(p - q), exp(raised - q)];
      const divisor = past * b + now;
      const y = (past * a + now * value) / divisor;
      const slope = dy.get(r * width + c) / divisor;
      const own = now * (value - y) * slope;
      const added = exp(key - g);
      dv.set(r * width + c, now * slope + added * ga);
      dk.set(r * width + c, own + added * (value * ga + gb));
      firstSum += own;
      decaySum -= rate * exp(round(p - rate) - g) * (a * ga + b * gb);
      const reached = round(g + rate);
      const before = Math.min(q, reached);
      const [here, behind] = [exp(before - q), exp(before - reached)];
      keep(r, c, [slope * here + ga * behind, gb * behind - slope * y * here, before]);
    }
    if (decayGradient) decayGradient.set(c, decayGradient.get(c) + decaySum);
    if (firstGradient) firstGradient.set(c, firstGradient.get(c) + firstSum);
  }
};

export const recurrentTrainingKernels: Readonly<Record<keyof typeof recurrentTrainingOpTable, Kernel>> = {
  tokenShiftBackward,
  mixBackward,
  mixGradient,
  wkvBackward,
};
