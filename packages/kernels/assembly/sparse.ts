// selectActive, gemvRows, axpyRows: which channels or neurons matter, and the products that read only those.
//
//   selectActive:  active[r] = ascending indices of the non-zeros of x[r]
//   gemvRows:      the listed outputs only; a weight row is an output. One row: the list is dealt to the threads
//   axpyRows:      the listed inputs only; a weight row is an input. The output columns are dealt to the threads, never
//                  the neurons, so each output has one owner and one order
//
// The orders of summation are those of the dense products (dot.ts, axpy.ts): sparse equals dense, bit for bit.
import { axpyList } from './axpy';
import { dot4 } from './dot';
import { at, finish, finishRun } from './finish';
import { AxpyRows, dtypeF32, GemvRows, SelectActive } from './generated/ops';
import { bytesOf, floats, share, splat } from './simd';

/** Bit i: x[i] != 0, for 4 numbers. */
@inline function nonZero4(x: usize): i32 {
  return i32x4.bitmask(f32x4.ne(v128.load(x), splat(0)));
}

/** How many of the first `count` (a multiple of 4) numbers are not zero. */
function countNonZero(x: usize, count: i32): i32 {
  let n = 0;
  for (const end = x + floats(count); x < end; x += 16) n += popcnt<i32>(nonZero4(x));
  return n;
}

export function selectActive(op: usize, rows: i32, thread: i32, threads: i32): void {
  const width = SelectActive.width(op);
  const byRows = rows >= threads;
  const r1 = byRows ? share(rows, 1, thread + 1, threads) : rows;
  const first = byRows ? 0 : share(width, 16, thread, threads);
  const last = byRows ? width : share(width, 16, thread + 1, threads);
  for (let r = byRows ? share(rows, 1, thread, threads) : 0; r < r1; r++) {
    const x = SelectActive.x(op) + floats(r * width);
    const active = SelectActive.active(op) + floats(r * width);
    // where my part of the list begins: the non-zeros before my share (counting is ten times faster than listing)
    let n = countNonZero(x, first);
    let c = first;
    for (; c + 4 <= last; c += 4)
      for (let mask = nonZero4(x + floats(c)); mask != 0; mask &= mask - 1)
        store<i32>(active + floats(n++), c + ctz<i32>(mask));
    for (; c < last; c++) if (load<f32>(x + floats(c)) != 0) store<i32>(active + floats(n++), c);
    if (last == width && (byRows || thread == threads - 1)) store<i32>(SelectActive.activeCount(op) + floats(r), n);
  }
}

/** Outputs list[0 .. count) of one row. */
function gemvList<T>(x: usize, w: usize, bias: usize, out: usize, inWidth: i32, list: usize, count: i32, scratch: usize): void {
  const stride = bytesOf<T>(inWidth);
  for (let i = 0; i < count; i += 4) {
    const end = count - 1;
    dot4<T>(
      x, inWidth,
      w + <usize>load<u32>(list + floats(i)) * stride,
      w + <usize>load<u32>(list + floats(min(end, i + 1))) * stride,
      w + <usize>load<u32>(list + floats(min(end, i + 2))) * stride,
      w + <usize>load<u32>(list + floats(min(end, i + 3))) * stride,
      scratch,
    );
    for (let j = 0; j < min(4, count - i); j++) {
      const n = load<i32>(list + floats(i + j));
      finish(out + floats(n), 0, at(bias, n), load<f32>(scratch + floats(j)));
    }
  }
}

function gemvRowsOf<T>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = GemvRows.inWidth(op);
  const outWidth = GemvRows.outWidth(op);
  for (let r = 0; r < rows; r++) {
    const count = load<i32>(GemvRows.activeCount(op) + floats(r));
    const first = share(count, 4, thread, threads);
    gemvList<T>(
      GemvRows.x(op) + floats(r * inWidth), GemvRows.w(op), GemvRows.bias(op), GemvRows.out(op) + floats(r * outWidth), inWidth,
      GemvRows.active(op) + floats(r * outWidth + first), share(count, 4, thread + 1, threads) - first, scratch,
    );
  }
}

export function gemvRows(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  if (GemvRows.dtype(op) == dtypeF32) gemvRowsOf<f32>(op, rows, thread, threads, scratch);
  else gemvRowsOf<u16>(op, rows, thread, threads, scratch);
}

function axpyRowsOf<T>(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = AxpyRows.inWidth(op);
  const outWidth = AxpyRows.outWidth(op);
  const first = share(outWidth, 32, thread, threads);
  const columns = share(outWidth, 32, thread + 1, threads) - first;
  if (columns == 0) return;
  for (let r = 0; r < rows; r++) {
    memory.fill(scratch, 0, floats(columns));
    axpyList<T>(
      scratch, columns, AxpyRows.w(op) + bytesOf<T>(first), bytesOf<T>(outWidth), AxpyRows.x(op) + floats(r * inWidth),
      AxpyRows.active(op) + floats(r * inWidth), load<i32>(AxpyRows.activeCount(op) + floats(r)),
    );
    const place = r * outWidth + first;
    finishRun(AxpyRows.out(op) + floats(place), at(AxpyRows.residual(op), place), at(AxpyRows.bias(op), first), scratch, columns);
  }
}

export function axpyRows(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  if (AxpyRows.dtype(op) == dtypeF32) axpyRowsOf<f32>(op, rows, thread, threads, scratch);
  else axpyRowsOf<u16>(op, rows, thread, threads, scratch);
}
