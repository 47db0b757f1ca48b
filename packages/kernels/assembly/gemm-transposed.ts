// Products of many rows over transposed weights: sixteen columns are packed into a panel of f32 that stays in L1 while
// every row of the step passes. Same order of summation as axpy.ts, so the same bits.
//
//   panel = up to 256 k x 16 columns, as [k][16];  tile = 16 outputs x 2 rows, k strictly in order
//   sums[row][16] rest in scratch between the blocks of k, exactly as they were
//
// Scratch: a panel, then sums of one row more than the block (the padding of an odd last pair).
import { at, finishRun } from './finish';
import { bytesOf, floats, load1, load4, madd } from './simd';

/** Rows of a step that one pass over the weights serves. */
const rowBlock = 128;
const blockK = 256;
/** Bytes of a panel. */
export const panelBytes: usize = 16384;
/** Bytes of scratch. */
export const gemmTransposedScratch: usize = panelBytes + ((<usize>rowBlock + 1) << 6);

/** Sixteen columns (zeros beyond `columns`) of `count` rows of the weight. */
export function pack<T>(panel: usize, w: usize, stride: usize, columns: i32, count: i32): void {
  const end = panel + (<usize>count << 6);
  if (columns == 16) {
    for (; panel < end; panel += 64, w += stride) {
      v128.store(panel, load4<T>(w));
      v128.store(panel, load4<T>(w + 4 * sizeof<T>()), 16);
      v128.store(panel, load4<T>(w + 8 * sizeof<T>()), 32);
      v128.store(panel, load4<T>(w + 12 * sizeof<T>()), 48);
    }
    return;
  }
  memory.fill(panel, 0, <usize>count << 6);
  for (; panel < end; panel += 64, w += stride)
    for (let c = 0; c < columns; c++) store<f32>(panel + floats(c), load1<T>(w + bytesOf<T>(c)));
}

/** sums[2 rows][16 columns] += two rows x panel, in the order of k. */
export function tileTransposed(panel: usize, count: i32, x0: usize, x1: usize, sums0: usize, sums1: usize): void {
  let a0 = v128.load(sums0);
  let a1 = v128.load(sums0, 16);
  let a2 = v128.load(sums0, 32);
  let a3 = v128.load(sums0, 48);
  let b0 = v128.load(sums1);
  let b1 = v128.load(sums1, 16);
  let b2 = v128.load(sums1, 32);
  let b3 = v128.load(sums1, 48);
  for (const end = panel + (<usize>count << 6); panel < end; panel += 64) {
    const xa = v128.load32_splat(x0);
    const xb = v128.load32_splat(x1);
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
    x0 += 4;
    x1 += 4;
  }
  v128.store(sums0, a0);
  v128.store(sums0, a1, 16);
  v128.store(sums0, a2, 32);
  v128.store(sums0, a3, 48);
  v128.store(sums1, b0);
  v128.store(sums1, b1, 16);
  v128.store(sums1, b2, 32);
  v128.store(sums1, b3, 48);
}

/** Columns [first, last) of every row. */
export function gemmTransposed<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  const sums = scratch + panelBytes;
  const stride = bytesOf<T>(outWidth);
  for (let r0 = 0; r0 < rows; r0 += rowBlock) {
    const r1 = min(rows, r0 + rowBlock);
    for (let c = first; c < last; c += 16) {
      const columns = min(16, last - c);
      memory.fill(sums, 0, <usize>(r1 - r0 + 1) << 6);
      for (let k = 0; k < inWidth; k += blockK) {
        const count = min(inWidth - k, blockK);
        pack<T>(scratch, w + <usize>k * stride + bytesOf<T>(c), stride, columns, count);
        for (let r = r0; r < r1; r += 2) {
          const x0 = x + floats(r * inWidth + k);
          const sum = sums + (<usize>(r - r0) << 6);
          tileTransposed(scratch, count, x0, r + 1 < r1 ? x0 + floats(inWidth) : x0, sum, sum + 64);
        }
      }
      for (let r = r0; r < r1; r++) {
        const place = r * outWidth + c;
        finishRun(out + floats(place), at(residual, place), at(bias, c), sums + (<usize>(r - r0) << 6), columns);
      }
    }
  }
}
