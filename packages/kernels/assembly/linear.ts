// The op `linear`: out[r] = residual[r] + (w x[r] + bias), for both layouts and every weight format.
//
//   row-major [out, in]:   outputs are split across the threads; few rows: gemv for each; more: gemm by panels
//   transposed [in, out]:  columns are split across the threads; few rows: axpyList over all k; more: gemm by panels
//
// All paths of a layout sum an output in the same order (dot.ts, axpy.ts), so a row's bits do not depend on the path.
// In place on the residual (out = residual) is fine: an output is read once, just before it is written.
import { axpyList } from './axpy';
import { Int4, Int8, Uint4 } from './block-format';
import { linearBlocks, linearBlocksScratch } from './block-linear';
import { transposedBlocksScratch, transposedBlocksShared } from './block-transposed';
import { dotScratch } from './dot';
import { at, finishRun } from './finish';
import { gemm, gemmScratch } from './gemm';
import { gemmTransposed, gemmTransposedScratch } from './gemm-transposed';
import { dtypeBf16, dtypeF32, dtypeInt4, dtypeInt8, dtypeUint4, Linear } from './generated/ops';
import { gemv } from './gemv';
import { bytesOf, floats, largestShare, share } from './simd';

/**
 * From this many rows on, packing the weights pays: GFLOP/s of a core (by CPU time, weights of 2048 x 2048) with gemv
 * 25 (f32) and 27 (bf16) at any number of rows; with gemm 19 / 30 at 8 rows, 24 / 28 at 16, 30 / 32 at 32, 33 / 34 at
 * 128. Transposed: axpy 18 / 20; gemm 18 / 25 at 8 rows, 24 / 31 at 16, 36 / 37 at 128.
 */
@inline export function gemmPays<T>(rows: i32): bool {
  return rows >= (sizeof<T>() == 4 ? 16 : 8);
}
const gemmTransposedRows = 8;
/** Bytes of weights that stay in L2 while the rows of a step pass. */
const blockBytes: usize = 262144;

/** Few rows over row-major weights: blocks of outputs stay in L2 while each row passes. */
function gemvEach<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  const block = rows == 1 ? last - first : max(1, <i32>(blockBytes / bytesOf<T>(inWidth)));
  for (let n = first; n < last; n += block)
    for (let r = 0; r < rows; r++)
      gemv<T>(
        x + floats(r * inWidth), w, bias, at(residual, r * outWidth), out + floats(r * outWidth), inWidth, 0, n,
        min(block, last - n), scratch,
      );
}

/** Few rows over transposed weights: blocks of k stay in L2 while each row adds them up. */
function axpyEach<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  const columns = last - first;
  const stride = bytesOf<T>(outWidth);
  const block = rows == 1 ? inWidth : max(8, <i32>(blockBytes / bytesOf<T>(columns)) & ~7);
  memory.fill(scratch, 0, floats(rows * columns));
  for (let k = 0; k < inWidth; k += block)
    for (let r = 0; r < rows; r++)
      axpyList<T>(
        scratch + floats(r * columns), columns, w + <usize>k * stride + bytesOf<T>(first), stride,
        x + floats(r * inWidth + k), 0, min(block, inWidth - k),
      );
  for (let r = 0; r < rows; r++) {
    const place = r * outWidth + first;
    finishRun(out + floats(place), at(residual, place), at(bias, first), scratch + floats(r * columns), columns);
  }
}

/** Bytes of scratch that denseTransposed needs for so many rows, and columns of one thread. */
export function denseTransposedScratch(rows: i32, columns: i32): usize {
  const each = floats(min(rows, gemmTransposedRows - 1) * columns);
  return rows < gemmTransposedRows ? each : max(each, gemmTransposedScratch);
}

/** Columns [first, last) of a dense product over transposed weights. */
export function denseTransposed<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32, last: i32,
  scratch: usize,
): void {
  if (rows < gemmTransposedRows) axpyEach<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
  else gemmTransposed<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
}

/** Columns of a transposed weight, and outputs of a row-major one, are split in these units. */
const columnUnit = 32;
const outputUnit = 16;

/** Bytes of scratch that `product` needs. */
export function productScratch(rows: i32, outWidth: i32, transposed: bool, threads: i32): usize {
  return transposed
    ? denseTransposedScratch(rows, largestShare(outWidth, columnUnit, threads))
    : max(gemmScratch, dotScratch);
}

/** The product of a whole step: each thread does its share of the outputs. */
export function product<T>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, transposed: bool,
  thread: i32, threads: i32, scratch: usize,
): void {
  const unit = transposed ? columnUnit : outputUnit;
  const first = share(outWidth, unit, thread, threads);
  const last = share(outWidth, unit, thread + 1, threads);
  if (first == last || rows == 0) return;
  if (transposed) denseTransposed<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
  else if (gemmPays<T>(rows)) gemm<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch, 0, 0, 0);
  else gemvEach<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch);
}

function linearOf<T>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  product<T>(
    Linear.x(op), Linear.w(op), Linear.bias(op), Linear.residual(op), Linear.out(op), rows, Linear.inWidth(op),
    Linear.outWidth(op), Linear.transposed(op) == 1, thread, threads, scratch,
  );
}

export function linearScratch(op: usize, rows: i32, threads: i32): usize {
  const transposed = Linear.transposed(op) == 1;
  const dtype = Linear.dtype(op);
  if (dtype == dtypeF32 || dtype == dtypeBf16) return productScratch(rows, Linear.outWidth(op), transposed, threads);
  return transposed
    ? transposedBlocksScratch(rows, Linear.inWidth(op), Linear.outWidth(op), threads)
    : linearBlocksScratch(rows, Linear.inWidth(op));
}

export function linearShared(op: usize): usize {
  const dtype = Linear.dtype(op);
  if (dtype == dtypeF32 || dtype == dtypeBf16 || Linear.transposed(op) == 0) return 0;
  return transposedBlocksShared(Linear.inWidth(op), Linear.outWidth(op));
}

export function linear(
  op: usize, rows: i32, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  switch (Linear.dtype(op)) {
    case dtypeF32: return linearOf<f32>(op, rows, thread, threads, scratch);
    case dtypeBf16: return linearOf<u16>(op, rows, thread, threads, scratch);
    case dtypeInt8: return linearBlocks<Int8>(op, rows, thread, threads, scratch, shared, sync);
    case dtypeInt4: return linearBlocks<Int4>(op, rows, thread, threads, scratch, shared, sync);
    case dtypeUint4: return linearBlocks<Uint4>(op, rows, thread, threads, scratch, shared, sync);
    default: unreachable();
  }
}
