// Elementwise kernels: activate (masks are masks.ts), multiply. Rows are contiguous, so a step is one run of rows * width numbers, split across
// the threads in cache lines.
//
//   for i in my share: out[i] = f(x[i])
//
// The last one to three numbers go through the same four-lane code (padded with zeros), so that a number's bits do not
// depend on where the share ends. In place (out = x) is fine.
import { normalCdf, sigmoid, tanh } from './exp';
import {
  Activate,
  activationFatrelu,
  activationGelu,
  activationGeluTanh,
  activationRelu,
  activationRelu2,
  activationScale,
  activationSigmoid,
  activationSilu,
  activationSoftcap,
  Multiply,
} from './generated/ops';
import { mask } from './masks';
import { share, splat } from './simd';

@inline function activation(kind: i32, x: v128, t: v128): v128 {
  const zero = i32x4.splat(0);
  // "not at most", which NaN is: a step that went wrong must not look like one that came to zero
  if (kind == activationRelu) return v128.andnot(f32x4.sub(x, t), f32x4.le(x, t));
  if (kind == activationRelu2) return v128.andnot(f32x4.mul(x, x), f32x4.le(x, zero));
  if (kind == activationFatrelu) return v128.andnot(x, f32x4.le(x, t));
  if (kind == activationSilu) return f32x4.mul(x, sigmoid(x));
  if (kind == activationSigmoid) return sigmoid(x);
  if (kind == activationGelu) return f32x4.mul(x, normalCdf(x));
  if (kind == activationScale) return f32x4.mul(t, x);
  if (kind == activationSoftcap) return f32x4.mul(t, tanh(f32x4.div(x, t)));
  // 1/2 (1 + tanh u) = sigmoid(2u), which does not cancel for negative u
  const cube = f32x4.mul(f32x4.mul(f32x4.mul(x, x), x), splat(0.044715));
  return f32x4.mul(x, sigmoid(f32x4.mul(splat(1.5957691216057308), f32x4.add(x, cube))));
}

@inline function map(kind: i32, x: usize, out: usize, count: i32, threshold: f32): void {
  const t = splat(threshold);
  const end = x + (<usize>(count >> 2) << 4);
  for (; x < end; x += 16, out += 16) v128.store(out, activation(kind, v128.load(x), t));
  for (let i = 0; i < (count & 3); i++, x += 4, out += 4) {
    const lane = activation(kind, v128.load32_zero(x), t);
    store<f32>(out, f32x4.extract_lane(lane, 0));
  }
}

export function activate(op: usize, rows: i32, thread: i32, threads: i32): void {
  const total = rows * Activate.width(op);
  const first = share(total, 16, thread, threads);
  const count = share(total, 16, thread + 1, threads) - first;
  const x = Activate.x(op) + (<usize>first << 2);
  const out = Activate.out(op) + (<usize>first << 2);
  const threshold = Activate.threshold(op);
  switch (Activate.kind(op)) {
    case activationRelu: return map(activationRelu, x, out, count, threshold);
    case activationRelu2: return map(activationRelu2, x, out, count, threshold);
    case activationFatrelu: return map(activationFatrelu, x, out, count, threshold);
    case activationSilu: return map(activationSilu, x, out, count, threshold);
    case activationGelu: return map(activationGelu, x, out, count, threshold);
    case activationGeluTanh: return map(activationGeluTanh, x, out, count, threshold);
    case activationSoftcap: return map(activationSoftcap, x, out, count, threshold);
    case activationScale: return map(activationScale, x, out, count, threshold);
    case activationSigmoid: return map(activationSigmoid, x, out, count, threshold);
    default: mask(op, rows, thread, threads);
  }
}

// a == 0 ? +0 : a * b; b may hold anything where a is zero, NaN included
@inline function masked(a: v128, b: v128): v128 {
  return v128.and(f32x4.ne(a, i32x4.splat(0)), f32x4.mul(a, b));
}

export function multiply(op: usize, rows: i32, thread: i32, threads: i32): void {
  const total = rows * Multiply.width(op);
  const first = share(total, 16, thread, threads);
  const count = share(total, 16, thread + 1, threads) - first;
  let a = Multiply.a(op) + (<usize>first << 2);
  let b = Multiply.b(op) + (<usize>first << 2);
  let out = Multiply.out(op) + (<usize>first << 2);
  const end = a + (<usize>(count >> 2) << 4);
  if (Multiply.residual(op)) {
    let residual = Multiply.residual(op) + (<usize>first << 2);
    for (; a < end; a += 16, b += 16, residual += 16, out += 16)
      v128.store(out, f32x4.add(v128.load(residual), masked(v128.load(a), v128.load(b))));
    for (let i = 0; i < (count & 3); i++, a += 4, b += 4, residual += 4, out += 4) {
      const product = masked(v128.load32_zero(a), v128.load32_zero(b));
      store<f32>(out, load<f32>(residual) + f32x4.extract_lane(product, 0));
    }
    return;
  }
  for (; a < end; a += 16, b += 16, out += 16) v128.store(out, masked(v128.load(a), v128.load(b)));
  for (let i = 0; i < (count & 3); i++, a += 4, b += 4, out += 4)
    store<f32>(out, f32x4.extract_lane(masked(v128.load32_zero(a), v128.load32_zero(b)), 0));
}
