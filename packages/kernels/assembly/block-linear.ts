// linear and gemvRows over row-major weights in a block format: which path a call takes. The counterpart for formats of
// single numbers are linear.ts, gemv.ts and sparse.ts.
//
//   linear:    outputs are split across the threads; few rows: gemv for each; more: gemm by panels
//   gemvRows:  one row: its list is split across the threads; more: outputs are split, and taken in blocks that stay in L2
//              while every row passes; lists of nearly all: the dense gemm
//
// Every path sums an output in the order of block-dot.ts: sparse equals dense, bit for bit.
// Scratch: a place for gemv or gemm at the front, cursors of the rows, then every row of x, prepared.
import { dotBlocks, dotBlocksScratch, prepare, preparedBytes, startDots } from './block-dot';
import { blockRowBytes, blocksOf, groupsOf, scalesAt, toMinimum } from './block-format';
import { gemmBlocks, gemmBlockScratch } from './block-gemm';
import { linearTransposedBlocks } from './block-transposed';
import { at, finish } from './finish';
import { GemvRows, Linear } from './generated/ops';
import { lines, lowerBound, placeOf, setCursors } from './lists';
import { floats, share } from './simd';
import { touch, touchedRows } from './touch';

/** From this many rows on, packing pays. */
const gemmRows = 8;
/** Density from which on a sparse product of many rows is as slow as the dense one. */
const denseRows: f32 = 0.6;
/** Share of the outputs, in a hundred, from which on a list is read as the dense product reads. */
const denseShare: i64 = 85;
/** A list is split across the threads, and to chunks, in this unit at least. */
const listUnit = 8;
/** Bytes of weights that stay in L2 while the rows of a step pass. */
const chunkBytes: usize = 262144;

/** Behind what the dot products need: addresses of rows, and what touching gives. */
const addressesAt: usize = dotBlocksScratch;
const touchedAt: usize = addressesAt + 64;
/** Where the cursors begin, behind what gemv or gemm need. */
const cursorsAt: usize = (gemmBlockScratch + 63) & ~63;

export function linearBlocksScratch(rows: i32, inWidth: i32): usize {
  return cursorsAt + <usize>rows * preparedBytes(inWidth);
}

export function gemvRowsBlocksScratch(rows: i32, inWidth: i32): usize {
  return cursorsAt + lines(rows) + <usize>rows * preparedBytes(inWidth);
}

/** Rows of x, prepared one after the other. */
function prepareRows<F>(to: usize, x: usize, xScales: usize, xSums: usize, rows: i32, inWidth: i32, words: bool): void {
  const blocks = blocksOf(inWidth);
  for (let r = 0; r < rows; r++) {
    const place = <usize>r * <usize>blocks;
    prepare<F>(
      to + <usize>r * preparedBytes(inWidth), x + (place << 5), xScales + (place << 2), xSums + (place << 2), inWidth, words,
    );
  }
}

@inline function output(list: usize, first: i32, i: i32): i32 {
  return list ? load<i32>(list + floats(i)) : first + i;
}

/** out[n] = residual[n] + (w[n] . x + bias[n]) for n = list[0 .. count), or first .. first + count without a list (0). `table`: see placeOf. */
function gemvBlocks<F>(
  x: usize, w: usize, bias: usize, residual: usize, out: usize, inWidth: i32, list: usize, first: i32, count: i32, scratch: usize,
  table: usize = 0,
): void {
  if (count <= 0) return;
  const stride = blockRowBytes<F>(inWidth);
  const scales = scalesAt<F>(inWidth);
  const minima = scales + toMinimum(inWidth);
  const groups = groupsOf(inWidth);
  const span = output(list, first, count - 1) - output(list, first, 0) + 1;
  if (100 * <i64>count >= denseShare * <i64>span) {
    for (let i = 0; i < count; i++) {
      const n = output(list, first, i);
      const row = w + placeOf(table, n) * stride;
      finish(out + floats(n), at(residual, n), at(bias, n), dotBlocks<F>(row, row + scales, row + minima, x, groups, scratch));
    }
    return;
  }
  const together = touchedRows(stride);
  const addresses = scratch + addressesAt;
  for (let i = 0; i < count; i += together) {
    const rows = min(together, count - i);
    for (let j = 0; j < rows; j++) store<u32>(addresses + floats(j), <u32>(w + placeOf(table, output(list, first, i + j)) * stride));
    store<i32>(scratch + touchedAt, touch(addresses, rows, 0, stride));
    for (let j = 0; j < rows; j++) {
      const n = output(list, first, i + j);
      const row = <usize>load<u32>(addresses + floats(j));
      finish(out + floats(n), at(residual, n), at(bias, n), dotBlocks<F>(row, row + scales, row + minima, x, groups, scratch));
    }
  }
}

/** `linear`, for both layouts. */
export function linearBlocks<F>(
  op: usize, rows: i32, thread: i32, threads: i32, scratch: usize, shared: usize, sync: usize,
): void {
  if (Linear.transposed(op)) return linearTransposedBlocks<F>(op, rows, thread, threads, scratch, shared, sync);
  const inWidth = Linear.inWidth(op);
  const outWidth = Linear.outWidth(op);
  const first = share(outWidth, 16, thread, threads);
  const last = share(outWidth, 16, thread + 1, threads);
  if (first == last || rows == 0) return;
  const w = Linear.w(op);
  const bias = Linear.bias(op);
  const residual = Linear.residual(op);
  const out = Linear.out(op);
  const x = scratch + cursorsAt;
  startDots(scratch);
  prepareRows<F>(x, Linear.x(op), Linear.xScales(op), Linear.xSums(op), rows, inWidth, rows >= gemmRows);
  if (rows >= gemmRows)
    return gemmBlocks<F>(x, w, bias, residual, out, rows, inWidth, outWidth, first, last, scratch, 0, 0, 0);
  const chunk = rows == 1 ? last - first : max(1, <i32>(chunkBytes / blockRowBytes<F>(inWidth)));
  for (let n = first; n < last; n += chunk)
    for (let r = 0; r < rows; r++)
      gemvBlocks<F>(
        x + <usize>r * preparedBytes(inWidth), w, bias, at(residual, r * outWidth), out + floats(r * outWidth), inWidth, 0, n,
        min(chunk, last - n), scratch,
      );
}

export function gemvRowsBlocks<F>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = GemvRows.inWidth(op);
  const outWidth = GemvRows.outWidth(op);
  const w = GemvRows.w(op);
  const bias = GemvRows.bias(op);
  const out = GemvRows.out(op);
  const active = GemvRows.active(op);
  const counts = GemvRows.activeCount(op);
  const table = GemvRows.table(op);
  const cursors = scratch + cursorsAt;
  const x = cursors + lines(rows);
  startDots(scratch);
  if (rows == 1) {
    const count = load<i32>(counts);
    const from = share(count, listUnit, thread, threads);
    const to = share(count, listUnit, thread + 1, threads);
    if (from == to) return;
    prepareRows<F>(x, GemvRows.x(op), GemvRows.xScales(op), GemvRows.xSums(op), 1, inWidth, false);
    return gemvBlocks<F>(x, w, bias, 0, out, inWidth, active + floats(from), 0, to - from, scratch, table);
  }
  const first = share(outWidth, 16, thread, threads);
  const last = share(outWidth, 16, thread + 1, threads);
  const total = setCursors(cursors, active, counts, outWidth, rows, first, last);
  if (total == 0) return;
  // with a table, rows that are not listed are not there
  const dense = rows >= gemmRows && !table && <f32>total >= denseRows * <f32>(rows * (last - first));
  prepareRows<F>(x, GemvRows.x(op), GemvRows.xScales(op), GemvRows.xSums(op), rows, inWidth, dense);
  if (dense)
    return gemmBlocks<F>(x, w, bias, 0, out, rows, inWidth, outWidth, first, last, scratch, active, counts, cursors);
  const chunk = max(listUnit, <i32>(chunkBytes / blockRowBytes<F>(inWidth)));
  for (let n = first; n < last; n += chunk)
    for (let r = 0; r < rows; r++) {
      const from = load<i32>(cursors + floats(r));
      const list = active + floats(r * outWidth + from);
      const count = lowerBound(list, load<i32>(counts + floats(r)) - from, min(last, n + chunk));
      store<i32>(cursors + floats(r), from + count);
      gemvBlocks<F>(
        x + <usize>r * preparedBytes(inWidth), w, bias, 0, out + floats(r * outWidth), inWidth, list, 0, count, scratch,
        table,
      );
    }
}
