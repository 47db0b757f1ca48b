// tokenShiftBackward, mixBackward, mixGradient and wkvBackward: the gradients of ../recurrent.ts.
//
//   with A = a exp(p) and B = b exp(p), y = (A + exp(first + k) v) / (B + exp(first + k)); the gradients of A and B behind a row are
//   ga exp(-g) and gb exp(-g), g so small that no exponent is above 0
//
// Rows of the first two are split across the threads, columns of the others in cache lines; each thread takes the rows of its
// columns one after the other, of wkv forwards for the sums and then backwards. Columns go through four lanes, the last ones
// padded with zeros.
import { exp as inlinedExp } from '../exp';
import { MixBackward, MixGradient, TokenShiftBackward, WkvBackward } from '../generated/ops';
import { put, take } from '../recurrent';
import { floats, share, splat } from '../simd';

// not inlined: nine copies of it are kilobytes
function exp(x: v128): v128 {
  return inlinedExp(x);
}

/** The row of the same slot that follows, or -1 for the last of a sequence. */
function nextRow(positions: usize, slots: usize, r: i32, rows: i32): i32 {
  const slot = load<i32>(slots + floats(r));
  for (let q = r + 1; q < rows; q++)
    if (load<i32>(slots + floats(q)) == slot) return load<i32>(positions + floats(q)) == 0 ? -1 : q;
  return -1;
}

/** The row of the same slot that it follows, or -1 for the first of a sequence. */
function rowBefore(positions: usize, slots: usize, r: i32): i32 {
  if (load<i32>(positions + floats(r)) == 0) return -1;
  const slot = load<i32>(slots + floats(r));
  for (let p = r - 1; p >= 0; p--) if (load<i32>(slots + floats(p)) == slot) return p;
  return -1;
}

export function tokenShiftBackward(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = TokenShiftBackward.width(op);
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++) {
    const next = nextRow(TokenShiftBackward.positions(op), TokenShiftBackward.slots(op), r, rows);
    for (let c = 0; c < width; c += 4) {
      const n = width - c;
      const at = floats(r * width + c);
      let v = TokenShiftBackward.residual(op) ? take(TokenShiftBackward.residual(op) + at, n) : splat(0);
      if (next >= 0) v = f32x4.add(v, take(TokenShiftBackward.dy(op) + floats(next * width + c), n));
      put(TokenShiftBackward.out(op) + at, v, n);
    }
  }
}

export function mixBackward(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = MixBackward.width(op);
  const isOther = MixBackward.part(op) != 0;
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++)
    for (let c = 0; c < width; c += 4) {
      const n = width - c;
      const at = floats(r * width + c);
      let weight = take(MixBackward.weight(op) + floats(c), n);
      if (isOther) weight = f32x4.sub(splat(1), weight);
      const v = f32x4.mul(take(MixBackward.dy(op) + at, n), weight);
      put(MixBackward.out(op) + at, MixBackward.residual(op) ? f32x4.add(take(MixBackward.residual(op) + at, n), v) : v, n);
    }
}

export function mixGradient(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = MixGradient.width(op);
  const last = share(width, 16, thread + 1, threads);
  for (let c = share(width, 16, thread, threads); c < last; c += 4) {
    const n = last - c;
    let sum = splat(0);
    for (let r = 0; r < rows; r++) {
      const at = floats(r * width + c);
      const apart = f32x4.sub(take(MixGradient.a(op) + at, n), take(MixGradient.b(op) + at, n));
      sum = f32x4.add(sum, f32x4.mul(take(MixGradient.dy(op) + at, n), apart));
    }
    const to = MixGradient.weight(op) + floats(c);
    put(to, f32x4.add(take(to, n), sum), n);
  }
}

/** The exponent of sums that hold nothing yet, and that of gradients that are none. */
const nothing: f32 = -1e38;
const none: f32 = 1e38;

export function wkvBackward(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = WkvBackward.width(op);
  const last = share(width, 16, thread + 1, threads);
  for (let c = share(width, 16, thread, threads); c < last; c += 4) {
    const n = last - c;
    const rate = exp(take(WkvBackward.decay(op) + floats(c), n));
    sumForwards(op, rows, width, c, n, rate);
    backwards(op, rows, width, c, n, rate);
  }
}

/** The sums before each row into `states`. */
function sumForwards(op: usize, rows: i32, width: i32, c: i32, n: i32, rate: v128): void {
  const run = floats(width);
  for (let r = 0; r < rows; r++) {
    const before = rowBefore(WkvBackward.positions(op), WkvBackward.slots(op), r);
    const state = WkvBackward.states(op) + floats(r * 3 * width + c);
    if (before < 0) {
      put(state, splat(0), n);
      put(state + run, splat(0), n);
      put(state + 2 * run, splat(nothing), n);
      continue;
    }
    const left = WkvBackward.states(op) + floats(before * 3 * width + c);
    const k = take(WkvBackward.k(op) + floats(before * width + c), n);
    const v = take(WkvBackward.v(op) + floats(before * width + c), n);
    const decayed = f32x4.sub(take(left + 2 * run, n), rate);
    const next = f32x4.max(decayed, k);
    const kept = exp(f32x4.sub(decayed, next));
    const added = exp(f32x4.sub(k, next));
    put(state, f32x4.add(f32x4.mul(kept, take(left, n)), f32x4.mul(added, v)), n);
    put(state + run, f32x4.add(f32x4.mul(kept, take(left + run, n)), added), n);
    put(state + 2 * run, next, n);
  }
}

/** The gradients of the sums before each row take their place. */
function backwards(op: usize, rows: i32, width: i32, c: i32, n: i32, rate: v128): void {
  const run = floats(width);
  const bonus = take(WkvBackward.first(op) + floats(c), n);
  let decaySum = splat(0);
  let firstSum = splat(0);
  for (let r = rows - 1; r >= 0; r--) {
    const at = floats(r * width + c);
    const state = WkvBackward.states(op) + floats(r * 3 * width + c);
    const a = take(state, n);
    const b = take(state + run, n);
    const p = take(state + 2 * run, n);
    const next = nextRow(WkvBackward.positions(op), WkvBackward.slots(op), r, rows);
    let ga = splat(0);
    let gb = splat(0);
    let g = splat(none);
    if (next >= 0) {
      const behind = WkvBackward.states(op) + floats(next * 3 * width + c);
      ga = take(behind, n);
      gb = take(behind + run, n);
      g = take(behind + 2 * run, n);
    }
    const k = take(WkvBackward.k(op) + at, n);
    const v = take(WkvBackward.v(op) + at, n);

    const now = f32x4.add(bonus, k);
    const most = f32x4.max(p, now);
    const past = exp(f32x4.sub(p, most));
    const own = exp(f32x4.sub(now, most));
    const divisor = f32x4.add(f32x4.mul(past, b), own);
    const y = f32x4.div(f32x4.add(f32x4.mul(past, a), f32x4.mul(own, v)), divisor);
    const slope = f32x4.div(take(WkvBackward.dy(op) + at, n), divisor);
    const bonusSlope = f32x4.mul(f32x4.mul(own, f32x4.sub(v, y)), slope);
    const gained = exp(f32x4.sub(k, g));
    put(WkvBackward.dv(op) + at, f32x4.add(f32x4.mul(own, slope), f32x4.mul(gained, ga)), n);
    put(WkvBackward.dk(op) + at, f32x4.add(bonusSlope, f32x4.mul(gained, f32x4.add(f32x4.mul(v, ga), gb))), n);
    firstSum = f32x4.add(firstSum, bonusSlope);
    const carried = exp(f32x4.sub(f32x4.sub(p, rate), g));
    const both = f32x4.add(f32x4.mul(a, ga), f32x4.mul(b, gb));
    decaySum = f32x4.sub(decaySum, f32x4.mul(f32x4.mul(rate, carried), both));

    const reached = f32x4.add(g, rate);
    const before = f32x4.min(most, reached);
    const here = f32x4.mul(slope, exp(f32x4.sub(before, most)));
    const later = exp(f32x4.sub(before, reached));
    put(state, f32x4.add(f32x4.mul(ga, later), here), n);
    put(state + run, f32x4.sub(f32x4.mul(gb, later), f32x4.mul(here, y)), n);
    put(state + 2 * run, before, n);
  }
  addTo(WkvBackward.decayGradient(op), c, n, decaySum);
  addTo(WkvBackward.firstGradient(op), c, n, firstSum);
}

function addTo(gradient: usize, c: i32, n: i32, sum: v128): void {
  if (gradient) put(gradient + floats(c), f32x4.add(take(gradient + floats(c), n), sum), n);
}
