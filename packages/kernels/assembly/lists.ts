// Ascending lists of active outputs or inputs, one a row of the step, and the cursors that walk them together.
import { floats } from './simd';

/** Bytes of `count` words, in whole cache lines. */
@inline export function lines(count: i32): usize {
  return (floats(count) + 63) & ~63;
}

/** Where row n of a weight lies: at n, or where a table says. */
@inline export function placeOf(table: usize, n: i32): usize {
  return <usize>(table ? load<i32>(table + floats(n)) : n);
}

/** The first place of an ascending list whose value is not below `bound`. */
export function lowerBound(list: usize, count: i32, bound: i32): i32 {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<i32>(list + floats(middle)) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sets each row's cursor to its first entry from `first` on; gives how many entries all rows have in [first, last). */
export function setCursors(
  cursors: usize, active: usize, counts: usize, width: i32, rows: i32, first: i32, last: i32,
): i32 {
  let total = 0;
  for (let r = 0; r < rows; r++) {
    const list = active + floats(r * width);
    const count = load<i32>(counts + floats(r));
    const from = lowerBound(list, count, first);
    store<i32>(cursors + floats(r), from);
    total += lowerBound(list, count, last) - from;
  }
  return total;
}

/** Whether n is the next of a list; steps the list's cursor past it. */
@inline export function wanted(list: usize, count: i32, cursor: usize, n: i32): bool {
  const i = load<i32>(cursor);
  if (i >= count || load<i32>(list + floats(i)) != n) return false;
  store<i32>(cursor, i + 1);
  return true;
}
