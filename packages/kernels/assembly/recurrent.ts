// tokenShift and wkv: what the tokens of a slot leave for the next one; mix, which weighs a token and the one before.
//
//   for each row r: s = state[slots[r]], or what a sequence begins with where positions[r] is 0; out[r] = f(s, x[r]); state = g(s, x[r])
//
// Columns are split across the threads in cache lines, since rows may be of one slot; each thread takes the rows of its
// columns one after the other. The last one to three columns go through the same four-lane code (padded with zeros), so that a
// number's bits do not depend on where a share ends.
import { exp as inlinedExp } from './exp';
import { Mix, TokenShift, Wkv } from './generated/ops';
import { floats, share, splat } from './simd';

// not inlined, here and below: five copies of exp are a kilobyte, and a call costs less than what is between
function exp(x: v128): v128 {
  return inlinedExp(x);
}

/** The first n numbers at `at`, or four; the other lanes are zero, and memory beyond is not touched. */
export function take(at: usize, n: i32): v128 {
  if (n >= 4) return v128.load(at);
  let v = v128.load32_zero(at);
  if (n > 1) v = v128.load32_lane(at, v, 1, 4);
  if (n > 2) v = v128.load32_lane(at, v, 2, 8);
  return v;
}

export function put(at: usize, v: v128, n: i32): void {
  if (n >= 4) return v128.store(at, v);
  v128.store32_lane(at, v, 0);
  if (n > 1) v128.store32_lane(at, v, 1, 4);
  if (n > 2) v128.store32_lane(at, v, 2, 8);
}

export function tokenShift(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = TokenShift.width(op);
  const first = share(width, 16, thread, threads);
  const bytes = floats(share(width, 16, thread + 1, threads) - first);
  if (bytes == 0) return;
  for (let r = 0; r < rows; r++) {
    const at = floats(r * width + first);
    const slot = load<i32>(TokenShift.slots(op) + floats(r));
    const state = TokenShift.state(op) + <usize>slot * floats(width) + floats(first);
    if (load<i32>(TokenShift.positions(op) + floats(r)) == 0) memory.fill(TokenShift.out(op) + at, 0, bytes);
    else memory.copy(TokenShift.out(op) + at, state, bytes);
    memory.copy(state, TokenShift.x(op) + at, bytes);
  }
}

export function mix(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = Mix.width(op);
  const first = share(width, 16, thread, threads);
  const last = share(width, 16, thread + 1, threads);
  for (let r = 0; r < rows; r++)
    for (let c = first; c < last; c += 4) {
      const at = floats(r * width + c);
      const n = last - c;
      const weight = take(Mix.weight(op) + floats(c), n);
      const own = f32x4.mul(take(Mix.a(op) + at, n), weight);
      const other = f32x4.mul(take(Mix.b(op) + at, n), f32x4.sub(splat(1), weight));
      put(Mix.out(op) + at, f32x4.add(own, other), n);
    }
}

/** The exponent of sums that hold nothing yet. */
const nothing: f32 = -1e38;

// A state is three runs of width: a, b and p, the sums of exp(k) v and of exp(k) times exp(-p), decayed, and p itself.
export function wkv(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = Wkv.width(op);
  const first = share(width, 16, thread, threads);
  const last = share(width, 16, thread + 1, threads);
  for (let c = first; c < last; c += 4) {
    const n = last - c;
    const rate = exp(take(Wkv.decay(op) + floats(c), n));
    const bonus = take(Wkv.first(op) + floats(c), n);
    for (let r = 0; r < rows; r++) {
      const at = floats(r * width + c);
      const slot = load<i32>(Wkv.slots(op) + floats(r));
      const state = Wkv.state(op) + <usize>slot * floats(3 * width) + floats(c);
      let a = splat(0);
      let b = splat(0);
      let p = splat(nothing);
      if (load<i32>(Wkv.positions(op) + floats(r)) != 0) {
        a = take(state, n);
        b = take(state + floats(width), n);
        p = take(state + floats(2 * width), n);
      }
      const k = take(Wkv.k(op) + at, n);
      const v = take(Wkv.v(op) + at, n);

      const now = f32x4.add(bonus, k);
      let most = f32x4.max(p, now);
      let past = exp(f32x4.sub(p, most));
      let added = exp(f32x4.sub(now, most));
      const sum = f32x4.add(f32x4.mul(past, a), f32x4.mul(added, v));
      put(Wkv.out(op) + at, f32x4.div(sum, f32x4.add(f32x4.mul(past, b), added)), n);

      const decayed = f32x4.sub(p, rate);
      most = f32x4.max(decayed, k);
      past = exp(f32x4.sub(decayed, most));
      added = exp(f32x4.sub(k, most));
      put(state, f32x4.add(f32x4.mul(past, a), f32x4.mul(added, v)), n);
      put(state + floats(width), f32x4.add(f32x4.mul(past, b), added), n);
      put(state + floats(2 * width), most, n);
    }
  }
}
