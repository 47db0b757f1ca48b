// Products in a step of many rows: sums strictly in the order of k from +0, for both layouts, and where x has many zeros only
// what is not zero is read (sparse-tiles.ts).
//
//   for blocks of 128 rows x 512 columns: for blocks of 256 k: lists of the rows, if they pay; for panels of 16 columns:
//     sums[row][16] += row x panel, k strictly in order;  then out = residual + (sums + bias)
//
// A panel is [k][16 columns]: of a transposed weight a copy, of a row-major one turned. Transposed weights so have the bits
// of ../gemm-transposed.ts. Row-major ones do not have those of ../gemm.ts: its sums of four chains cost a fifth of the
// speed (55 against 70 GFLOP/s at 256 numbers and 2 threads), and nothing decodes in this module.
// Scratch: a panel, the lists and their lengths, sums of one row more than the block (the padding of an odd last pair).
import { at, finishRun } from '../finish';
import { pack, tileTransposed } from '../gemm-transposed';
import { product, productScratch } from '../linear';
import { floats, share } from '../simd';
import { blockDepth, countsAt, isSparse, listBytes, listLines, listsAt, listsEnd, makeLists, tileList } from './sparse-tiles';
import { turn } from './turn';

/** Rows of a step for which packing does not pay. */
const fewRows = 8;
const blockRows: i32 = listLines;
const blockColumns: i32 = 512;
const manyRowsScratch: usize = listsEnd + (((<usize>blockRows + 1) * <usize>blockColumns) << 2);

function manyRows(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, first: i32,
  columns: i32, transposed: bool, scratch: usize,
): void {
  const lists = scratch + listsAt;
  const counts = scratch + countsAt;
  const sums = scratch + listsEnd;
  const stride = floats((columns + 15) & ~15);
  const xStride = floats(inWidth);
  for (let r0 = 0; r0 < rows; r0 += blockRows) {
    const some = min(blockRows, rows - r0);
    memory.fill(sums, 0, <usize>(some + 1) * stride);
    for (let k = 0; k < inWidth; k += blockDepth) {
      const depth = min(blockDepth, inWidth - k);
      const left = x + <usize>r0 * xStride + floats(k);
      const sparse = isSparse(left, xStride, some, depth);
      if (sparse) makeLists(lists, counts, left, xStride, some, depth);
      for (let c = 0; c < columns; c += 16) {
        const width = min(16, columns - c);
        if (transposed) pack<f32>(scratch, w + floats(k * outWidth + first + c), floats(outWidth), width, depth);
        else {
          if (width < 16) memory.fill(scratch, 0, <usize>depth << 6);
          turn(scratch, 64, w + floats((first + c) * inWidth + k), xStride, width, depth);
        }
        const own = sums + floats(c);
        if (sparse)
          for (let i = 0; i < some; i++)
            tileList(scratch, lists + <usize>i * listBytes, load<i32>(counts + floats(i)), own + <usize>i * stride);
        else
          for (let i = 0; i < some; i += 2) {
            const row = left + <usize>i * xStride;
            const sum = own + <usize>i * stride;
            tileTransposed(scratch, depth, row, i + 1 < some ? row + xStride : row, sum, sum + stride);
          }
      }
    }
    for (let i = 0; i < some; i++) {
      const place = (r0 + i) * outWidth + first;
      finishRun(out + floats(place), at(residual, place), at(bias, first), sums + <usize>i * stride, columns);
    }
  }
}

/** Bytes of scratch that `trainingProduct` needs. */
export function trainingProductScratch(rows: i32, outWidth: i32, transposed: bool, threads: i32): usize {
  const few = transposed ? productScratch(min(rows, fewRows - 1), outWidth, transposed, threads) : 0;
  return max(few, manyRowsScratch);
}

/** The product of a whole step, f32 weights: each thread does its share of the outputs. */
export function trainingProduct(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, rows: i32, inWidth: i32, outWidth: i32, transposed: bool,
  thread: i32, threads: i32, scratch: usize,
): void {
  if (transposed && rows < fewRows)
    return product<f32>(x, w, bias, residual, out, rows, inWidth, outWidth, transposed, thread, threads, scratch);
  const last = share(outWidth, 32, thread + 1, threads);
  for (let c = share(outWidth, 32, thread, threads); c < last; c += blockColumns)
    manyRows(x, w, bias, residual, out, rows, inWidth, outWidth, c, min(blockColumns, last - c), transposed, scratch);
}
