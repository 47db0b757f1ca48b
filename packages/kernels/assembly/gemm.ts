// Products of many rows over row-major weights: four weight rows are packed into a panel of f32 that stays in L1 while
// every row of the step passes. gemm-transposed.ts is its sister. Same order of summation as dot.ts, so the same bits.
//
//   panel = 4 weight rows x up to 1024 k, as [chain c][step i][4 rows][4 lanes], k = 16 i + 4 c + lane
//   tile  = 4 outputs x 2 rows of one chain: 8 sums in registers, 6 loads and 8 multiply-adds a step
//   sums[row][chain][output] rest in scratch between the blocks of k, exactly as they were
//
// Tried and lost: 4 x 3 and 8 x 1 tiles (V8 has 16 registers and hoists all loads of a step, so they spill).
// Scratch: a panel, then sums of one row more than the block (the padding of an odd last pair).
import { dotTail, joinChains } from './dot';
import { at, finish } from './finish';
import { wanted } from './lists';
import { bytesOf, floats, high, load4, loadRaw, low, madd } from './simd';

/** Rows of a step that one pass over the weights serves. */
const rowBlock = 64;
const blockK = 1024;
const panelBytes: usize = 16384;
const sumsShift: usize = 8;
/** Bytes of scratch. */
export const gemmScratch: usize = panelBytes + ((<usize>rowBlock + 1) << sumsShift);

/**
 * One row of `count` (a multiple of 4) weights, split across the chains; `panel` stands at the row's place in the first
 * step. A row at a time, since the prefetcher follows one stream far better than four.
 */
function packRow<T>(panel: usize, w: usize, count: i32): void {
  const quads = count >> 2;
  let c0 = panel;
  let c1 = c0 + (<usize>((quads + 3) >> 2) << 6);
  let c2 = c1 + (<usize>((quads + 2) >> 2) << 6);
  let c3 = c2 + (<usize>((quads + 1) >> 2) << 6);
  for (const end = w + bytesOf<T>(count & ~15); w < end; w += 16 * sizeof<T>()) {
    const a = loadRaw<T>(w);
    const b = loadRaw<T>(w + 8 * sizeof<T>());
    v128.store(c0, low<T>(a));
    v128.store(c1, high<T>(a, w));
    v128.store(c2, low<T>(b));
    v128.store(c3, high<T>(b, w + 8 * sizeof<T>()));
    c0 += 64;
    c1 += 64;
    c2 += 64;
    c3 += 64;
  }
  if (count & 12) v128.store(c0, load4<T>(w));
  if (count & 8) v128.store(c1, load4<T>(w + 4 * sizeof<T>()));
  if ((count & 12) == 12) v128.store(c2, load4<T>(w + 8 * sizeof<T>()));
}

/** sums[2 rows][4 chains][4 outputs] += panel x two rows, `count` numbers each. */
export function tile(panel: usize, count: i32, x0: usize, x1: usize, sums0: usize, sums1: usize): void {
  const quads = count >> 2;
  for (let c = 0; c < 4; c++) {
    let p0 = x0 + (<usize>c << 4);
    let p1 = x1 + (<usize>c << 4);
    let a0 = v128.load(sums0);
    let a1 = v128.load(sums0, 16);
    let a2 = v128.load(sums0, 32);
    let a3 = v128.load(sums0, 48);
    let b0 = v128.load(sums1);
    let b1 = v128.load(sums1, 16);
    let b2 = v128.load(sums1, 32);
    let b3 = v128.load(sums1, 48);
    for (const end = panel + (<usize>((quads + 3 - c) >> 2) << 6); panel < end; panel += 64) {
      const xa = v128.load(p0);
      const xb = v128.load(p1);
      let w = v128.load(panel);
      a0 = madd(a0, w, xa);
      b0 = madd(b0, w, xb);
      w = v128.load(panel, 16);
      a1 = madd(a1, w, xa);
      b1 = madd(b1, w, xb);
      w = v128.load(panel, 32);
      a2 = madd(a2, w, xa);
      b2 = madd(b2, w, xb);
      w = v128.load(panel, 48);
      a3 = madd(a3, w, xa);
      b3 = madd(b3, w, xb);
      p0 += 64;
      p1 += 64;
    }
    v128.store(sums0, a0);
    v128.store(sums0, a1, 16);
    v128.store(sums0, a2, 32);
    v128.store(sums0, a3, 48);
    v128.store(sums1, b0);
    v128.store(sums1, b1, 16);
    v128.store(sums1, b2, 32);
    v128.store(sums1, b3, 48);
    sums0 += 64;
    sums1 += 64;
  }
}

/**
 * Outputs [first, last) of every row. With lists (`active`, `counts`; `cursors` stand at the first output of mine) only
 * the listed outputs of each row are written.
 */
export function gemm<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize, active: usize, counts: usize, cursors: usize,
): void {
  const sums = scratch + panelBytes;
  const stride = bytesOf<T>(inWidth);
  const whole = inWidth & ~3;
  for (let r0 = 0; r0 < rows; r0 += rowBlock) {
    const r1 = min(rows, r0 + rowBlock);
    for (let n = first; n < last; n += 4) {
      memory.fill(sums, 0, <usize>(r1 - r0 + 1) << sumsShift);
      for (let k = 0; k < whole; k += blockK) {
        const count = min(whole - k, blockK);
        for (let i = 0; i < 4; i++)
          packRow<T>(scratch + (<usize>i << 4), w + <usize>min(n + i, last - 1) * stride + bytesOf<T>(k), count);
        for (let r = r0; r < r1; r += 2) {
          const x0 = x + floats(r * inWidth + k);
          const sum = sums + (<usize>(r - r0) << sumsShift);
          tile(scratch, count, x0, r + 1 < r1 ? x0 + floats(inWidth) : x0, sum, sum + 256);
        }
      }
      const outputs = min(4, last - n);
      for (let r = r0; r < r1; r++)
        for (let i = 0; i < outputs; i++) {
          if (active && !wanted(active + floats(r * outWidth), load<i32>(counts + floats(r)), cursors + floats(r), n + i)) continue;
          const s = sums + (<usize>(r - r0) << sumsShift) + (<usize>i << 4);
          const sum = joinChains(v128.load(s), v128.load(s, 64), v128.load(s, 128), v128.load(s, 192));
          const rest = w + <usize>(n + i) * stride + bytesOf<T>(whole);
          const place = r * outWidth + n + i;
          finish(
            out + floats(place), at(residual, place), at(bias, n + i),
            dotTail<T>(sum, x + floats(r * inWidth + whole), rest, inWidth - whole),
          );
        }
    }
  }
}
