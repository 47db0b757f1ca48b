// The one loop of a step: every thread of the team runs it over the same program.
//
//   for op in [from, to): kernels[op.code](my share of op); barrier
//
// `run` is all that the host calls. It allocates nothing and validates nothing: the host did, once, when it loaded the
// program. The kernels are exported too, which keeps the optimiser from inlining them all into this loop: V8 compiles
// each for itself, and a kernel gets its fast code after its first calls instead of the loop's next one.
import { activate, multiply } from './activation';
import { attention, storeKv } from './attention';
import { stream, streamRead } from './bench';
import { concat } from './concat';
import { fetchRows } from './fetch';
import { gather } from './gather';
import {
  Activate,
  AgreeingSigns,
  Attention,
  AxpyRows,
  Concat,
  countRows,
  AnnounceRows,
  FetchRows,
  Gather,
  GemvRows,
  HeadNorm,
  KeepTop,
  LayerNorm,
  Linear,
  LogProb,
  MarkActive,
  Mix,
  Multiply,
  Quantize,
  recordBytes,
  RmsNorm,
  Rope,
  RoundRow,
  SelectActive,
  StoreKv,
  TokenShift,
  TwoBitScores,
  Wkv,
} from './generated/ops';
import { linear } from './linear';
import { logProb } from './logprob';
import { markActive } from './marks';
import { headNorm, layerNorm, rmsNorm } from './norm';
import { quantize } from './quantize';
import { mix, tokenShift, wkv } from './recurrent';
import { rope } from './rope';
import { roundRow } from './round';
import { selectActive } from './select';
import { agreeingSigns } from './signs';
import { axpyRows, gemvRows } from './sparse';
import { barrier } from './team';
import { keepTop } from './top';
import { twoBitScores } from './two-bits';

/**
 * `program` is the address of the first record; `rows` and `outputs` are the step's sizes; `scratch` is this thread's
 * own, `shared` the team's, in which no op leaves anything; `sync` is the session's barrier block.
 */
export function run(
  program: usize, from: i32, to: i32, rows: i32, outputs: i32, thread: i32, threads: i32, scratch: usize, shared: usize,
  sync: usize,
): void {
  for (let i = from; i < to; i++) {
    step(program + <usize>i * recordBytes, rows, outputs, thread, threads, scratch, shared, sync);
    barrier(sync, threads);
  }
}

@inline export function pick(count: i32, rows: i32, outputs: i32): i32 {
  return count == countRows ? rows : outputs;
}

/** This thread's share of one op. */
export function step(
  op: usize, rows: i32, outputs: i32, t: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  switch (load<i32>(op)) {
    case Gather.code: return gather(op, pick(Gather.count(op), rows, outputs), t, threads, scratch);
    case RmsNorm.code: return rmsNorm(op, pick(RmsNorm.count(op), rows, outputs), t, threads);
    case LayerNorm.code: return layerNorm(op, pick(LayerNorm.count(op), rows, outputs), t, threads);
    case Activate.code: return activate(op, pick(Activate.count(op), rows, outputs), t, threads);
    case Multiply.code: return multiply(op, pick(Multiply.count(op), rows, outputs), t, threads);
    case SelectActive.code: return selectActive(op, pick(SelectActive.count(op), rows, outputs), t, threads);
    case Linear.code: return linear(op, pick(Linear.count(op), rows, outputs), t, threads, scratch, shared, sync);
    case GemvRows.code: return gemvRows(op, pick(GemvRows.count(op), rows, outputs), t, threads, scratch);
    case AxpyRows.code:
      return axpyRows(op, pick(AxpyRows.count(op), rows, outputs), t, threads, scratch, shared, sync);
    case Rope.code: return rope(op, pick(Rope.count(op), rows, outputs), t, threads);
    case StoreKv.code: return storeKv(op, pick(StoreKv.count(op), rows, outputs), t, threads);
    case Attention.code: return attention(op, pick(Attention.count(op), rows, outputs), t, threads, scratch);
    case HeadNorm.code: return headNorm(op, pick(HeadNorm.count(op), rows, outputs), t, threads);
    case KeepTop.code: return keepTop(op, pick(KeepTop.count(op), rows, outputs), t, threads, scratch);
    case Concat.code: return concat(op, pick(Concat.count(op), rows, outputs), t, threads);
    case AgreeingSigns.code:
      return agreeingSigns(op, pick(AgreeingSigns.count(op), rows, outputs), t, threads, scratch);
    case TwoBitScores.code:
      return twoBitScores(op, pick(TwoBitScores.count(op), rows, outputs), t, threads, scratch);
    case MarkActive.code: return markActive(op, pick(MarkActive.count(op), rows, outputs), t, threads);
    case TokenShift.code: return tokenShift(op, pick(TokenShift.count(op), rows, outputs), t, threads);
    case Mix.code: return mix(op, pick(Mix.count(op), rows, outputs), t, threads);
    case Wkv.code: return wkv(op, pick(Wkv.count(op), rows, outputs), t, threads);
    // no host of WebAssembly reads files ahead
    case AnnounceRows.code: return;
    case FetchRows.code: return fetchRows(op, pick(FetchRows.count(op), rows, outputs), t, threads, sync);
    case RoundRow.code: return roundRow(op, pick(RoundRow.count(op), rows, outputs), t, threads);
    case Quantize.code: return quantize(op, pick(Quantize.count(op), rows, outputs), t, threads, scratch);
    case LogProb.code: return logProb(op, pick(LogProb.count(op), rows, outputs), t, threads);
    case streamRead: return stream(op, t, threads);
    default: unreachable();
  }
}
