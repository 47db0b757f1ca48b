// linear over a transposed weight in a block format, and axpyRows: which path a call takes. Every path sums in the order
// of parts.ts, and within a part in that of block-axpy.ts: sparse equals dense, bit for bit.
//
//   one row:               parts of the inputs are split across the threads, which read whole rows; a barrier; columns are split
//                          and the parts joined. A share of the columns would be a piece of a kilobyte of every row, which
//                          memory gives at 0.8 of the speed
//   few rows, or sparse:   columns are split in whole blocks; blocks of k stay in L2 while each row adds up its own
//   many rows, dense:      sixteen columns are packed into a panel of f32 that stays in L1 while every row passes
//
// Scratch: coefficients of axpyBlocks; then cursors, sums of some rows and the levels of their parts, or the panel, its
// scales, sums and levels. Shared by the threads: the sums of every part of one row.
import { axpyBlocks, axpyBlocksScratch } from './block-axpy';
import {
  blockBytes, blockRowBytes, blocksOf, blockSize, half, hasMinimum, rawUnit, scalesAt, toMinimum, widenBlock, widenWeights,
} from './block-format';
import { at, finishRun } from './finish';
import { AxpyRows, Linear } from './generated/ops';
import { lowerBound } from './lists';
import { addPart, joinParts, partLevels, partStart, partsOf } from './parts';
import { floats, largestShare, madd, share } from './simd';
import { barrier } from './team';

/** From this many rows on, packing pays; and below which density of their inputs it does not. */
const gemmRows = 8;
const denseRows: f32 = 0.5;
/** Bytes of weights that stay in L2 while the rows of a step pass. */
const chunkBytes: usize = 262144;
/** Rows and blocks of columns whose sums scratch holds at once (128 KiB, in L2). */
const sumRows: i32 = 64;
const sumBlocks: i32 = 16;

const blockK = 128;
const panelBytes: usize = 16384;
const gemmSumRows = 128;

/** Bytes of scratch, whichever path a step of at most so many rows takes. */
export function transposedBlocksScratch(rows: i32, inWidth: i32, outWidth: i32, threads: i32): usize {
  const sets = 1 + (partsOf(inWidth) > 1 ? partLevels : 0);
  const blocks = largestShare(blocksOf(outWidth), 1, threads);
  const numbers = max(blocks, min(rows, sumRows) * min(blocks, sumBlocks)) * blockSize;
  const added = axpyBlocksScratch + floats(sumRows) + floats(numbers * sets);
  if (rows < gemmRows) return added;
  const sums = (<usize>min(rows, gemmSumRows) + 1) * floats(blockSize);
  return max(added, panelBytes + floats(blockK) + sums * sets);
}

/** Bytes that the threads share: the sums of every part of one row. */
export function transposedBlocksShared(inWidth: i32, outWidth: i32): usize {
  const parts = partsOf(inWidth);
  return parts == 1 ? 0 : floats(parts * blocksOf(outWidth) * blockSize);
}

/** A product over a transposed weight, whatever op it belongs to: x, bias, residual and out are whole. */
function transposedBlocks<F>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32,
  active: usize, counts: usize, table: usize, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  if (rows == 1 && partsOf(inWidth) > 1)
    return oneRow<F>(x, w, bias, residual, out, inWidth, outWidth, active, counts, table, thread, threads, scratch, shared, sync);
  const blocks = blocksOf(outWidth);
  const first = share(blocks, 1, thread, threads);
  const last = share(blocks, 1, thread + 1, threads);
  if (first == last || rows == 0) return;
  let total = active ? 0 : rows * inWidth;
  if (active) for (let r = 0; r < rows; r++) total += load<i32>(counts + floats(r));
  // with a table, rows that are not listed are not there
  if (rows >= gemmRows && !table && <f32>total >= denseRows * <f32>(rows * inWidth))
    return gemmTransposedBlocks<F>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
  // one row: all columns at once, since a weight row is read in one run
  const step = rows == 1 ? last - first : sumBlocks;
  for (let b = first; b < last; b += step)
    for (let r0 = 0; r0 < rows; r0 += sumRows)
      addRows<F>(
        x, w, bias, residual, out, r0, min(rows, r0 + sumRows), inWidth, outWidth, active, counts, table, b, min(step, last - b), scratch,
      );
}

/** One row, whose inputs have parts: this thread's parts, then its columns of all of them. */
function oneRow<F>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, inWidth: i32, outWidth: i32, active: usize, counts: usize,
  table: usize, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  const parts = partsOf(inWidth);
  const blocks = blocksOf(outWidth);
  const columns = blocks * blockSize;
  const stride = blockRowBytes<F>(outWidth);
  const scales = scalesAt<F>(outWidth);
  const lastPart = share(parts, 1, thread + 1, threads);
  for (let part = share(parts, 1, thread, threads); part < lastPart; part++) {
    const sums = shared + floats(part * columns);
    const k = partStart(inWidth, part);
    const end = partStart(inWidth, part + 1);
    memory.fill(sums, 0, floats(columns));
    if (!active) {
      axpyBlocks<F>(sums, w + <usize>k * stride, stride, scales, 0, blocks, x + floats(k), 0, end - k, scratch, 0);
      continue;
    }
    const from = lowerBound(active, load<i32>(counts), k);
    const to = lowerBound(active, load<i32>(counts), end);
    axpyBlocks<F>(sums, w, stride, scales, 0, blocks, x, active + floats(from), to - from, scratch, table);
  }
  barrier(sync, threads);
  const c = share(blocks, 1, thread, threads) * blockSize;
  const own = share(blocks, 1, thread + 1, threads) * blockSize - c;
  if (own == 0) return;
  joinParts(shared + floats(c), floats(columns), parts, own);
  finishRun(out + floats(c), at(residual, c), at(bias, c), shared + floats(c), min(own, outWidth - c));
}

/** Rows [r0, r1), the columns of `blocks` blocks from `first` on. */
function addRows<F>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, r0: i32, r1: i32, inWidth: i32, outWidth: i32,
  active: usize, counts: usize, table: usize, first: i32, blocks: i32, scratch: usize,
): void {
  const stride = blockRowBytes<F>(outWidth);
  const scales = scalesAt<F>(outWidth);
  const columns = blocks * blockSize;
  const count = (r1 - r0) * columns;
  const cursors = scratch + axpyBlocksScratch;
  const sums = cursors + floats(sumRows);
  const levels = sums + floats(count);
  memory.fill(cursors, 0, floats(r1 - r0));
  const parts = partsOf(inWidth);
  const chunk = r1 - r0 == 1 ? inWidth : max(8, <i32>(chunkBytes / (<usize>blocks * blockBytes<F>())) & ~7);
  for (let part = 0; part < parts; part++) {
    memory.fill(sums, 0, floats(count));
    const end = partStart(inWidth, part + 1);
    for (let k = partStart(inWidth, part); k < end; k += chunk) {
      const next = min(end, k + chunk);
      for (let r = r0; r < r1; r++) {
        const mine = sums + floats((r - r0) * columns);
        const row = x + floats(r * inWidth);
        if (!active) {
          axpyBlocks<F>(mine, w + <usize>k * stride, stride, scales, first, blocks, row + floats(k), 0, next - k, scratch, 0);
          continue;
        }
        const cursor = cursors + floats(r - r0);
        const from = load<i32>(cursor);
        const list = active + floats(r * inWidth + from);
        const left = load<i32>(counts + floats(r)) - from;
        const some = next == inWidth ? left : lowerBound(list, left, next);
        store<i32>(cursor, from + some);
        axpyBlocks<F>(mine, w, stride, scales, first, blocks, row, list, some, scratch, table);
      }
    }
    addPart(sums, levels, part, parts, count);
  }
  const c = first * blockSize;
  for (let r = r0; r < r1; r++) {
    const place = r * outWidth + c;
    finishRun(
      out + floats(place), at(residual, place), at(bias, c), sums + floats((r - r0) * columns), min(columns, outWidth - c),
    );
  }
}

/** sums[2 rows][16 columns] += two rows x panel, in the order of k; the scales are those of the panel's block. */
export function tileTransposedBlocks(
  panel: usize, scales: usize, count: i32, x0: usize, x1: usize, sums0: usize, sums1: usize,
): void {
  let a0 = v128.load(sums0);
  let a1 = v128.load(sums0, 16);
  let a2 = v128.load(sums0, 32);
  let a3 = v128.load(sums0, 48);
  let b0 = v128.load(sums1);
  let b1 = v128.load(sums1, 16);
  let b2 = v128.load(sums1, 32);
  let b3 = v128.load(sums1, 48);
  for (const end = scales + floats(count); scales < end; scales += 4) {
    const scale = v128.load32_splat(scales);
    const xa = f32x4.mul(scale, v128.load32_splat(x0));
    const xb = f32x4.mul(scale, v128.load32_splat(x1));
    let q = v128.load(panel);
    a0 = madd(a0, q, xa);
    b0 = madd(b0, q, xb);
    q = v128.load(panel, 16);
    a1 = madd(a1, q, xa);
    b1 = madd(b1, q, xb);
    q = v128.load(panel, 32);
    a2 = madd(a2, q, xa);
    b2 = madd(b2, q, xb);
    q = v128.load(panel, 48);
    a3 = madd(a3, q, xa);
    b3 = madd(b3, q, xb);
    panel += 128;
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

/** Blocks of columns [first, last) of every row. The panel is one block of columns, 32 f32 a k. */
function gemmTransposedBlocks<F>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  const scales = scratch + panelBytes;
  const sums = scales + floats(blockK);
  const levels = sums + (<usize>(min(rows, gemmSumRows) + 1) << 7);
  const parts = partsOf(inWidth);
  const stride = blockRowBytes<F>(outWidth);
  const scaleAt = scalesAt<F>(outWidth);
  for (let r0 = 0; r0 < rows; r0 += gemmSumRows) {
    const r1 = min(rows, r0 + gemmSumRows);
    for (let b = first; b < last; b++) {
      for (let part = 0; part < parts; part++) {
        memory.fill(sums, 0, <usize>(r1 - r0 + 1) << 7);
        const end = partStart(inWidth, part + 1);
        for (let k = partStart(inWidth, part); k < end; k += blockK) {
          const count = min(end - k, blockK);
          for (let i = 0; i < count; i++) {
            const row = w + <usize>(k + i) * stride;
            const panel = scratch + (<usize>i << 7);
            if (hasMinimum<F>()) {
              widenWeights<F>(panel, row, b, outWidth);
              store<f32>(scales + floats(i), 1);
              continue;
            }
            widenBlock<F>(panel, row + <usize>b * blockBytes<F>());
            store<f32>(scales + floats(i), half(row + scaleAt + (<usize>b << 1)) * rawUnit<F>());
          }
          for (let r = r0; r < r1; r += 2) {
            const x0 = x + floats(r * inWidth + k);
            const x1 = r + 1 < r1 ? x0 + floats(inWidth) : x0;
            const sum = sums + (<usize>(r - r0) << 7);
            tileTransposedBlocks(scratch, scales, count, x0, x1, sum, sum + 128);
            tileTransposedBlocks(scratch + 64, scales, count, x0, x1, sum + 64, sum + 192);
          }
        }
        addPart(sums, levels, part, parts, (r1 - r0) * blockSize);
      }
      const c = b * blockSize;
      for (let r = r0; r < r1; r++) {
        const place = r * outWidth + c;
        finishRun(
          out + floats(place), at(residual, place), at(bias, c), sums + (<usize>(r - r0) << 7), min(blockSize, outWidth - c),
        );
      }
    }
  }
}

export function linearTransposedBlocks<F>(
  op: usize, rows: i32, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  transposedBlocks<F>(
    Linear.x(op), Linear.w(op), Linear.bias(op), Linear.residual(op), Linear.out(op), rows, Linear.inWidth(op),
    Linear.outWidth(op), 0, 0, 0, thread, threads, scratch, shared, sync,
  );
}

export function axpyRowsBlocks<F>(
  op: usize, rows: i32, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  transposedBlocks<F>(
    AxpyRows.x(op), AxpyRows.w(op), AxpyRows.bias(op), AxpyRows.residual(op), AxpyRows.out(op), rows, AxpyRows.inWidth(op),
    AxpyRows.outWidth(op), AxpyRows.active(op), AxpyRows.activeCount(op), AxpyRows.table(op), thread, threads, scratch, shared, sync,
  );
}
