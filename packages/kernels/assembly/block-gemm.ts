// Products of many rows of quantised activations with row-major weights in a block format: eight weight rows are packed
// into a panel of words that stays in L1 while every row of the step passes. Same order of summation as block-dot.ts.
//
//   panel  = 8 weight rows x up to 16 blocks, as [pair of k][8 rows][2 words], and their scales as [block][8 rows];
//            after them, where there are some, the minima in the same way
//   tile   = 8 outputs x 4 rows of one block: 8 integer sums in registers, then chain (b mod 4) += sum * scales
//   sums[row][chain][8 outputs] rest in scratch between the groups
//
// The words of a block are in the order in which block-dot.ts prepares x: what order that is does not matter here.
// Scratch: panel, scales, sums of one row block; x is prepared elsewhere.
import { blockRowBytes, groupsOf, half, hasMinimum, isInt8, scalesAt, toMinimum } from './block-format';
import { groupBytes, groupStep, scalesOffset, sumsOffset } from './block-dot';
import { at, finish, finishRun } from './finish';
import { wanted } from './lists';
import { floats, madd } from './simd';

/** Rows of a step that one pass over the weights serves. */
export const gemmBlockRows: i32 = 64;
const panelGroups: i32 = 4;
const outputs: i32 = 8;
const panelBytes: usize = 8192;
/** Of the scales, and of the minima. */
const scaleBytes: usize = 512;
const rowSums: usize = 128;
/** Bytes of scratch: panel, scales, sums with room for the padding of the last rows, and a row of results. */
export const gemmBlockScratch: usize = panelBytes + 2 * scaleBytes + <usize>(gemmBlockRows + 3) * rowSums + 64;

/** Four words of four rows, transposed. */
@inline function store4x4(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const abLow = v128.shuffle<u32>(a, b, 0, 4, 1, 5);
  const cdLow = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
  const abHigh = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
  const cdHigh = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<u64>(abLow, cdLow, 0, 2));
  v128.store(to, v128.shuffle<u64>(abLow, cdLow, 1, 3), 32);
  v128.store(to, v128.shuffle<u64>(abHigh, cdHigh, 0, 2), 64);
  v128.store(to, v128.shuffle<u64>(abHigh, cdHigh, 1, 3), 96);
}

/** Eight words of a block, the `part`-th of four. */
@inline function words<F>(block: usize, part: i32): v128 {
  if (isInt8<F>()) return v128.load_ext<i8>(block + (<usize>part << 3));
  const nibbles = v128.and(i16x8.shr_u(v128.load(block), part << 2), i16x8.splat(15));
  return hasMinimum<F>() ? nibbles : i16x8.sub(nibbles, i16x8.splat(8));
}

/** Four weight rows, `blocks` blocks from the addresses on. */
function packRows<F>(panel: usize, w0: usize, w1: usize, w2: usize, w3: usize, blocks: i32): void {
  const step: usize = isInt8<F>() ? 32 : 16;
  for (let b = 0; b < blocks; b++) {
    for (let part = 0; part < 4; part++, panel += 128)
      store4x4(panel, words<F>(w0, part), words<F>(w1, part), words<F>(w2, part), words<F>(w3, part));
    w0 += step;
    w1 += step;
    w2 += step;
    w3 += step;
  }
}

/** sums[4 rows][4 chains][8 outputs] += panel x four rows, so many groups each. `minima`: whether there are some. */
export function tileBlocks(
  panel: usize, scales: usize, groups: i32, x0: usize, x1: usize, x2: usize, x3: usize, sums: usize,
  minima: bool,
): void {
  for (const end = x0 + <usize>groups * groupBytes; x0 < end; ) {
    for (let chain: usize = 0; chain < 4; chain++, scales += 32) {
      let a0 = i32x4.splat(0);
      let a1 = i32x4.splat(0);
      let b0 = i32x4.splat(0);
      let b1 = i32x4.splat(0);
      let c0 = i32x4.splat(0);
      let c1 = i32x4.splat(0);
      let d0 = i32x4.splat(0);
      let d1 = i32x4.splat(0);
      const block = chain << 6;
      let p0 = x0 + block;
      let p1 = x1 + block;
      let p2 = x2 + block;
      let p3 = x3 + block;
      for (const last = panel + 512; panel < last; panel += 32) {
        const w0 = v128.load(panel);
        const w1 = v128.load(panel, 16);
        let x = v128.load32_splat(p0);
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(w0, x));
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(w1, x));
        x = v128.load32_splat(p1);
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(w0, x));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(w1, x));
        x = v128.load32_splat(p2);
        c0 = i32x4.add(c0, i32x4.dot_i16x8_s(w0, x));
        c1 = i32x4.add(c1, i32x4.dot_i16x8_s(w1, x));
        x = v128.load32_splat(p3);
        d0 = i32x4.add(d0, i32x4.dot_i16x8_s(w0, x));
        d1 = i32x4.add(d1, i32x4.dot_i16x8_s(w1, x));
        p0 += 4;
        p1 += 4;
        p2 += 4;
        p3 += 4;
      }
      const at = sums + (chain << 5);
      const lane = scalesOffset + (chain << 2);
      addScaled(at, scales, x0 + lane, a0, a1);
      addScaled(at + rowSums, scales, x1 + lane, b0, b1);
      addScaled(at + 2 * rowSums, scales, x2 + lane, c0, c1);
      addScaled(at + 3 * rowSums, scales, x3 + lane, d0, d1);
      if (minima) {
        addMinima(at, scales + scaleBytes, x0 + lane);
        addMinima(at + rowSums, scales + scaleBytes, x1 + lane);
        addMinima(at + 2 * rowSums, scales + scaleBytes, x2 + lane);
        addMinima(at + 3 * rowSums, scales + scaleBytes, x3 + lane);
      }
    }
    x0 += groupBytes;
    x1 += groupBytes;
    x2 += groupBytes;
    x3 += groupBytes;
  }
}

/** sums[8] += eight integers times their scales times that of x. */
@inline function addScaled(sums: usize, scales: usize, xScale: usize, low: v128, high: v128): void {
  const x = v128.load32_splat(xScale);
  v128.store(sums, madd(v128.load(sums), f32x4.convert_i32x4_s(low), f32x4.mul(v128.load(scales), x)));
  v128.store(sums, madd(v128.load(sums, 16), f32x4.convert_i32x4_s(high), f32x4.mul(v128.load(scales, 16), x)), 16);
}

@inline function addMinima(sums: usize, minima: usize, xScale: usize): void {
  const x = v128.load32_splat(xScale, sumsOffset - scalesOffset);
  v128.store(sums, madd(v128.load(sums), v128.load(minima), x));
  v128.store(sums, madd(v128.load(sums, 16), v128.load(minima, 16), x), 16);
}

/** The chains of eight outputs, joined as hsum joins lanes. */
@inline function joinVectors(sums: usize, at: usize): v128 {
  const s = sums + at;
  return f32x4.add(
    f32x4.add(v128.load(s), v128.load(s, 64)),
    f32x4.add(v128.load(s, 32), v128.load(s, 96)),
  );
}

/**
 * Outputs [first, last) of every row, whose x stands prepared at `x`. With lists (`active`, `counts`; `cursors` stand at
 * the first output of mine) only the listed outputs of each row are written.
 */
export function gemmBlocks<F>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize, active: usize, counts: usize, cursors: usize,
): void {
  const scales = scratch + panelBytes;
  const sums = scales + 2 * scaleBytes;
  const result = sums + <usize>(gemmBlockRows + 3) * rowSums;
  const stride = blockRowBytes<F>(inWidth);
  const scaleAt = scalesAt<F>(inWidth);
  const groups = groupsOf(inWidth);
  const xStride = <usize>groups * groupBytes;
  for (let r0 = 0; r0 < rows; r0 += gemmBlockRows) {
    const r1 = min(rows, r0 + gemmBlockRows);
    for (let n = first; n < last; n += outputs) {
      memory.fill(sums, 0, <usize>(r1 - r0 + 3) * rowSums);
      for (let g = 0; g < groups; g += panelGroups) {
        const some = min(groups - g, panelGroups);
        const offset = <usize>g * groupStep<F>();
        for (let i = 0; i < outputs; i += 4)
          packRows<F>(
            scratch + (<usize>i << 2), w + <usize>min(n + i, last - 1) * stride + offset,
            w + <usize>min(n + i + 1, last - 1) * stride + offset, w + <usize>min(n + i + 2, last - 1) * stride + offset,
            w + <usize>min(n + i + 3, last - 1) * stride + offset, some << 2,
          );
        for (let i = 0; i < outputs; i++) {
          const from = w + <usize>min(n + i, last - 1) * stride + scaleAt + (<usize>g << 3);
          for (let b: usize = 0; b < <usize>(some << 2); b++)
            store<f32>(scales + (b << 5) + floats(i), half(from + (b << 1)));
          if (hasMinimum<F>())
            for (let b: usize = 0; b < <usize>(some << 2); b++)
              store<f32>(scales + scaleBytes + (b << 5) + floats(i), half(from + toMinimum(inWidth) + (b << 1)));
        }
        for (let r = r0; r < r1; r += 4) {
          const x0 = x + <usize>r * xStride + <usize>g * groupBytes;
          const left = <usize>(r1 - r - 1);
          tileBlocks(
            scratch, scales, some, x0, x0 + min<usize>(1, left) * xStride, x0 + min<usize>(2, left) * xStride,
            x0 + min<usize>(3, left) * xStride, sums + <usize>(r - r0) * rowSums, hasMinimum<F>(),
          );
        }
      }
      const count = min(outputs, last - n);
      for (let r = r0; r < r1; r++) {
        const s = sums + <usize>(r - r0) * rowSums;
        v128.store(result, joinVectors(s, 0));
        v128.store(result, joinVectors(s, 16), 16);
        const place = r * outWidth + n;
        if (!active) {
          finishRun(out + floats(place), at(residual, place), at(bias, n), result, count);
          continue;
        }
        for (let i = 0; i < count; i++)
          if (wanted(active + floats(r * outWidth), load<i32>(counts + floats(r)), cursors + floats(r), n + i))
            finish(out + floats(place + i), at(residual, place + i), at(bias, n + i), load<f32>(result + floats(i)));
      }
    }
  }
}
