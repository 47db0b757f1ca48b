// logProb: log-probability of a target token and the index of the largest logit, a row of logits at a time.
//
//   top = max(logits); best = first index where logits = top
//   logprob = logits[target] - top - ln(sum(exp(logits - top)))
//
// Rows are split across the threads: the product before it costs a thousand times more, so a single row is not split.
import { exp, log } from './exp';
import { LogProb } from './generated/ops';
import { floats, hmax, share, splat } from './simd';

/** The largest of `width` numbers. */
export function largest(x: usize, width: i32): f32 {
  let top = splat(-Infinity);
  const end4 = x + floats(width & ~3);
  const end = x + floats(width);
  for (; x < end4; x += 16) top = f32x4.pmax(top, v128.load(x));
  let best = hmax(top);
  for (; x < end; x += 4) best = max(best, load<f32>(x));
  return best;
}

/** Sum of exp(x - top): per lane in f32 over 1024 numbers at most, those in f64. */
export function sumExp(x: usize, width: i32, top: f32): f64 {
  const t = splat(top);
  const end4 = x + floats(width & ~3);
  let total: f64 = 0;
  while (x < end4) {
    const end = min(end4, x + 4096);
    let sum = splat(0);
    for (; x < end; x += 16) sum = f32x4.add(sum, exp(f32x4.sub(v128.load(x), t)));
    total += <f64>f32x4.extract_lane(sum, 0) + <f64>f32x4.extract_lane(sum, 1);
    total += <f64>f32x4.extract_lane(sum, 2) + <f64>f32x4.extract_lane(sum, 3);
  }
  for (let i = 0; i < (width & 3); i++, x += 4)
    total += <f64>f32x4.extract_lane(exp(splat(load<f32>(x) - top)), 0);
  return total;
}

export function logProb(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = LogProb.width(op);
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++) {
    const x = LogProb.logits(op) + floats(r * width);
    const top = largest(x, width);
    let best = 0;
    while (best < width - 1 && load<f32>(x + floats(best)) != top) best++;
    const target = load<f32>(x + floats(load<i32>(LogProb.target(op) + floats(r))));
    store<f32>(LogProb.logprob(op) + floats(r), <f32>(<f64>target - <f64>top - log(sumExp(x, width, top))));
    store<i32>(LogProb.best(op) + floats(r), best);
  }
}
