// concat: what was computed apart, side by side.
//
//   for each row r: out[r] = a[r], b[r], c[r]
//
// Rows are split across the threads; with fewer rows than threads, columns are.
import { Concat } from './generated/ops';
import { floats, share } from './simd';

/** Columns [first, last) of an output row, as far as they are those of the part that begins at column `at`. */
@inline function copyPart(out: usize, part: usize, width: i32, r: i32, at: i32, first: i32, last: i32): void {
  const from = max(first, at);
  const to = min(last, at + width);
  if (from < to) memory.copy(out + floats(from), part + floats(r * width + from - at), floats(to - from));
}

export function concat(op: usize, rows: i32, thread: i32, threads: i32): void {
  const a = Concat.aWidth(op);
  const b = Concat.bWidth(op);
  const c = Concat.cWidth(op);
  const width = a + b + c;
  const byRows = rows >= threads;
  const first = byRows ? 0 : share(width, 16, thread, threads);
  const last = byRows ? width : share(width, 16, thread + 1, threads);
  const lastRow = byRows ? share(rows, 1, thread + 1, threads) : rows;
  for (let r = byRows ? share(rows, 1, thread, threads) : 0; r < lastRow; r++) {
    const out = Concat.out(op) + floats(r * width);
    copyPart(out, Concat.a(op), a, r, 0, first, last);
    copyPart(out, Concat.b(op), b, r, a, first, last);
    copyPart(out, Concat.c(op), c, r, a + b, first, last);
  }
}
