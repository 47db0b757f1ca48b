// selectActive: which channels or neurons matter for each row, as an ascending list.
//
//   active[r] = ascending indices of the non-zeros of x[r]; activeCount[r] = how many
//
// Rows are split across the threads. With fewer rows than threads each thread lists a share of the columns; where its part
// of the list begins it counts itself (counting four at a time is ten times faster than listing), so no second barrier.
import { SelectActive } from './generated/ops';
import { floats, share, splat } from './simd';

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
    let n = countNonZero(x, first);
    let c = first;
    for (; c + 4 <= last; c += 4)
      for (let mask = nonZero4(x + floats(c)); mask != 0; mask &= mask - 1)
        store<i32>(active + floats(n++), c + ctz<i32>(mask));
    for (; c < last; c++) if (load<f32>(x + floats(c)) != 0) store<i32>(active + floats(n++), c);
    if (last == width && (byRows || thread == threads - 1)) store<i32>(SelectActive.activeCount(op) + floats(r), n);
  }
}
