// What every kernel needs beside its operands, in bytes: scratch of a thread's own, and memory that the threads share. Each
// kernel says it beside itself; this is the list. The host asks before it lays out a program (../src/sizes.ts).
//
// The kernels of training are a module of their own, which is loaded when the first step of training runs; what they need
// has to be known before, so it is said here too: with `training`, of the kernels that training/interpreter.ts takes.
import { attentionScratch } from './attention';
import { gatherScratch } from './gather';
import {
  AgreeingSigns,
  Attention,
  AttentionBackwardKeyValue,
  AttentionBackwardQuery,
  AxpyRows,
  CrossEntropy,
  dtypeF32,
  Gather,
  GemvRows,
  KeepTop,
  Linear,
  LinearBackward,
  LinearGradient,
  Quantize,
  TwoBitScores,
} from './generated/ops';
import { pick } from './interpreter';
import { linearScratch, linearShared } from './linear';
import { quantizeScratch } from './quantize';
import { agreeingSignsScratch } from './signs';
import { axpyRowsScratch, axpyRowsShared, gemvRowsScratch } from './sparse';
import { keepTopScratch } from './top';
import { blockAttentionScratch } from './training/attention';
import { attentionBackwardKeyValueScratch } from './training/attention-key-value';
import { attentionBackwardQueryScratch } from './training/attention-query';
import { crossEntropyScratch } from './training/cross-entropy';
import { linearBackwardScratch } from './training/linear-backward';
import { linearGradientScratch } from './training/linear-gradient';
import { trainingProductScratch } from './training/product';
import { twoBitScoresScratch } from './two-bits';

/** Scratch that one of `threads` threads needs for an op, in steps of at most so many rows and outputs. */
export function scratchBytes(op: usize, rows: i32, outputs: i32, threads: i32, training: bool): usize {
  switch (load<i32>(op)) {
    case Gather.code: return gatherScratch(op);
    case Linear.code: {
      const most = pick(Linear.count(op), rows, outputs);
      return training && Linear.dtype(op) == dtypeF32
        ? trainingProductScratch(most, Linear.outWidth(op), Linear.transposed(op) == 1, threads)
        : linearScratch(op, most, threads);
    }
    case GemvRows.code: return gemvRowsScratch(op, pick(GemvRows.count(op), rows, outputs));
    case AxpyRows.code: return axpyRowsScratch(op, pick(AxpyRows.count(op), rows, outputs), threads);
    case Attention.code:
      return training && Attention.dtype(op) == dtypeF32 ? blockAttentionScratch(op) : attentionScratch(op);
    case KeepTop.code: return keepTopScratch(op);
    case AgreeingSigns.code: return agreeingSignsScratch(op, pick(AgreeingSigns.count(op), rows, outputs));
    case TwoBitScores.code: return twoBitScoresScratch(op, pick(TwoBitScores.count(op), rows, outputs));
    case Quantize.code: return quantizeScratch;
    case LinearBackward.code: return linearBackwardScratch(op, pick(LinearBackward.count(op), rows, outputs), threads);
    case LinearGradient.code: return linearGradientScratch;
    case AttentionBackwardQuery.code: return attentionBackwardQueryScratch(op);
    case AttentionBackwardKeyValue.code: return attentionBackwardKeyValueScratch(op);
    case CrossEntropy.code: return crossEntropyScratch(op);
    default: return 0;
  }
}

/** Bytes that the threads share in an op. */
export function sharedBytes(op: usize): usize {
  switch (load<i32>(op)) {
    case Linear.code: return linearShared(op);
    case AxpyRows.code: return axpyRowsShared(op);
    default: return 0;
  }
}
