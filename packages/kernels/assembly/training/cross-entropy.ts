// crossEntropy: the loss of each row of logits, and in their place its gradient. Rows are split across the threads.
//
//   top = max(logits); rest = sum of exp(logit - top) over the tokens that the teacher does not list
//   total = rest + sum of exp(logit - top) over those it does;  loss = ln(total) + top - logits[target]
//   logits = (weight + pull (1 - restShare)) q, q = exp(logit - top) / total;  then
//     logits[listed] = weight q + pull (q - p);  logits[target] -= weight
//   restShare = (1 - sum of p) / (rest / total): what the teacher gives each other token, as a multiple of q
//
// The listed logits wait in scratch with -infinity in their place, so that `rest` is a sum and not a difference of two
// sums that are nearly equal. Sums over the row: lanes in f32 over 1024 numbers at most, those in f64 (logprob.ts).
// Scratch: a number for each token that the teacher lists.
import { exp, log } from '../exp';
import { CrossEntropy } from '../generated/ops';
import { largest, sumExp } from '../logprob';
import { floats, share, splat } from '../simd';

@inline function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp(splat(x)), 0);
}

/** x = factor * exp(x - top) */
function spread(x: usize, width: i32, top: f32, factor: f32): void {
  const t = splat(top);
  const f = splat(factor);
  const end4 = x + floats(width & ~3);
  for (; x < end4; x += 16) v128.store(x, f32x4.mul(f, exp(f32x4.sub(v128.load(x), t))));
  for (let i = 0; i < (width & 3); i++, x += 4) store<f32>(x, factor * exp1(load<f32>(x) - top));
}

/** Rounding must not make a share negative, nor divide by it. */
const least: f64 = 1e-30;

export function crossEntropyScratch(op: usize): usize {
  return floats(CrossEntropy.teacherCount(op));
}

export function crossEntropy(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const width = CrossEntropy.width(op);
  const listed = CrossEntropy.teacherCount(op);
  const last = share(rows, 1, thread + 1, threads);
  for (let r = share(rows, 1, thread, threads); r < last; r++) {
    const x = CrossEntropy.logits(op) + floats(r * width);
    const ids = CrossEntropy.teacherIds(op) + floats(r * listed);
    const logprobs = CrossEntropy.teacherLogprobs(op) + floats(r * listed);
    const target = x + floats(load<i32>(CrossEntropy.target(op) + floats(r)));
    const weight = load<f32>(CrossEntropy.weight(op) + floats(r));
    const pull: f32 = listed ? load<f32>(CrossEntropy.teacherWeight(op) + floats(r)) : 0;
    const top = largest(x, width);
    const targetLogit = load<f32>(target);
    for (let i = 0; i < listed; i++) {
      const logit = x + floats(load<i32>(ids + floats(i)));
      store<f32>(scratch + floats(i), load<f32>(logit));
      store<f32>(logit, -Infinity);
    }
    const rest = sumExp(x, width, top);
    let total = rest;
    for (let i = 0; i < listed; i++) total += <f64>exp1(load<f32>(scratch + floats(i)) - top);
    const logTotal = log(total);
    store<f32>(CrossEntropy.loss(op) + floats(r), <f32>(logTotal + (<f64>top - <f64>targetLogit)));

    let restShare: f64 = 1;
    if (listed) {
      let divergence: f64 = 0;
      let teacherRest: f64 = 1;
      for (let i = 0; i < listed; i++) {
        const logP = load<f32>(logprobs + floats(i));
        const p = <f64>exp1(logP);
        divergence += p * (<f64>logP - (<f64>load<f32>(scratch + floats(i)) - <f64>top - logTotal));
        teacherRest -= p;
      }
      teacherRest = listed == width ? 0 : max<f64>(0, teacherRest);
      const ownRest = max<f64>(least, rest / total);
      if (teacherRest > 0) divergence += teacherRest * log(teacherRest / ownRest);
      restShare = teacherRest / ownRest;
      store<f32>(CrossEntropy.divergence(op) + floats(r), <f32>divergence);
    }

    const inverse = <f32>(1 / total);
    spread(x, width, top, <f32>((<f64>weight + <f64>pull * (1 - restShare)) / total));
    for (let i = 0; i < listed; i++) {
      const q = exp1(load<f32>(scratch + floats(i)) - top) * inverse;
      const p = exp1(load<f32>(logprobs + floats(i)));
      store<f32>(x + floats(load<i32>(ids + floats(i))), weight * q + pull * (q - p));
    }
    store<f32>(target, load<f32>(target) - weight);
  }
}
