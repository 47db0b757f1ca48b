// rmsNorm, layerNorm, and headNorm: the same over each head of a row, in place.
//
//   mean = sum(x) / width (layerNorm);  scale = 1 / sqrt(sum((x - mean)^2) / width + eps)
//   out = (x - mean) * scale * weight + bias
//
// A run whose sum leaves f32 (numbers beyond 1e18 or so) is summed and written in f64, one by one.
// Rows are split across the threads. When there are fewer rows than threads, each thread sums the whole row (the same sum,
// the same bits) and writes its share of the columns: cheaper than a second barrier. Not when out = x: then a writer
// would change what another still sums.
import { HeadNorm, LayerNorm, RmsNorm } from './generated/ops';
import { floats, hsum, share, splat } from './simd';

@inline function term(x: v128, mean: v128, squared: bool): v128 {
  if (!squared) return x;
  const d = f32x4.sub(x, mean);
  return f32x4.mul(d, d);
}

/** Sum of x, or of (x - mean)^2 when squared: sixteen running sums, four more for what is left, then one by one. */
@inline export function reduce(x: usize, width: i32, mean: f32, squared: bool): f32 {
  const m = splat(mean);
  let s0 = splat(0);
  let s1 = splat(0);
  let s2 = splat(0);
  let s3 = splat(0);
  const end16 = x + floats(width & ~15);
  for (; x < end16; x += 64) {
    s0 = f32x4.add(s0, term(v128.load(x), m, squared));
    s1 = f32x4.add(s1, term(v128.load(x, 16), m, squared));
    s2 = f32x4.add(s2, term(v128.load(x, 32), m, squared));
    s3 = f32x4.add(s3, term(v128.load(x, 48), m, squared));
  }
  const end4 = x + floats(width & 12);
  for (; x < end4; x += 16) s0 = f32x4.add(s0, term(v128.load(x), m, squared));
  let sum = hsum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  const end = x + floats(width & 3);
  for (; x < end; x += 4) {
    const d = load<f32>(x) - (squared ? mean : 0);
    sum += squared ? d * d : d;
  }
  return sum;
}

/** The mean in f64, for a run that leaves f32. */
export function wideMean(x: usize, width: i32): f64 {
  let sum: f64 = 0;
  for (const end = x + floats(width); x < end; x += 4) sum += <f64>load<f32>(x);
  return sum / <f64>width;
}

/** 1 / sqrt(variance + eps) in f64, for a run that leaves f32. */
export function wideScale(x: usize, width: i32, mean: f64, eps: f32): f64 {
  let sum: f64 = 0;
  for (const end = x + floats(width); x < end; x += 4) {
    const d = <f64>load<f32>(x) - mean;
    sum += d * d;
  }
  return 1 / sqrt<f64>(sum / <f64>width + <f64>eps);
}

/** `apply` in f64. */
function applyWide(x: usize, out: usize, weight: usize, bias: usize, count: i32, mean: f64, scale: f64): void {
  for (let i: usize = 0; i < floats(count); i += 4) {
    let v = (<f64>load<f32>(x + i) - mean) * scale;
    if (weight) v *= <f64>load<f32>(weight + i);
    if (bias) v += <f64>load<f32>(bias + i);
    store<f32>(out + i, <f32>v);
  }
}

/** Columns [column, column + columns) of a run; weight and bias are those of the first of these columns, or absent (0). */
function normaliseRun(
  x: usize, out: usize, weight: usize, bias: usize, eps: f32, width: i32, centred: bool, column: i32, columns: i32,
): void {
  const mean: f32 = centred ? reduce(x, width, 0, false) / <f32>width : 0;
  const variance: f32 = reduce(x, width, mean, true) / <f32>width;
  const from = x + floats(column);
  const to = out + floats(column);
  if (variance <= f32.MAX_VALUE) {
    apply(from, to, weight, bias, columns, mean, 1 / sqrt<f32>(variance + eps));
  } else {
    const middle: f64 = centred ? wideMean(x, width) : 0;
    applyWide(from, to, weight, bias, columns, middle, wideScale(x, width, middle, eps));
  }
}

/** out = (x - mean) * scale * weight + bias for `count` columns; weight and bias may be absent (0). */
function apply(x: usize, out: usize, weight: usize, bias: usize, count: i32, mean: f32, scale: f32): void {
  const m = splat(mean);
  const s = splat(scale);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    let v = f32x4.mul(f32x4.sub(v128.load(x + i), m), s);
    if (weight) v = f32x4.mul(v, v128.load(weight + i));
    if (bias) v = f32x4.add(v, v128.load(bias + i));
    v128.store(out + i, v);
  }
  for (const end = floats(count); i < end; i += 4) {
    let v = (load<f32>(x + i) - mean) * scale;
    if (weight) v *= load<f32>(weight + i);
    if (bias) v += load<f32>(bias + i);
    store<f32>(out + i, v);
  }
}

@inline function normalise(
  x: usize, out: usize, weight: usize, bias: usize, eps: f32, width: i32, centred: bool,
  rows: i32, thread: i32, threads: i32,
): void {
  const byRows = rows >= threads || x == out;
  const first = byRows ? share(rows, 1, thread, threads) : 0;
  const last = byRows ? share(rows, 1, thread + 1, threads) : rows;
  const column = byRows ? 0 : share(width, 16, thread, threads);
  const columns = (byRows ? width : share(width, 16, thread + 1, threads)) - column;
  if (columns == 0) return;
  for (let r = first; r < last; r++) {
    const at = floats(r * width);
    normaliseRun(
      x + at, out + at, weight ? weight + floats(column) : 0, bias ? bias + floats(column) : 0, eps, width, centred,
      column, columns,
    );
  }
}

export function rmsNorm(op: usize, rows: i32, thread: i32, threads: i32): void {
  normalise(RmsNorm.x(op), RmsNorm.out(op), RmsNorm.weight(op), 0, RmsNorm.eps(op), RmsNorm.width(op), false, rows, thread, threads);
}

export function layerNorm(op: usize, rows: i32, thread: i32, threads: i32): void {
  normalise(
    LayerNorm.x(op), LayerNorm.out(op), LayerNorm.weight(op), LayerNorm.bias(op), LayerNorm.eps(op), LayerNorm.width(op), true,
    rows, thread, threads,
  );
}

/** Pairs of row and head are split across the threads. */
export function headNorm(op: usize, rows: i32, thread: i32, threads: i32): void {
  const heads = HeadNorm.heads(op);
  const headDim = HeadNorm.headDim(op);
  const width = HeadNorm.width(op);
  const centred = HeadNorm.centred(op) == 1;
  const weight = HeadNorm.weight(op);
  const bias = HeadNorm.bias(op);
  const last = share(rows * heads, 1, thread + 1, threads);
  for (let i = share(rows * heads, 1, thread, threads); i < last; i++) {
    const head = i % heads;
    const x = HeadNorm.x(op) + floats((i / heads) * width + head * headDim);
    const own = floats(head * headDim);
    normaliseRun(
      x, x, weight ? weight + own : 0, bias ? bias + own : 0, HeadNorm.eps(op), headDim, centred, 0, headDim,
    );
  }
}
