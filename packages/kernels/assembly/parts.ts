// The order of sums over the inputs of a transposed weight in a block format, the one that the native backend has too.
//
//   parts: eight contiguous chunks of inputs, in units of 16 (one part where there are fewer than 1024 inputs)
//   for each part p: sum_p = for k of the part, in order: sum_p + x[k] w[k], from +0
//   out = ((sum_0 + sum_1) + (sum_2 + sum_3)) + ((sum_4 + sum_5) + (sum_6 + sum_7))
//
// A skipped k would add x[k] = 0 times a finite weight, so sparse equals dense. The parts do not depend on the number of
// threads, so threads may own parts, and each reads whole rows.
import { floats, share } from './simd';

const mostParts: i32 = 8;
const partUnit: i32 = 16;
const leastInputs: i32 = 1024;
/** Levels of the tree below its root. */
export const partLevels: i32 = 3;

@inline export function partsOf(inWidth: i32): i32 {
  return inWidth < leastInputs ? 1 : mostParts;
}

/** The first input of a part; its end is the next one's. */
@inline export function partStart(inWidth: i32, part: i32): i32 {
  return share(inWidth, partUnit, part, partsOf(inWidth));
}

/** sums += others, for a multiple of four numbers. */
function addRun(sums: usize, others: usize, count: i32): void {
  for (const end = sums + floats(count); sums < end; sums += 16, others += 16)
    v128.store(sums, f32x4.add(v128.load(sums), v128.load(others)));
}

/**
 * The tree, one part after the other: `sums` holds those of a part; after the last part, of the whole. Each level of
 * `levels` holds `count` numbers, a multiple of four.
 */
export function addPart(sums: usize, levels: usize, part: i32, parts: i32, count: i32): void {
  for (let level = 0; 1 << level < parts; level++, levels += floats(count)) {
    if (((part >> level) & 1) == 0) return memory.copy(levels, sums, floats(count));
    addRun(sums, levels, count);
  }
}

/** The tree at once: the sums of all parts, `stride` bytes apart, go into the first one's place. */
export function joinParts(sums: usize, stride: usize, parts: i32, count: i32): void {
  for (let step = 1; step < parts; step *= 2)
    for (let part = 0; part < parts; part += 2 * step)
      addRun(sums + <usize>part * stride, sums + <usize>(part + step) * stride, count);
}
