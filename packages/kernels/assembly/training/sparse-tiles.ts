// Products whose left side has many zeros, as what a ReLU gives and what it passes back: only the others are read.
//
//   list of a line of `left` = (place in the panel, value) of each number that is not 0, in order
//   sums[16 columns] += sum over the list, in order, of value * panel[place]
//
// A zero that is left out would add 0 to a sum that began at +0, so the bits are those of tileTransposed. Lists are made
// once for a block of lines and serve every panel. A list costs 17 instructions an entry, the dense tile 12.5 a number and
// line: from `densePercent` on the dense tile is faster.
// Memory: a line of lists has room for 256 entries; counts are a word a line.
import { panelBytes } from '../gemm-transposed';
import { floats, madd, splat } from '../simd';

/** Numbers of a line that a block of lists covers. */
export const blockDepth: i32 = 256;
/** Bytes of a line's list. */
export const listBytes: usize = 2048;
/** Lines that have lists at a time. */
export const listLines: i32 = 128;
/** Where lists and their lengths lie in the scratch, after a panel, and where they end. */
export const listsAt: usize = panelBytes;
export const countsAt: usize = listsAt + <usize>listLines * listBytes;
export const listsEnd: usize = countsAt + (<usize>listLines << 2);
/** Numbers in a hundred that are not zero from which on lists do not pay. */
export const densePercent: i32 = 65;

/** Bit i: x[i] != 0, of the first `count` of four numbers. */
@inline function nonZero(x: usize, count: i32): i32 {
  if (count >= 4) return i32x4.bitmask(f32x4.ne(v128.load(x), splat(0)));
  let mask = 0;
  for (let i = 0; i < count; i++) if (load<f32>(x + floats(i)) != 0) mask |= 1 << i;
  return mask;
}

/** Whether so many lines of `depth` numbers (`stride` bytes apart) have few enough that are not zero. */
export function isSparse(left: usize, stride: usize, lines: i32, depth: i32): bool {
  let total = 0;
  for (let i = 0; i < lines; i++, left += stride)
    for (let k = 0; k < depth; k += 4) total += popcnt<i32>(nonZero(left + floats(k), depth - k));
  return 100 * total < densePercent * lines * depth;
}

/** Lists of the lines, and how long each is. */
export function makeLists(lists: usize, counts: usize, left: usize, stride: usize, lines: i32, depth: i32): void {
  for (let i = 0; i < lines; i++, left += stride, lists += listBytes) {
    let at = lists;
    for (let k = 0; k < depth; k += 4)
      for (let mask = nonZero(left + floats(k), depth - k); mask != 0; mask &= mask - 1) {
        const place = k + ctz<i32>(mask);
        store<i32>(at, place << 6);
        store<f32>(at, load<f32>(left + floats(place)), 4);
        at += 8;
      }
    store<i32>(counts + floats(i), <i32>((at - lists) >> 3));
  }
}

/** sums[16 columns] += list x panel. */
export function tileList(panel: usize, list: usize, count: i32, sums: usize): void {
  let s0 = v128.load(sums);
  let s1 = v128.load(sums, 16);
  let s2 = v128.load(sums, 32);
  let s3 = v128.load(sums, 48);
  for (const end = list + (<usize>count << 3); list < end; list += 8) {
    const w = panel + <usize>load<u32>(list);
    const x = v128.load32_splat(list, 4);
    s0 = madd(s0, v128.load(w), x);
    s1 = madd(s1, v128.load(w, 16), x);
    s2 = madd(s2, v128.load(w, 32), x);
    s3 = madd(s3, v128.load(w, 48), x);
  }
  v128.store(sums, s0);
  v128.store(sums, s1, 16);
  v128.store(sums, s2, 32);
  v128.store(sums, s3, 48);
}
