// activateBackward and penalty: gradients number by number.
//
//   activateBackward: out = residual + dy f'(x), the derivatives as below (masks: ../masks.ts); split across the threads in cache lines
//   penalty: out = residual + coefficient sign(x); norm[r] = sum |x[r]|; activeCount[r] = how many of x[r] are not 0; rows
//            are split across the threads, and the sum of a row runs in four lanes, then one by one
//
// The last one to three numbers go through the same four-lane code, so that a number's bits do not depend on its place.
import { exp, normalCdf, sigmoid, tanh } from '../exp';
import {
  ActivateBackward,
  activationFatrelu,
  activationGelu,
  activationGeluTanh,
  activationRelu,
  activationRelu2,
  activationScale,
  activationSigmoid,
  activationSilu,
  activationSoftcap,
  Penalty,
} from '../generated/ops';
import { choose } from '../masks';
import { floats, hsum, share, splat } from '../simd';

/** dy f'(x); `t` is the threshold, of relu less its slack. */
@inline function sloped(kind: i32, x: v128, dy: v128, t: v128): v128 {
  const one = splat(1);
  if (kind == activationRelu || kind == activationFatrelu) return v128.and(f32x4.gt(x, t), dy);
  if (kind == activationRelu2) return v128.and(f32x4.gt(x, splat(0)), f32x4.mul(f32x4.add(x, x), dy));
  if (kind == activationScale) return f32x4.mul(t, dy);
  if (kind == activationSoftcap) {
    const y = tanh(f32x4.div(x, t));
    return f32x4.mul(dy, f32x4.sub(one, f32x4.mul(y, y)));
  }
  if (kind == activationSilu) {
    const s = sigmoid(x);
    return f32x4.mul(dy, f32x4.mul(s, f32x4.add(one, f32x4.mul(x, f32x4.sub(one, s)))));
  }
  if (kind == activationSigmoid) {
    const s = sigmoid(x);
    return f32x4.mul(dy, f32x4.mul(s, f32x4.sub(one, s)));
  }
  const square = f32x4.mul(x, x);
  if (kind == activationGelu) {
    const density = f32x4.mul(splat(0.3989422804014327), exp(f32x4.mul(splat(-0.5), square)));
    return f32x4.mul(dy, f32x4.add(normalCdf(x), f32x4.mul(x, density)));
  }
  // u = sqrt(2 / pi) (x + 0.044715 x^3); 1/2 (1 + tanh u) = sigmoid(2u) = s, and 1 - tanh(u)^2 = 4 s (1 - s)
  const cube = f32x4.mul(f32x4.mul(square, x), splat(0.044715));
  const s = sigmoid(f32x4.mul(splat(1.5957691216057308), f32x4.add(x, cube)));
  const inner = f32x4.mul(splat(1.5957691216057308), f32x4.add(one, f32x4.mul(splat(0.134145), square)));
  return f32x4.mul(dy, f32x4.add(s, f32x4.mul(f32x4.mul(x, inner), f32x4.mul(s, f32x4.sub(one, s)))));
}

@inline function map(kind: i32, x: usize, dy: usize, residual: usize, out: usize, count: i32, threshold: f32): void {
  const t = splat(threshold);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    const v = sloped(kind, v128.load(x + i), v128.load(dy + i), t);
    v128.store(out + i, residual ? f32x4.add(v128.load(residual + i), v) : v);
  }
  for (const end = floats(count); i < end; i += 4) {
    const v = f32x4.extract_lane(sloped(kind, v128.load32_zero(x + i), v128.load32_zero(dy + i), t), 0);
    store<f32>(out + i, residual ? load<f32>(residual + i) + v : v);
  }
}

/** The largest f32 that is not above a number: x > number is x > that. */
function notAbove(value: f64): f32 {
  const near = <f32>value;
  if (<f64>near <= value) return near;
  return reinterpret<f32>(reinterpret<i32>(near) - (near > 0 ? 1 : -1));
}

export function activateBackward(op: usize, rows: i32, thread: i32, threads: i32): void {
  const total = rows * ActivateBackward.width(op);
  const first = share(total, 16, thread, threads);
  const count = share(total, 16, thread + 1, threads) - first;
  const at = floats(first);
  const x = ActivateBackward.x(op) + at;
  const dy = ActivateBackward.dy(op) + at;
  const residual = ActivateBackward.residual(op) ? ActivateBackward.residual(op) + at : 0;
  const out = ActivateBackward.out(op) + at;
  const threshold = ActivateBackward.threshold(op);
  switch (ActivateBackward.kind(op)) {
    case activationRelu:
      return map(
        activationRelu, x, dy, residual, out, count, notAbove(<f64>threshold - <f64>ActivateBackward.slack(op)),
      );
    case activationRelu2: return map(activationRelu2, x, dy, residual, out, count, threshold);
    case activationFatrelu: return map(activationFatrelu, x, dy, residual, out, count, threshold);
    case activationSilu: return map(activationSilu, x, dy, residual, out, count, threshold);
    case activationGelu: return map(activationGelu, x, dy, residual, out, count, threshold);
    case activationGeluTanh: return map(activationGeluTanh, x, dy, residual, out, count, threshold);
    case activationSoftcap: return map(activationSoftcap, x, dy, residual, out, count, threshold);
    case activationScale: return map(activationScale, x, dy, residual, out, count, threshold);
    case activationSigmoid: return map(activationSigmoid, x, dy, residual, out, count, threshold);
    default:
      choose(
        ActivateBackward.kind(op), ActivateBackward.x(op), ActivateBackward.dy(op), ActivateBackward.residual(op),
        ActivateBackward.out(op), ActivateBackward.thresholds(op), ActivateBackward.perColumn(op) == 1,
        ActivateBackward.strength(op), rows, ActivateBackward.width(op), thread, threads,
      );
  }
}

/** coefficient sign(x) */
@inline function signed(x: v128, coefficient: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000));
  return v128.and(f32x4.ne(x, splat(0)), v128.xor(coefficient, sign));
}

export function penalty(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = Penalty.width(op);
  const coefficient = v128.load32_splat(Penalty.coefficients(op) + floats(Penalty.index(op)));
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++) {
    const x = Penalty.x(op) + floats(r * width);
    const out = Penalty.out(op) ? Penalty.out(op) + floats(r * width) : 0;
    const residual = Penalty.residual(op) ? Penalty.residual(op) + floats(r * width) : 0;
    let sums = splat(0);
    let active = 0;
    let i: usize = 0;
    for (const end = floats(width & ~3); i < end; i += 16) {
      const v = v128.load(x + i);
      sums = f32x4.add(sums, f32x4.abs(v));
      active += popcnt<i32>(i32x4.bitmask(f32x4.ne(v, splat(0))));
      const pull = signed(v, coefficient);
      if (out) v128.store(out + i, residual ? f32x4.add(v128.load(residual + i), pull) : pull);
    }
    let norm = hsum(sums);
    for (const end = floats(width); i < end; i += 4) {
      const v = load<f32>(x + i);
      norm += abs<f32>(v);
      if (v != 0) active++;
      const pull = f32x4.extract_lane(signed(splat(v), coefficient), 0);
      if (out) store<f32>(out + i, residual ? load<f32>(residual + i) + pull : pull);
    }
    store<f32>(Penalty.norm(op) + floats(r), norm);
    store<i32>(Penalty.activeCount(op) + floats(r), active);
  }
}
