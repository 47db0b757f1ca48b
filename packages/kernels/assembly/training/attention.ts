// attention of the training module: ../attention.ts by blocks of rows, for steps of thousands of rows.
//
//   for each block of rows of one slot and each head:
//     s[i][p] = q[i] . k[p], d in order;  e = exp(scale (s + keyBias[p]) - max)      p = first .. position of i
//     out[i] = (sum over p, in order, of e[i][p] v[p]) / sum(e)
//
// Its dots sum in another order than those of ../attention.ts, so a row has other bits here than where it is decoded, but
// the same whatever stands beside it (see attention-query.ts). The cache is f32.
// Scratch: a panel; s, a row more than the block, of capacity + 32 numbers; sums of the block.
import { Attention } from '../generated/ops';
import { floats, hsum, splat } from '../simd';
import {
  blockBytes,
  blockRows,
  exponentials,
  mix,
  panelBytes,
  runLength,
  scores,
  scoresStride,
  sumsStride,
} from './attention-tiles';

export function blockAttentionScratch(op: usize): usize {
  const headDim = Attention.headDim(op);
  return panelBytes(headDim) + blockBytes(1, scoresStride(Attention.capacity(op))) + blockBytes(1, sumsStride(headDim));
}

export function blockAttention(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const heads = Attention.heads(op);
  const slots = Attention.slots(op);
  let unit = 0;
  for (let r = 0; r < rows; ) {
    const count = runLength(slots, r, rows, blockRows);
    for (let h = 0; h < heads; h++) if (unit++ % threads == thread) block(op, r, count, h, scratch);
    r += count;
  }
}

/** The sum of e for `count` positions, which are padded with zeros to a multiple of four. */
function total(e: usize, count: i32): f32 {
  let sums = splat(0);
  for (const end = e + floats(count); e < end; e += 16) sums = f32x4.add(sums, v128.load(e));
  return hsum(sums);
}

function block(op: usize, r: i32, count: i32, h: i32, scratch: usize): void {
  const heads = Attention.heads(op);
  const headDim = Attention.headDim(op);
  const kvHeads = Attention.kvHeads(op);
  const capacity = Attention.capacity(op);
  const window = Attention.window(op);
  const bias = Attention.keyBias(op);
  const positions = Attention.positions(op) + floats(r);
  const width = floats(Attention.width(op));
  const stride = scoresStride(capacity);
  const outStride = sumsStride(headDim);
  const s = scratch + panelBytes(headDim);
  const sums = s + blockBytes(1, stride);

  let low = i32.MAX_VALUE;
  let high = 0;
  for (let i = 0; i < count; i++) {
    const last = load<i32>(positions + floats(i));
    low = min(low, window > 0 ? max(0, last - window + 1) : 0);
    high = max(high, last);
  }
  const columns = high - low + 1;
  const slot = load<i32>(Attention.slots(op) + floats(r));
  const layer = slot * Attention.layers(op) + Attention.layer(op);
  const cache = floats(headDim) * (<usize>(layer * kvHeads + h / (heads / kvHeads)) * capacity + low);
  const q = Attention.x(op) + <usize>r * width + floats(h * headDim);
  scores(s, stride, q, width, count, Attention.k(op) + cache, floats(headDim), columns, headDim, scratch);
  memory.fill(sums, 0, <usize>(count + 1) * outStride);
  for (let i = 0; i < count; i++) {
    const last = load<i32>(positions + floats(i));
    const first = window > 0 ? max(0, last - window + 1) : 0;
    const row = s + <usize>i * stride;
    const from = floats(first - low);
    exponentials(row + from, bias ? bias + floats(h * capacity + first) : 0, last - first + 1, Attention.scale(op));
    memory.fill(row, 0, from);
    const to = last - low + 1;
    memory.fill(row + floats(to), 0, floats(columns - to));
  }
  mix(sums, outStride, s, stride, count, Attention.v(op) + cache, floats(headDim), columns, headDim, scratch);
  for (let i = 0; i < count; i++) {
    const last = load<i32>(positions + floats(i));
    const first = window > 0 ? max(0, last - window + 1) : 0;
    const sum = total(s + <usize>i * stride + floats(first - low), last - first + 1);
    const out = Attention.out(op) + floats(((r + i) * heads + h) * headDim);
    for (let d: usize = 0; d < floats(headDim); d += 4)
      store<f32>(out + d, load<f32>(sums + <usize>i * outStride + d) / sum);
  }
}
