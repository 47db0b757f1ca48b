// activate by the code of a mask, and its gradient: numbers that pass a comparison with thresholds, the others +0.
//
//   for i in my share of [rows, width]: r, c = the row and column of i
//     t = thresholds[c] * strength[r]; a row of strength 0 passes whole
//     out[i] = residual[i] + (x[i] passes t ? values[i] : +0)      values: x, dy of a gradient, 1 of a step
//
// Numbers are split across the threads in cache lines. Nothing is rounded but t, so the bits are those of the definition. In
// place (out = x) is fine.
import {
  Activate,
  activationMagnitude,
  activationMagnitudeOrEqual,
  activationRemainder,
  activationStep,
} from './generated/ops';
import { floats, share, splat } from './simd';

/** All bits where x passes. NaN is neither above nor below a threshold; magnitudes keep it. */
@inline function passed(kind: i32, x: v128, t: v128, whole: v128): v128 {
  if (kind == activationStep) return v128.or(f32x4.gt(x, t), whole);
  const size = f32x4.abs(x);
  if (kind == activationRemainder) return f32x4.le(size, t);
  return v128.not(kind == activationMagnitude ? f32x4.le(size, t) : f32x4.lt(size, t));
}

/** Part of a row. `step` is 4 where there is a threshold a column, 0 where there is one. */
@inline function chooseRun(
  kind: i32, x: usize, values: usize, residual: usize, out: usize, count: i32, thresholds: usize, step: usize,
  strength: f32,
): void {
  const isWhole = strength == 0;
  // no magnitude is below -1, so a row passes whole and leaves no remainder
  const none = splat(-1);
  const whole = i32x4.splat(isWhole ? -1 : 0);
  const scale = splat(strength);
  const one = splat(1);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16, thresholds += step * 4) {
    const t = isWhole ? none : f32x4.mul(scale, step ? v128.load(thresholds) : v128.load32_splat(thresholds));
    const v = v128.and(passed(kind, v128.load(x + i), t, whole), kind == activationStep ? one : v128.load(values + i));
    v128.store(out + i, residual ? f32x4.add(v128.load(residual + i), v) : v);
  }
  for (const end = floats(count); i < end; i += 4, thresholds += step) {
    const t = isWhole ? none : f32x4.mul(scale, v128.load32_zero(thresholds));
    const chosen = kind == activationStep ? one : v128.load32_zero(values + i);
    const v = f32x4.extract_lane(v128.and(passed(kind, v128.load32_zero(x + i), t, whole), chosen), 0);
    store<f32>(out + i, residual ? load<f32>(residual + i) + v : v);
  }
}

/** `perColumn`: a threshold a column; `strength` and `residual` may be absent (0). */
export function choose(
  kind: i32, x: usize, values: usize, residual: usize, out: usize, thresholds: usize, perColumn: bool, strength: usize,
  rows: i32, width: i32, thread: i32, threads: i32,
): void {
  const step: usize = perColumn ? 4 : 0;
  const last = share(rows * width, 16, thread + 1, threads);
  for (let i = share(rows * width, 16, thread, threads); i < last; ) {
    const r = i / width;
    const column = i - r * width;
    const count = min(width - column, last - i);
    const at = floats(i);
    const from = residual ? residual + at : 0;
    const t = thresholds + <usize>column * step;
    const s = strength ? load<f32>(strength + floats(r)) : 1;
    switch (kind) {
      case activationMagnitude: chooseRun(activationMagnitude, x + at, values + at, from, out + at, count, t, step, s); break;
      case activationRemainder: chooseRun(activationRemainder, x + at, values + at, from, out + at, count, t, step, s); break;
      case activationStep: chooseRun(activationStep, x + at, values + at, from, out + at, count, t, step, s); break;
      case activationMagnitudeOrEqual:
        chooseRun(activationMagnitudeOrEqual, x + at, values + at, from, out + at, count, t, step, s);
    }
    i += count;
  }
}

export function mask(op: usize, rows: i32, thread: i32, threads: i32): void {
  const x = Activate.x(op);
  choose(
    Activate.kind(op), x, x, 0, Activate.out(op), Activate.thresholds(op), Activate.perColumn(op) == 1,
    Activate.strength(op), rows, Activate.width(op), thread, threads,
  );
}
