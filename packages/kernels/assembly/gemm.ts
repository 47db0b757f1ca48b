// Products of many rows: weights are packed into panels of f32 that stay in L1 while every row of the step passes.
// Owns packing and the two tiles; linear.ts chooses them. Same order of summation as dot.ts and axpy.ts, so the same bits.
//
//   row-major:   panel = 4 weight rows x up to 1024 k as [k / 4][4 rows][4 lanes];  tile = 4 outputs x 2 rows
//   transposed:  panel = 16 columns x up to 256 k as [k][16];                       tile = 16 outputs x 2 rows
//   sums of the tile in registers; over blocks of k they rest in `sums`, exactly as they were
//
// A tile does 8 multiply-adds for 6 loads with 8 + 6 registers of the 16 that V8 has on x86.
// Scratch: see the constants; `sums` has one more row than the block, for the padding of an odd last pair.
import { at, finish, finishRun } from './finish';
import { dotTail } from './dot';
import { bytesOf, floats, hsum, load1, load4, madd, splat } from './simd';

/** Rows of a step that one pass over the weights serves. */
const rowBlock = 128;
const rowMajorK = 1024;
const transposedK = 256;
const panelBytes: usize = 16384;

/** Four weight rows, `count` (a multiple of 4) numbers each, interleaved by vectors. */
@inline function packRows<T>(panel: usize, w0: usize, w1: usize, w2: usize, w3: usize, count: i32): void {
  const step = 4 * sizeof<T>();
  for (const end = panel + 4 * floats(count); panel < end; panel += 64) {
    v128.store(panel, load4<T>(w0));
    v128.store(panel, load4<T>(w1), 16);
    v128.store(panel, load4<T>(w2), 32);
    v128.store(panel, load4<T>(w3), 48);
    w0 += step;
    w1 += step;
    w2 += step;
    w3 += step;
  }
}

/** sums[2 rows][4 outputs][4 lanes] += panel x rows. */
export function tileRows(panel: usize, count: i32, x0: usize, x1: usize, sums0: usize, sums1: usize): void {
  let a0 = v128.load(sums0);
  let a1 = v128.load(sums0, 16);
  let a2 = v128.load(sums0, 32);
  let a3 = v128.load(sums0, 48);
  let b0 = v128.load(sums1);
  let b1 = v128.load(sums1, 16);
  let b2 = v128.load(sums1, 32);
  let b3 = v128.load(sums1, 48);
  for (const end = panel + 4 * floats(count); panel < end; panel += 64) {
    const xa = v128.load(x0);
    const xb = v128.load(x1);
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
    x0 += 16;
    x1 += 16;
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

/** Outputs [first, last) of every row; row-major weights. */
export function gemm<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  const sums = scratch + panelBytes;
  const stride = bytesOf<T>(inWidth);
  const whole = inWidth & ~3;
  for (let r0 = 0; r0 < rows; r0 += rowBlock) {
    const r1 = min(rows, r0 + rowBlock);
    for (let n = first; n < last; n += 4) {
      const w0 = w + <usize>n * stride;
      const w1 = w + <usize>min(n + 1, last - 1) * stride;
      const w2 = w + <usize>min(n + 2, last - 1) * stride;
      const w3 = w + <usize>min(n + 3, last - 1) * stride;
      memory.fill(sums, 0, <usize>(r1 - r0 + 1) << 6);
      for (let k = 0; k < whole; k += rowMajorK) {
        const count = min(whole - k, rowMajorK);
        const skip = bytesOf<T>(k);
        packRows<T>(scratch, w0 + skip, w1 + skip, w2 + skip, w3 + skip, count);
        for (let r = r0; r < r1; r += 2) {
          const x0 = x + floats(r * inWidth + k);
          const sum = sums + (<usize>(r - r0) << 6);
          tileRows(scratch, count, x0, r + 1 < r1 ? x0 + floats(inWidth) : x0, sum, sum + 64);
        }
      }
      const outputs = min(4, last - n);
      for (let r = r0; r < r1; r++)
        for (let i = 0; i < outputs; i++) {
          const sum = hsum(v128.load(sums + (<usize>(r - r0) << 6) + (<usize>i << 4)));
          const row = w + <usize>(n + i) * stride + bytesOf<T>(whole);
          const place = r * outWidth + n + i;
          finish(
            out + floats(place), at(residual, place), at(bias, n + i),
            dotTail<T>(sum, x + floats(r * inWidth + whole), row, inWidth - whole),
          );
        }
    }
  }
}

/** Sixteen columns (zeros beyond `columns`) of `count` rows of a transposed weight. */
@inline function packColumns<T>(panel: usize, w: usize, stride: usize, columns: i32, count: i32): void {
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

/** sums[2 rows][16 columns] += rows x panel, in the order of k. */
export function tileColumns(panel: usize, count: i32, x0: usize, x1: usize, sums0: usize, sums1: usize): void {
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

/** Columns [first, last) of every row; transposed weights. */
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
      for (let k = 0; k < inWidth; k += transposedK) {
        const count = min(inWidth - k, transposedK);
        packColumns<T>(scratch, w + <usize>k * stride + bytesOf<T>(c), stride, columns, count);
        for (let r = r0; r < r1; r += 2) {
          const x0 = x + floats(r * inWidth + k);
          const sum = sums + (<usize>(r - r0) << 6);
          tileColumns(scratch, count, x0, r + 1 < r1 ? x0 + floats(inWidth) : x0, sum, sum + 64);
        }
      }
      for (let r = r0; r < r1; r++) {
        const place = r * outWidth + c;
        finishRun(out + floats(place), at(residual, place), at(bias, c), sums + (<usize>(r - r0) << 6), columns);
      }
    }
  }
}
