// touch: has scattered rows of weights brought into the cache, all at once, before they are used.
//
//   for each two lines of the rows' length: for each row: read a word of both
//
// WebAssembly has no prefetch, and a load that nobody waits for fills the reorder buffer all the same. But a loop of
// nothing but loads fits a hundred of them into it, where a dot product fits three or four: rows of 2 KB that lie
// apart arrive with 17 GB/s on one thread, and reading them then costs no waiting (2-core AMD EPYC (Zen 4) VM, Node 20,
// November 2026; one row after the other 5, two rows in step 10, four 13, eight 15). Both together: 7.2 GB/s of int8
// dot products, against 5.6 of eight rows in step, each waiting for its own. In step, since the prefetcher helps then.
import { floats } from './simd';

/** Rows that one call takes at most: as many as suit L1. */
export const mostTouched: i32 = 16;
const touchedBytes: usize = 24576;

/** Rows of so many bytes to touch together; a multiple of 8. */
@inline export function touchedRows(bytes: usize): i32 {
  return min(mostTouched, max(8, <i32>(touchedBytes / bytes) & ~7));
}

/** `addresses` holds those of the rows; `bytes` from `offset` on are touched of each, in pairs of lines. Gives a sum to store. */
export function touch(addresses: usize, rows: i32, offset: usize, bytes: usize): i32 {
  let sum = 0;
  const last = addresses + floats(rows);
  for (const end = offset + bytes; offset < end; offset += 128)
    for (let row = addresses; row < last; row += 4) {
      const at = <usize>load<u32>(row) + offset;
      sum += load<i32>(at) + load<i32>(at, 64);
    }
  return sum;
}
