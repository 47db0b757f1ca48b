// The loop of a step for programs that train: ../interpreter.ts with the ops of training beside those of every model. It is
// a module of its own, so that who only generates does not load the kernels of training.
import {
  ActivateBackward,
  AdamW,
  Attention,
  AttentionBackwardKeyValue,
  AttentionBackwardQuery,
  Clip,
  CrossEntropy,
  dtypeF32,
  Linear,
  LinearBackward,
  LinearGradient,
  MixBackward,
  MixGradient,
  NormBackward,
  NormGradient,
  Penalty,
  Place,
  recordBytes,
  ScatterAdd,
  SumSquares,
  TokenShiftBackward,
  WkvBackward,
} from '../generated/ops';
import { pick, step } from '../interpreter';
import { barrier } from '../team';
import { activateBackward, penalty } from './activate-backward';
import { blockAttention } from './attention';
import { attentionBackwardKeyValue } from './attention-key-value';
import { attentionBackwardQuery } from './attention-query';
import { crossEntropy } from './cross-entropy';
import { linearBackward } from './linear-backward';
import { linearGradient } from './linear-gradient';
import { normBackward, normGradient } from './norm-backward';
import { adamW, clip, sumSquares } from './optimizer';
import { trainingProduct } from './product';
import { mixBackward, mixGradient, tokenShiftBackward, wkvBackward } from './recurrent';
import { place, scatterAdd } from './rows';

export function run(
  program: usize, from: i32, to: i32, rows: i32, outputs: i32, thread: i32, threads: i32, scratch: usize, shared: usize,
  sync: usize,
): void {
  for (let i = from; i < to; i++) {
    trainingStep(program + <usize>i * recordBytes, rows, outputs, thread, threads, scratch, shared, sync);
    barrier(sync, threads);
  }
}

function trainingStep(
  op: usize, rows: i32, outputs: i32, t: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  switch (load<i32>(op)) {
    case LinearBackward.code:
      return linearBackward(op, pick(LinearBackward.count(op), rows, outputs), t, threads, scratch);
    case LinearGradient.code:
      return linearGradient(op, pick(LinearGradient.count(op), rows, outputs), t, threads, scratch);
    case NormBackward.code: return normBackward(op, pick(NormBackward.count(op), rows, outputs), t, threads);
    case NormGradient.code: return normGradient(op, pick(NormGradient.count(op), rows, outputs), t, threads);
    case ActivateBackward.code: return activateBackward(op, pick(ActivateBackward.count(op), rows, outputs), t, threads);
    case AttentionBackwardQuery.code:
      return attentionBackwardQuery(op, pick(AttentionBackwardQuery.count(op), rows, outputs), t, threads, scratch);
    case AttentionBackwardKeyValue.code:
      return attentionBackwardKeyValue(op, pick(AttentionBackwardKeyValue.count(op), rows, outputs), t, threads, scratch);
    case ScatterAdd.code: return scatterAdd(op, pick(ScatterAdd.count(op), rows, outputs), t, threads);
    case Place.code: return place(op, pick(Place.count(op), rows, outputs), t, threads);
    case CrossEntropy.code: return crossEntropy(op, pick(CrossEntropy.count(op), rows, outputs), t, threads, scratch);
    case Penalty.code: return penalty(op, pick(Penalty.count(op), rows, outputs), t, threads);
    case TokenShiftBackward.code:
      return tokenShiftBackward(op, pick(TokenShiftBackward.count(op), rows, outputs), t, threads);
    case MixBackward.code: return mixBackward(op, pick(MixBackward.count(op), rows, outputs), t, threads);
    case MixGradient.code: return mixGradient(op, pick(MixGradient.count(op), rows, outputs), t, threads);
    case WkvBackward.code: return wkvBackward(op, pick(WkvBackward.count(op), rows, outputs), t, threads);
    case SumSquares.code: return sumSquares(op, t, threads);
    case Clip.code: return clip(op, t);
    case AdamW.code: return adamW(op, t, threads);
    default: return forwardStep(op, rows, outputs, t, threads, scratch, shared, sync);
  }
}

/** Ops of every model, two of which have kernels here that are made for thousands of rows of f32. */
function forwardStep(
  op: usize, rows: i32, outputs: i32, t: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  const code = load<i32>(op);
  if (code == Linear.code && Linear.dtype(op) == dtypeF32)
    return linear(op, pick(Linear.count(op), rows, outputs), t, threads, scratch);
  if (code == Attention.code && Attention.dtype(op) == dtypeF32)
    return blockAttention(op, pick(Attention.count(op), rows, outputs), t, threads, scratch);
  step(op, rows, outputs, t, threads, scratch, shared, sync);
}

function linear(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  trainingProduct(
    Linear.x(op), Linear.w(op), Linear.bias(op), Linear.residual(op), Linear.out(op), rows, Linear.inWidth(op),
    Linear.outWidth(op), Linear.transposed(op) == 1, thread, threads, scratch,
  );
}
