// attentionBackwardKeyValue: gradients of the keys and values.
//
//   for each block of rows of one slot (their keys j) and each kv head, sums of dk[j] and dv[j] from +0:
//     for each run of up to 64 rows i of that slot, in order, and each head of the group:
//       share[j][i] = exp(scale (k[j] . q[i] + keyBias[j]) - stats[i][0]) where i attends to j, else 0
//       ds[j][i] = scale share (v[j] . dy[i] - stats[i][1])
//       dv[j] += sum over i, in order, of share[j][i] dy[i];  dk[j] += sum over i, in order, of ds[j][i] q[i]
//
// So a sum runs over runs, then heads, then rows. Rows at a run's ends that attend to no key of the block are left out: they
// would add zeros. Pairs of block and kv head are split across the threads in turn.
// Scratch: a panel; share and ds of the block; position and stats of a run's rows; sums of dk and dv.
import { exp } from '../exp';
import { AttentionBackwardKeyValue } from '../generated/ops';
import { floats, splat } from '../simd';
import { blockBytes, blockRows, mix, panelBytes, runLength, scores, sumsStride } from './attention-tiles';

/** Rows that attend, at a time. */
const runRows = 64;

export function attentionBackwardKeyValueScratch(op: usize): usize {
  const headDim = AttentionBackwardKeyValue.headDim(op);
  const stride = floats(runRows);
  return panelBytes(headDim) + blockBytes(2, stride) + 3 * stride + blockBytes(2, sumsStride(headDim));
}

export function attentionBackwardKeyValue(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const kvHeads = AttentionBackwardKeyValue.kvHeads(op);
  const slots = AttentionBackwardKeyValue.slots(op);
  let unit = 0;
  for (let r = 0; r < rows; ) {
    const count = runLength(slots, r, rows, blockRows);
    for (let h = 0; h < kvHeads; h++) if (unit++ % threads == thread) block(op, rows, r, count, h, scratch);
    r += count;
  }
}

/** Whether row i attends to a position from low to high. */
@inline function attends(positions: usize, i: i32, low: i32, high: i32, window: i32): bool {
  const at = load<i32>(positions + floats(i));
  return at >= low && (window == 0 || at - high < window);
}

function block(op: usize, rows: i32, r: i32, count: i32, kvHead: i32, scratch: usize): void {
  const heads = AttentionBackwardKeyValue.heads(op);
  const headDim = AttentionBackwardKeyValue.headDim(op);
  const group = heads / AttentionBackwardKeyValue.kvHeads(op);
  const window = AttentionBackwardKeyValue.window(op);
  const scale = AttentionBackwardKeyValue.scale(op);
  const slots = AttentionBackwardKeyValue.slots(op);
  const positions = AttentionBackwardKeyValue.positions(op);
  const width = floats(AttentionBackwardKeyValue.width(op));
  const dyWidth = floats(heads * headDim);
  const stride = floats(runRows);
  const outStride = sumsStride(headDim);
  const share = scratch + panelBytes(headDim);
  const ds = share + blockBytes(1, stride);
  const facts = ds + blockBytes(1, stride);
  const dk = facts + 3 * stride;
  const dv = dk + blockBytes(1, outStride);
  memory.fill(dk, 0, blockBytes(2, outStride));
  const own = <usize>r * width + floats(kvHead * headDim);
  const keys = AttentionBackwardKeyValue.x(op) + own + floats(AttentionBackwardKeyValue.firstKey(op));
  const values = AttentionBackwardKeyValue.x(op) + own + floats(AttentionBackwardKeyValue.firstValue(op));

  let low = i32.MAX_VALUE;
  let high = 0;
  for (let j = r; j < r + count; j++) {
    low = min(low, load<i32>(positions + floats(j)));
    high = max(high, load<i32>(positions + floats(j)));
  }
  const slot = load<i32>(slots + floats(r));
  for (let next = 0; next < rows; ) {
    let i = next;
    next += runLength(slots, i, rows, runRows);
    if (load<i32>(slots + floats(i)) != slot) continue;
    let end = next;
    while (i < end && !attends(positions, i, low, high, window)) i++;
    while (i < end && !attends(positions, end - 1, low, high, window)) end--;
    const some = end - i;
    if (some == 0) continue;
    for (let h = kvHead * group; h < (kvHead + 1) * group; h++) {
      const q = AttentionBackwardKeyValue.x(op) + <usize>i * width + floats(h * headDim);
      const dy = AttentionBackwardKeyValue.dy(op) + <usize>i * dyWidth + floats(h * headDim);
      scores(share, stride, keys, width, count, q, width, some, headDim, scratch);
      scores(ds, stride, values, width, count, dy, dyWidth, some, headDim, scratch);
      gatherRun(facts, positions + floats(i), AttentionBackwardKeyValue.stats(op) + (<usize>(i * heads + h) << 3), heads, some);
      for (let j = 0; j < count; j++) {
        const position = load<i32>(positions + floats(r + j));
        const bias = AttentionBackwardKeyValue.keyBias(op);
        const pull: f32 = bias ? load<f32>(bias + floats(h * AttentionBackwardKeyValue.capacity(op) + position)) : 0;
        shares(share + <usize>j * stride, ds + <usize>j * stride, facts, some, position, window, pull, scale);
      }
      mix(dv, outStride, share, stride, count, dy, dyWidth, some, headDim, scratch);
      mix(dk, outStride, ds, stride, count, q, width, some, headDim, scratch);
    }
  }
  const out = AttentionBackwardKeyValue.out(op) + own;
  for (let j: usize = 0; j < <usize>count; j++) {
    memory.copy(out + j * width + floats(AttentionBackwardKeyValue.firstKey(op)), dk + j * outStride, floats(headDim));
    memory.copy(out + j * width + floats(AttentionBackwardKeyValue.firstValue(op)), dv + j * outStride, floats(headDim));
  }
}

/** Positions and stats of a run's rows, side by side; after the last to a multiple of four, rows that attend to nothing. */
function gatherRun(facts: usize, positions: usize, stats: usize, heads: i32, count: i32): void {
  const stride = floats(runRows);
  for (let i: i32 = 0; i < ((count + 3) & ~3); i++) {
    const at = facts + floats(i);
    const own = stats + (<usize>(i * heads) << 3);
    const real = i < count;
    store<i32>(at, real ? load<i32>(positions + floats(i)) : -1);
    store<f32>(at + stride, real ? load<f32>(own) : 0);
    store<f32>(at + 2 * stride, real ? load<f32>(own, 4) : 0);
  }
}

/** Scores -> shares, slopes -> ds, for one key and the rows of a run. */
function shares(share: usize, ds: usize, facts: usize, count: i32, position: i32, window: i32, bias: f32, scale: f32): void {
  const stride = floats(runRows);
  const factor = splat(scale);
  const pull = splat(bias);
  const first = i32x4.splat(position);
  const behind = i32x4.splat(window > 0 ? position + window : i32.MAX_VALUE);
  for (let i: usize = 0; i < floats(count); i += 16) {
    const at = v128.load(facts + i);
    const attending = v128.and(i32x4.ge_s(at, first), i32x4.lt_s(at, behind));
    const score = f32x4.mul(factor, f32x4.add(v128.load(share + i), pull));
    const p = v128.and(attending, exp(f32x4.sub(score, v128.load(facts + stride + i))));
    v128.store(share + i, p);
    const slope = f32x4.sub(v128.load(ds + i), v128.load(facts + 2 * stride + i));
    v128.store(ds + i, f32x4.mul(factor, f32x4.mul(p, slope)));
  }
}
