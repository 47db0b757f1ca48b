// sumSquares, clip and adamW: the optimiser's step.
//
//   sumSquares: parts[first + i] = sum of x^2 over 16384 numbers: four lanes in f64, then one by one; parts are split
//   clip:       norm = sqrt(sum of parts, in order, in f64); thread 0 does it
//   adamW:      g = gradient clip[1]; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g g
//               parameter -= lr (decay parameter + (m / correction1) / (sqrt(v / correction2) + eps))
//               average = keep average + (1 - keep) parameter; gradient = 0; split in cache lines
//
// Decay is taken off as a difference: 1 - lr decay in f32 would round away what it decays by.
import {
  AdamW,
  Clip,
  partSize,
  scheduleAverageDecay,
  scheduleCorrection1,
  scheduleCorrection2,
  scheduleLearningRate,
  scheduleMaxNorm,
  SumSquares,
} from '../generated/ops';
import { floats, share, splat } from '../simd';

@inline function square(sum: v128, pair: v128): v128 {
  const x = f64x2.promote_low_f32x4(pair);
  return f64x2.add(sum, f64x2.mul(x, x));
}

export function sumSquares(op: usize, thread: i32, threads: i32): void {
  const size = SumSquares.size(op);
  const parts = (size + partSize - 1) / partSize;
  const last = share(parts, 1, thread + 1, threads);
  for (let part = share(parts, 1, thread, threads); part < last; part++) {
    const count = min(partSize, size - part * partSize);
    let x = SumSquares.x(op) + floats(part * partSize);
    let s0 = f64x2.splat(0);
    let s1 = f64x2.splat(0);
    for (const end = x + floats(count & ~3); x < end; x += 16) {
      s0 = square(s0, v128.load64_zero(x));
      s1 = square(s1, v128.load64_zero(x, 8));
    }
    const s = f64x2.add(s0, s1);
    let sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
    for (let i = 0; i < (count & 3); i++, x += 4) sum += <f64>load<f32>(x) * <f64>load<f32>(x);
    store<f32>(SumSquares.parts(op) + floats(SumSquares.first(op) + part), <f32>sum);
  }
}

export function clip(op: usize, thread: i32): void {
  if (thread != 0) return;
  const size = Clip.size(op);
  let sum: f64 = 0;
  for (let i = 0; i < size; i++) sum += <f64>load<f32>(Clip.parts(op) + floats(i));
  const norm = sqrt<f64>(sum);
  const maxNorm = <f64>load<f32>(Clip.schedule(op) + floats(scheduleMaxNorm));
  store<f32>(Clip.out(op), <f32>norm);
  store<f32>(Clip.out(op), maxNorm > 0 ? <f32>min<f64>(1, maxNorm / (norm + 1e-6)) : 1, 4);
}

export function adamW(op: usize, thread: i32, threads: i32): void {
  const size = AdamW.size(op);
  const schedule = AdamW.schedule(op);
  const beta1 = AdamW.beta1(op);
  const beta2 = AdamW.beta2(op);
  const b1 = splat(beta1);
  const b2 = splat(beta2);
  const c1 = splat(1 - beta1);
  const c2 = splat(1 - beta2);
  const factor = v128.load32_splat(AdamW.clip(op), 4);
  const lr = splat(load<f32>(schedule + floats(scheduleLearningRate)) * AdamW.rate(op));
  const correction1 = splat(load<f32>(schedule + floats(scheduleCorrection1)));
  const correction2 = splat(load<f32>(schedule + floats(scheduleCorrection2)));
  const keep = load<f32>(schedule + floats(scheduleAverageDecay));
  const kept = splat(keep);
  const fresh = splat(1 - keep);
  const eps = splat(AdamW.eps(op));
  const decay = splat(AdamW.decay(op));
  const average = AdamW.average(op);
  const first = share(size, 16, thread, threads);
  const last = share(size, 16, thread + 1, threads);
  for (let i = first; i < last; i += 4) {
    const at = floats(i);
    const p = AdamW.parameter(op) + at;
    const whole = i + 4 <= size;
    // after the last numbers lies what pads the buffer to whole cache lines
    const g = f32x4.mul(v128.load(AdamW.gradient(op) + at), factor);
    const m = f32x4.add(f32x4.mul(b1, v128.load(AdamW.m(op) + at)), f32x4.mul(c1, g));
    const v = f32x4.add(f32x4.mul(b2, v128.load(AdamW.v(op) + at)), f32x4.mul(f32x4.mul(c2, g), g));
    const deviation = f32x4.add(f32x4.sqrt(f32x4.div(v, correction2)), eps);
    const old = v128.load(p);
    const step = f32x4.add(f32x4.mul(decay, old), f32x4.div(f32x4.div(m, correction1), deviation));
    const next = f32x4.sub(old, f32x4.mul(lr, step));
    const count = whole ? 4 : size - i;
    put(p, next, count);
    put(AdamW.m(op) + at, m, count);
    put(AdamW.v(op) + at, v, count);
    if (average) {
      const a = average + at;
      put(a, f32x4.add(f32x4.mul(kept, v128.load(a)), f32x4.mul(fresh, next)), count);
    }
    put(AdamW.gradient(op) + at, splat(0), count);
  }
}

/** The first `count` of four numbers. */
@inline function put(at: usize, v: v128, count: i32): void {
  if (count == 4) v128.store(at, v);
  else {
    store<f32>(at, f32x4.extract_lane(v, 0));
    if (count > 1) store<f32>(at, f32x4.extract_lane(v, 1), 4);
    if (count > 2) store<f32>(at, f32x4.extract_lane(v, 2), 8);
  }
}
