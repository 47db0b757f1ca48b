// What the attention kernels of training share: blocks of rows of one slot, and products of a block's rows with a panel.
//
//   scores:  out[i][c] = left[i] . right[c]                   right turned to [number][16 rows], 16 rows at a time
//   mix:     out[i][d] = sum over c, in order, of left[i][c] right[c][d]      right packed to [row][16 numbers]
//
// Both are the tile of gemm-transposed.ts: two rows by sixteen, each sum strictly in order. Rows of a block: 32, so that a
// panel is packed once for sixteen pairs.
// Memory: `left` and `out` have room for one row more than they have (the padding of an odd last pair).
import { exp } from '../exp';
import { pack, tileTransposed } from '../gemm-transposed';
import { largest } from '../logprob';
import { floats, splat } from '../simd';
import { turn } from './turn';

/** Rows of one slot that are worked on together. */
export const blockRows: i32 = 32;

/** Rows of a panel that `mix` packs at once. */
const panelRows = 256;

/** Bytes of a panel for heads of this size. */
@inline export function panelBytes(headDim: i32): usize {
  return <usize>max(panelRows, (headDim + 3) & ~3) << 6;
}

/** Bytes from one row of scores to the next, for so many positions. */
@inline export function scoresStride(capacity: i32): usize {
  return floats(((capacity + 15) & ~15) + 16);
}

/** Bytes from one row of sums to the next. */
@inline export function sumsStride(headDim: i32): usize {
  return floats((headDim + 15) & ~15);
}

/** Bytes of `count` blocks of rows, `stride` apart, with the padding of an odd last pair. */
@inline export function blockBytes(count: i32, stride: usize): usize {
  return <usize>(count * (blockRows + 1)) * stride;
}

/** How many rows from r on, at most `most`, have the slot of row r. */
export function runLength(slots: usize, r: i32, rows: i32, most: i32): i32 {
  const end = min(rows, r + most);
  const slot = load<i32>(slots + floats(r));
  let last = r + 1;
  while (last < end && load<i32>(slots + floats(last)) == slot) last++;
  return last - r;
}

/** out[0 .. rows)[c] += left . panel, sixteen columns, `depth` numbers deep; `out` is a row's stride apart. */
@inline function tiles(
  panel: usize, depth: i32, left: usize, leftStride: usize, rows: i32, out: usize, outStride: usize,
): void {
  for (let i = 0; i < rows; i += 2, left += 2 * leftStride, out += 2 * outStride)
    tileTransposed(panel, depth, left, i + 1 < rows ? left + leftStride : left, out, out + outStride);
}

/**
 * out[i][c] for `columns` rows of `right`, in whole sixteens (zeros after the last). Columns that a row does not want
 * are computed with it.
 */
export function scores(
  out: usize, outStride: usize, left: usize, leftStride: usize, rows: i32, right: usize, rightStride: usize, columns: i32,
  headDim: i32, panel: usize,
): void {
  for (let i = 0; i <= rows; i++) memory.fill(out + <usize>i * outStride, 0, floats((columns + 15) & ~15));
  for (let c = 0; c < columns; c += 16) {
    const some = min(16, columns - c);
    if (some < 16) memory.fill(panel, 0, floats(headDim) << 4);
    turn(panel, 64, right + <usize>c * rightStride, rightStride, some, headDim);
    tiles(panel, headDim, left, leftStride, rows, out + floats(c), outStride);
  }
}

/** out[i][0 .. headDim) += sum over c of left[i][c] right[c]; rows of `out` have room for whole sixteens. */
export function mix(
  out: usize, outStride: usize, left: usize, leftStride: usize, rows: i32, right: usize, rightStride: usize, columns: i32,
  headDim: i32, panel: usize,
): void {
  for (let d = 0; d < headDim; d += 16)
    for (let c = 0; c < columns; c += panelRows) {
      const some = min(panelRows, columns - c);
      pack<f32>(panel, right + <usize>c * rightStride + floats(d), rightStride, min(16, headDim - d), some);
      tiles(panel, some, left + floats(c), leftStride, rows, out + floats(d), outStride);
    }
}

/**
 * s -> exp(scale (s + bias) - top) for `count` positions of a row, in place, and zeros after them to a multiple of four;
 * gives top, the largest scale (s + bias). bias may be absent (0).
 */
export function exponentials(s: usize, bias: usize, count: i32, scale: f32): f32 {
  const factor = splat(scale);
  let i: usize = 0;
  for (const end = floats(count & ~3); i < end; i += 16) {
    const v = v128.load(s + i);
    v128.store(s + i, f32x4.mul(factor, bias ? f32x4.add(v, v128.load(bias + i)) : v));
  }
  for (const end = floats(count); i < end; i += 4) {
    const v = load<f32>(s + i);
    store<f32>(s + i, scale * (bias ? v + load<f32>(bias + i) : v));
  }
  const padded = floats((count + 3) & ~3);
  for (; i < padded; i += 4) store<f32>(s + i, -Infinity);
  const top = largest(s, count);
  const t = splat(top);
  for (i = 0; i < padded; i += 16) v128.store(s + i, exp(f32x4.sub(v128.load(s + i), t)));
  return top;
}
