// gemvRows and axpyRows: the products that read only the weights that matter.
//
//   gemvRows:  the listed outputs only; a weight row is an output
//   axpyRows:  the listed inputs only; a weight row is an input. The output columns are split across the threads, never the
//              neurons, so each output has one owner and one order
//
// The orders of summation are those of the dense products (dot.ts, axpy.ts): sparse equals dense, bit for bit, and the
// ways below differ in speed only. With one row the one list is split across the threads. With several, each thread has a
// range of neurons (gemvRows) or of columns (axpyRows):
// 1. each row for itself, while lists hardly overlap: weights are read as often as they are listed;
// 2. weights outside, rows inside, when several rows want the same weights: these are read from memory once;
// 3. the dense gemm, from the density on at which skipping costs more than it saves.
//
// Scratch: what gemm needs, then at `extraAt` the cursors of the rows and one weight row in f32.
import { axpyList } from './axpy';
import { Int4, Int8, Uint4 } from './block-format';
import { gemvRowsBlocks, gemvRowsBlocksScratch } from './block-linear';
import { axpyRowsBlocks, transposedBlocksScratch, transposedBlocksShared } from './block-transposed';
import { dotEach, dotRows, rowAddress, rowSum } from './dot';
import { at, finish, finishRun } from './finish';
import { gemm, gemmScratch } from './gemm';
import { AxpyRows, dtypeBf16, dtypeF32, dtypeInt4, dtypeInt8, dtypeUint4, GemvRows } from './generated/ops';
import { gemv } from './gemv';
import { denseTransposed, denseTransposedScratch, gemmPays } from './linear';
import { lines, lowerBound, placeOf, setCursors } from './lists';
import { bytesOf, floats, largestShare, load1, load4, share } from './simd';

/** Rows that want a weight, on average, from which on it pays to hold the weight and pass the rows. */
const sharedRows = 4;
/**
 * Density from which on the dense product is as fast. Share of its time by CPU time of one thread, weights of 4096 x 2048
 * (Zen 4 VM, Node 20, November 2026), at density 0.05 / 0.1 / 0.2 / 0.3 / 0.4 / 0.5 / 0.6:
 *   gemvRows, 128 rows: .16 .26 .47 .67 .87 1.08 1.27 (f32), .17 .28 .47 .67 .87 1.07 1.46 (bf16)
 *   axpyRows, 128 rows: .25 .35 .51 .67 .84 1.00 1.17 (f32), .20 .28 .48 .68 .96 1.07 1.25 (bf16)
 *   axpyRows,  16 rows: .10 .33 .55 .68 .77 0.87 0.95 (f32), .07 .21 .40 .60 .76 0.91 1.02 (bf16)
 */
const denseGemv: f32 = 0.45;
const denseAxpy: f32 = 0.5;

/** Bytes of weights that stay in L2 while the rows of a step pass. */
const blockBytes: usize = 262144;

const extraAt: usize = (gemmScratch + 63) & ~63;

/** w as f32. */
function widen<T>(out: usize, w: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) v128.store(out + floats(i), load4<T>(w + bytesOf<T>(i)));
  for (; i < count; i++) store<f32>(out + floats(i), load1<T>(w + bytesOf<T>(i)));
}

/** Way 2: each weight row of mine, with all the rows that list it. `cursors` stand at the first. */
function gemvShared<T>(op: usize, rows: i32, first: i32, last: i32, scratch: usize, cursors: usize): void {
  const inWidth = GemvRows.inWidth(op);
  const outWidth = GemvRows.outWidth(op);
  const bias = GemvRows.bias(op);
  const x = GemvRows.x(op);
  const out = GemvRows.out(op);
  const members = cursors + lines(rows);
  const row = members + lines(rows);
  for (let n = first; n < last; n++) {
    let count = 0;
    for (let r = 0; r < rows; r++) {
      const cursor = load<i32>(cursors + floats(r));
      if (cursor >= load<i32>(GemvRows.activeCount(op) + floats(r))) continue;
      if (load<i32>(GemvRows.active(op) + floats(r * outWidth + cursor)) != n) continue;
      store<i32>(cursors + floats(r), cursor + 1);
      store<i32>(members + floats(count++), r);
    }
    if (count == 0) continue;
    let w = GemvRows.w(op) + placeOf(GemvRows.table(op), n) * bytesOf<T>(inWidth);
    if (sizeof<T>() != 4) {
      widen<T>(row, w, inWidth);
      w = row;
    }
    for (let i = 0; i < count; i += dotRows) {
      const some = min(dotRows, count - i);
      for (let j = 0; j < some; j++)
        store<u32>(rowAddress(scratch, j), <u32>(x + floats(load<i32>(members + floats(i + j)) * inWidth)));
      dotEach<f32>(w, inWidth, some, scratch);
      for (let j = 0; j < some; j++) {
        const place = load<i32>(members + floats(i + j)) * outWidth + n;
        finish(out + floats(place), 0, at(bias, n), load<f32>(rowSum(scratch, j)));
      }
    }
  }
}

function gemvRowsOf<T>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = GemvRows.inWidth(op);
  const outWidth = GemvRows.outWidth(op);
  const x = GemvRows.x(op);
  const w = GemvRows.w(op);
  const bias = GemvRows.bias(op);
  const out = GemvRows.out(op);
  const active = GemvRows.active(op);
  const counts = GemvRows.activeCount(op);
  const table = GemvRows.table(op);
  if (rows == 1) {
    const count = load<i32>(counts);
    const from = share(count, dotRows, thread, threads);
    const to = share(count, dotRows, thread + 1, threads);
    return gemv<T>(x, w, bias, 0, out, inWidth, active + floats(from), 0, to - from, scratch, table);
  }
  const first = share(outWidth, 16, thread, threads);
  const last = share(outWidth, 16, thread + 1, threads);
  const cursors = scratch + extraAt;
  const total = setCursors(cursors, active, counts, outWidth, rows, first, last);
  if (gemmPays<T>(rows)) {
    // with a table, rows that are not listed are not there
    if (!table && <f32>total >= denseGemv * <f32>(rows * (last - first)))
      return gemm<T>(x, w, bias, 0, out, rows, inWidth, outWidth, first, last, scratch, active, counts, cursors);
    if (total >= sharedRows * (last - first)) return gemvShared<T>(op, rows, first, last, scratch, cursors);
  }
  // blocks of neurons stay in L2 while the rows pass, when the lists overlap
  const block = total < last - first ? last - first : max(dotRows, <i32>(blockBytes / bytesOf<T>(inWidth)));
  for (let n = first; n < last; n += block)
    for (let r = 0; r < rows; r++) {
      const from = load<i32>(cursors + floats(r));
      const list = active + floats(r * outWidth + from);
      const count = lowerBound(list, load<i32>(counts + floats(r)) - from, min(last, n + block));
      store<i32>(cursors + floats(r), from + count);
      gemv<T>(x + floats(r * inWidth), w, bias, 0, out + floats(r * outWidth), inWidth, list, 0, count, scratch, table);
    }
}

export function gemvRowsScratch(op: usize, rows: i32): usize {
  const inWidth = GemvRows.inWidth(op);
  const dtype = GemvRows.dtype(op);
  if (dtype != dtypeF32 && dtype != dtypeBf16) return gemvRowsBlocksScratch(rows, inWidth);
  return extraAt + 2 * lines(rows) + floats(inWidth);
}

export function gemvRows(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  switch (GemvRows.dtype(op)) {
    case dtypeF32: return gemvRowsOf<f32>(op, rows, thread, threads, scratch);
    case dtypeBf16: return gemvRowsOf<u16>(op, rows, thread, threads, scratch);
    case dtypeInt8: return gemvRowsBlocks<Int8>(op, rows, thread, threads, scratch);
    case dtypeInt4: return gemvRowsBlocks<Int4>(op, rows, thread, threads, scratch);
    case dtypeUint4: return gemvRowsBlocks<Uint4>(op, rows, thread, threads, scratch);
    default: unreachable();
  }
}

/** Rows and columns whose sums scratch holds at once (128 KiB, in L2); a cursor a row after them. */
const axpyBlockRows: i32 = 64;
const axpyBlockColumns: i32 = 512;
const axpySharedScratch: usize = (<usize>(axpyBlockRows * axpyBlockColumns) << 2) + (<usize>axpyBlockRows << 2);
/** Columns are split across the threads in this unit. */
const columnUnit = 32;

/** Columns [first, first + columns) of several rows: blocks of k stay in L2 while the rows pass. */
function axpyShared<T>(op: usize, rows: i32, first: i32, columns: i32, scratch: usize): void {
  const inWidth = AxpyRows.inWidth(op);
  const outWidth = AxpyRows.outWidth(op);
  const counts = AxpyRows.activeCount(op);
  const w = AxpyRows.w(op) + bytesOf<T>(first);
  const cursors = scratch + floats(axpyBlockRows * axpyBlockColumns);
  const block = max(8, <i32>(blockBytes / bytesOf<T>(columns)));
  for (let r0 = 0; r0 < rows; r0 += axpyBlockRows) {
    const r1 = min(rows, r0 + axpyBlockRows);
    memory.fill(scratch, 0, floats((r1 - r0) * columns));
    memory.fill(cursors, 0, floats(r1 - r0));
    for (let k = 0; k < inWidth; k += block)
      for (let r = r0; r < r1; r++) {
        const list = AxpyRows.active(op) + floats(r * inWidth);
        const cursor = cursors + floats(r - r0);
        const from = load<i32>(cursor);
        const left = load<i32>(counts + floats(r)) - from;
        const count = k + block >= inWidth ? left : lowerBound(list + floats(from), left, k + block);
        store<i32>(cursor, from + count);
        axpyList<T>(
          scratch + floats((r - r0) * columns), columns, w, bytesOf<T>(outWidth), AxpyRows.x(op) + floats(r * inWidth),
          list + floats(from), count, AxpyRows.table(op),
        );
      }
    for (let r = r0; r < r1; r++) {
      const place = r * outWidth + first;
      finishRun(
        AxpyRows.out(op) + floats(place), at(AxpyRows.residual(op), place), at(AxpyRows.bias(op), first),
        scratch + floats((r - r0) * columns), columns,
      );
    }
  }
}

function axpyRowsOf<T>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = AxpyRows.inWidth(op);
  const outWidth = AxpyRows.outWidth(op);
  const x = AxpyRows.x(op);
  const w = AxpyRows.w(op);
  const bias = AxpyRows.bias(op);
  const residual = AxpyRows.residual(op);
  const out = AxpyRows.out(op);
  const counts = AxpyRows.activeCount(op);
  const table = AxpyRows.table(op);
  const first = share(outWidth, columnUnit, thread, threads);
  const columns = share(outWidth, columnUnit, thread + 1, threads) - first;
  if (columns == 0) return;
  let total = 0;
  for (let r = 0; r < rows; r++) total += load<i32>(counts + floats(r));
  if (rows > 1 && !table && <f32>total >= denseAxpy * <f32>(rows * inWidth))
    return denseTransposed<T>(x, w, bias, residual, out, rows, inWidth, outWidth, first, first + columns, scratch);
  if (rows > 1 && total >= inWidth) {
    for (let c = 0; c < columns; c += axpyBlockColumns)
      axpyShared<T>(op, rows, first + c, min(axpyBlockColumns, columns - c), scratch);
    return;
  }
  for (let r = 0; r < rows; r++) {
    memory.fill(scratch, 0, floats(columns));
    axpyList<T>(
      scratch, columns, w + bytesOf<T>(first), bytesOf<T>(outWidth), x + floats(r * inWidth),
      AxpyRows.active(op) + floats(r * inWidth), load<i32>(counts + floats(r)), table,
    );
    const place = r * outWidth + first;
    finishRun(out + floats(place), at(residual, place), at(bias, first), scratch, columns);
  }
}

export function axpyRowsScratch(op: usize, rows: i32, threads: i32): usize {
  const outWidth = AxpyRows.outWidth(op);
  const dtype = AxpyRows.dtype(op);
  if (dtype != dtypeF32 && dtype != dtypeBf16)
    return transposedBlocksScratch(rows, AxpyRows.inWidth(op), outWidth, threads);
  const columns = largestShare(outWidth, columnUnit, threads);
  return rows > 1 ? max(axpySharedScratch, denseTransposedScratch(rows, columns)) : floats(columns);
}

export function axpyRowsShared(op: usize): usize {
  const dtype = AxpyRows.dtype(op);
  return dtype == dtypeF32 || dtype == dtypeBf16 ? 0 : transposedBlocksShared(AxpyRows.inWidth(op), AxpyRows.outWidth(op));
}

export function axpyRows(
  op: usize, rows: i32, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  switch (AxpyRows.dtype(op)) {
    case dtypeF32: return axpyRowsOf<f32>(op, rows, thread, threads, scratch);
    case dtypeBf16: return axpyRowsOf<u16>(op, rows, thread, threads, scratch);
    case dtypeInt8: return axpyRowsBlocks<Int8>(op, rows, thread, threads, scratch, shared, sync);
    case dtypeInt4: return axpyRowsBlocks<Int4>(op, rows, thread, threads, scratch, shared, sync);
    case dtypeUint4: return axpyRowsBlocks<Uint4>(op, rows, thread, threads, scratch, shared, sync);
    default: unreachable();
  }
}
