// attentionBackwardQuery: gradients of the queries, and what attentionBackwardKeyValue needs of each row.
//
//   for each block of rows of one slot and each head:
//     s[i][p] = scale (q[i] . k[p] + keyBias[p]);  e = exp(s - max);  share = e / sum(e)      p = first .. position of i
//     slope[i][p] = dy[i] . v[p];  along = sum of share slope;  ds = share (slope - along)
//     out[i] = scale sum over p, in order, of ds[i][p] k[p];  stats = max + ln(sum(e)), along
//
// A row's own positions run in four lanes from its first on; positions that others of the block attend to are zeros in
// its sums, so its bits do not depend on the block. Pairs of block and head are split across the threads in turn.
// Scratch: a panel; s and slope, each a row more than the block, of capacity + 32 numbers; sums of the block.
import { log } from '../exp';
import { AttentionBackwardQuery } from '../generated/ops';
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

/** s -> ds for `count` positions of a row, in place; room for three numbers after them. Writes the row's stats. */
function differentiate(s: usize, slope: usize, bias: usize, count: i32, scale: f32, stats: usize): void {
  const top = exponentials(s, bias, count, scale);
  const padded = floats((count + 3) & ~3);
  for (let i = floats(count); i < padded; i += 4) store<f32>(slope + i, 0);
  let sums = splat(0);
  let along = splat(0);
  for (let i: usize = 0; i < padded; i += 16) {
    const e = v128.load(s + i);
    sums = f32x4.add(sums, e);
    along = f32x4.add(along, f32x4.mul(e, v128.load(slope + i)));
  }
  const sum = hsum(sums);
  const mean = hsum(along) / sum;
  const m = splat(mean);
  const inverse = splat(1 / sum);
  for (let i: usize = 0; i < padded; i += 16)
    v128.store(s + i, f32x4.mul(f32x4.mul(v128.load(s + i), inverse), f32x4.sub(v128.load(slope + i), m)));
  store<f32>(stats, <f32>(<f64>top + log(<f64>sum)));
  store<f32>(stats, mean, 4);
}

export function attentionBackwardQueryScratch(op: usize): usize {
  const headDim = AttentionBackwardQuery.headDim(op);
  const stride = scoresStride(AttentionBackwardQuery.capacity(op));
  return panelBytes(headDim) + blockBytes(2, stride) + blockBytes(1, sumsStride(headDim));
}

export function attentionBackwardQuery(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const heads = AttentionBackwardQuery.heads(op);
  const slots = AttentionBackwardQuery.slots(op);
  let unit = 0;
  for (let r = 0; r < rows; ) {
    const count = runLength(slots, r, rows, blockRows);
    for (let h = 0; h < heads; h++) if (unit++ % threads == thread) block(op, r, count, h, scratch);
    r += count;
  }
}

function block(op: usize, r: i32, count: i32, h: i32, scratch: usize): void {
  const heads = AttentionBackwardQuery.heads(op);
  const headDim = AttentionBackwardQuery.headDim(op);
  const kvHeads = AttentionBackwardQuery.kvHeads(op);
  const capacity = AttentionBackwardQuery.capacity(op);
  const window = AttentionBackwardQuery.window(op);
  const scale = AttentionBackwardQuery.scale(op);
  const bias = AttentionBackwardQuery.keyBias(op);
  const positions = AttentionBackwardQuery.positions(op) + floats(r);
  const width = floats(AttentionBackwardQuery.width(op));
  const stride = scoresStride(capacity);
  const s = scratch + panelBytes(headDim);
  const slope = s + blockBytes(1, stride);
  const sums = slope + blockBytes(1, stride);

  let low = i32.MAX_VALUE;
  let high = 0;
  for (let i = 0; i < count; i++) {
    const last = load<i32>(positions + floats(i));
    low = min(low, window > 0 ? max(0, last - window + 1) : 0);
    high = max(high, last);
  }
  const columns = high - low + 1;
  const slot = load<i32>(AttentionBackwardQuery.slots(op) + floats(r));
  const layer = slot * AttentionBackwardQuery.layers(op) + AttentionBackwardQuery.layer(op);
  const kvHead = layer * kvHeads + h / (heads / kvHeads);
  const cache = floats(headDim) * (<usize>kvHead * capacity + low);
  const k = AttentionBackwardQuery.k(op) + cache;
  const v = AttentionBackwardQuery.v(op) + cache;
  const q = AttentionBackwardQuery.x(op) + <usize>r * width + floats(h * headDim);
  const dy = AttentionBackwardQuery.dy(op) + floats((r * heads + h) * headDim);
  scores(s, stride, q, width, count, k, floats(headDim), columns, headDim, scratch);
  scores(slope, stride, dy, floats(heads * headDim), count, v, floats(headDim), columns, headDim, scratch);

  for (let i = 0; i < count; i++) {
    const last = load<i32>(positions + floats(i));
    const first = window > 0 ? max(0, last - window + 1) : 0;
    const row = s + <usize>i * stride;
    const from = first - low;
    const to = last - low + 1;
    differentiate(
      row + floats(from), slope + <usize>i * stride + floats(from), bias ? bias + floats(h * capacity + first) : 0,
      to - from, scale, AttentionBackwardQuery.stats(op) + (<usize>((r + i) * heads + h) << 3),
    );
    memory.fill(row, 0, floats(from));
    memory.fill(row + floats(to), 0, floats(columns - to));
  }

  const outStride = sumsStride(headDim);
  memory.fill(sums, 0, <usize>(count + 1) * outStride);
  mix(sums, outStride, s, stride, count, k, floats(headDim), columns, headDim, scratch);
  for (let i = 0; i < count; i++) {
    const out = AttentionBackwardQuery.out(op) + <usize>(r + i) * width + floats(h * headDim);
    for (let d: usize = 0; d < floats(headDim); d += 4)
      store<f32>(out + d, scale * load<f32>(sums + <usize>i * outStride + d));
  }
}
