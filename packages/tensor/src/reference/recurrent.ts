// The ops that carry something from token to token of a slot: tokenShift, wkv; and mix, which weighs two tokens.
// Rows run in order, since what one leaves the next one reads. Does not own memory (executor.ts).
import { field, type Kernel, type Operand, operand } from './call.js';

/** What the slot of row r was left, at `i` of its row; `start` for the first token of a sequence. */
function left(
  { state, slots, positions }: Readonly<Record<'state' | 'slots' | 'positions', Operand>>,
  r: number,
  i: number,
  start: number,
): number {
  return positions.get(r) === 0 ? start : state.get(slots.get(r) * state.columns + i);
}

/** To f32, as every backend does at each step; numbers of 64 bits, over which differences are taken, stay as they are. */
export const roundingOf = ({ storage }: Operand): ((value: number) => number) =>
  (storage as unknown) instanceof Float64Array ? (value) => value : Math.fround;

export const tokenShift: Kernel = (call) => {
  const [x, out, width] = [operand(call, 'x'), operand(call, 'out'), field(call, 'width')];
  const [state, slots, positions] = [operand(call, 'state'), operand(call, 'slots'), operand(call, 'positions')];
  for (let r = 0; r < call.count; r++)
    for (let c = 0; c < width; c++) {
      out.set(r * width + c, left({ state, slots, positions }, r, c, 0));
      state.set(slots.get(r) * width + c, x.get(r * width + c));
    }
};

export const mix: Kernel = (call) => {
  const [a, b, weight, out] = [operand(call, 'a'), operand(call, 'b'), operand(call, 'weight'), operand(call, 'out')];
  const width = field(call, 'width');
  // the same numbers pass a threshold everywhere
  const round = roundingOf(out);
  for (let i = 0; i < call.count * width; i++) {
    const [own, other] = [weight.get(i % width), round(1 - weight.get(i % width))];
    out.set(i, round(a.get(i) * own) + round(b.get(i) * other));
  }
};

/** The exponent of sums that hold nothing yet: exp(this - any other) is 0. */
const nothing = -1e38;

// exponents are rounded: of large ones a digit more would change the sums
export const wkv: Kernel = (call) => {
  const [k, v, out, width] = [operand(call, 'k'), operand(call, 'v'), operand(call, 'out'), field(call, 'width')];
  const [decay, first] = [operand(call, 'decay'), operand(call, 'first')];
  const [state, slots, positions] = [operand(call, 'state'), operand(call, 'slots'), operand(call, 'positions')];
  const round = roundingOf(out);
  for (let r = 0; r < call.count; r++)
    for (let c = 0; c < width; c++) {
      const [key, value] = [k.get(r * width + c), v.get(r * width + c)];
      const [a, b, p] = [0, 0, nothing].map((start, i) =>
        left({ state, slots, positions }, r, i * width + c, start),
      ) as [number, number, number];
      const bonus = round(first.get(c) + key);
      const q = Math.max(p, bonus);
      const [past, now] = [Math.exp(round(p - q)), Math.exp(round(bonus - q))];
      out.set(r * width + c, (past * a + now * value) / (past * b + now));
      const decayed = round(p - round(Math.exp(decay.get(c))));
      const next = Math.max(decayed, key);
      const [kept, added] = [Math.exp(round(decayed - next)), Math.exp(round(key - next))];
      const at = slots.get(r) * 3 * width + c;
      const sums = [kept * a + added * value, kept * b + added, next];
      for (const [i, each] of sums.entries()) state.set(at + i * width, each);
    }
};
