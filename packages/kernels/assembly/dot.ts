// Dot products over row-major weights: the heart of gemv, gemvRows and gemm (gemm.ts).
//
//   chain c, lane l:  s[c][l] = sum over i, in order, of x[k] w[k],  k = 16 i + 4 c + l      (c < 4, l < 4)
//   dot = hsum((s[0] + s[1]) + (s[2] + s[3])) + what is left of the row (1 to 3 numbers), one by one
//
// This order of summation is the contract of row-major weights: every path gives an output these bits, whatever stands
// beside it in the step. Multiply, then add (simd.ts).
//
// Two ways through memory, because reading weights is what decode waits for (2-core AMD EPYC (Zen 4) VM, Node 20,
// November 2026, 2 threads, weights far larger than the caches; f32 / bf16 in GB/s, streaming read 53):
// 1. `dot`: one row, whole, then the next. Rows that follow each other make one endless stream, which the prefetcher
//    loves: 47 / 31, against 36 / 24 for four rows at once and 43 / 24 for eight.
// 2. `dotEach`: eight rows, a vector of each in turn. Rows that lie apart start a new stream each; eight wait for memory
//    together: 33 / 17, against 14 / 11 one at a time, 20 / 14 by two and 29 / 16 by four. Sixteen lose: 28 / 14.
// One chain instead of four would suit 2 (36 / 20) but not 1: a lone chain of additions is slower than memory.
// Reading ahead by loads that nobody uses lost everywhere (they fill the reorder buffer; there is no prefetch in WASM).
//
// Memory: rows and x contiguous, aligned to their numbers; nothing is read beyond `width` numbers.
import { bytesOf, floats, high, hsum, load1, load4, loadRaw, low, madd, splat } from './simd';

/** sum + x[0] w[0] + x[1] w[1] + ..., for the last one to three numbers. */
@inline export function dotTail<T>(sum: f32, x: usize, w: usize, count: i32): f32 {
  for (let i = 0; i < count; i++) sum += load<f32>(x + floats(i)) * load1<T>(w + bytesOf<T>(i));
  return sum;
}

/** The chains of a row, joined. */
@inline export function joinChains(s0: v128, s1: v128, s2: v128, s3: v128): f32 {
  return hsum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/** From the chains of all whole sixteens to the dot product; x and w stand at the `rest` (< 16) numbers left. */
@inline function finishDot<T>(s0: v128, s1: v128, s2: v128, s3: v128, x: usize, w: usize, rest: i32): f32 {
  if (rest >= 4) s0 = madd(s0, load4<T>(w), v128.load(x));
  if (rest >= 8) s1 = madd(s1, load4<T>(w + 4 * sizeof<T>()), v128.load(x, 16));
  if (rest >= 12) s2 = madd(s2, load4<T>(w + 8 * sizeof<T>()), v128.load(x, 32));
  const done = rest & 12;
  return dotTail<T>(joinChains(s0, s1, s2, s3), x + floats(done), w + bytesOf<T>(done), rest & 3);
}

/** x . w, both of `width` numbers. */
export function dot<T>(x: usize, w: usize, width: i32): f32 {
  let s0 = splat(0);
  let s1 = splat(0);
  let s2 = splat(0);
  let s3 = splat(0);
  for (const end = x + floats(width & ~15); x < end; x += 64) {
    const a = loadRaw<T>(w);
    const b = loadRaw<T>(w + 8 * sizeof<T>());
    s0 = madd(s0, low<T>(a), v128.load(x));
    s1 = madd(s1, high<T>(a, w), v128.load(x, 16));
    s2 = madd(s2, low<T>(b), v128.load(x, 32));
    s3 = madd(s3, high<T>(b, w + 8 * sizeof<T>()), v128.load(x, 48));
    w += 16 * sizeof<T>();
  }
  return finishDot<T>(s0, s1, s2, s3, x, w, width & 15);
}

/** Rows that one `dotEach` takes at most. */
export const dotRows: i32 = 8;
/** Bytes of scratch of `dotEach`: a table of addresses, sums, and four chains a row. */
export const dotScratch: usize = 1024;
const sumsAt: usize = 64;
const chainsAt: usize = 128;

/** Where the caller puts the address of row i. */
@inline export function rowAddress(scratch: usize, i: i32): usize {
  return scratch + floats(i);
}

/** Where `dotEach` leaves the dot product of row i. */
@inline export function rowSum(scratch: usize, i: i32): usize {
  return scratch + sumsAt + floats(i);
}

/** x . w_i for `count` rows, whose addresses stand in the scratch; the chains rest in the scratch (L1) between steps. */
export function dotEach<T>(x: usize, width: i32, count: i32, scratch: usize): void {
  const chains = scratch + chainsAt;
  const chainsEnd = chains + (<usize>count << 6);
  memory.fill(chains, 0, <usize>count << 6);
  let offset: usize = 0;
  for (const end = x + floats(width & ~15); x < end; x += 64) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    const x2 = v128.load(x, 32);
    const x3 = v128.load(x, 48);
    for (let s = chains, row = scratch; s < chainsEnd; s += 64, row += 4) {
      const w = <usize>load<u32>(row) + offset;
      const a = loadRaw<T>(w);
      const b = loadRaw<T>(w + 8 * sizeof<T>());
      v128.store(s, madd(v128.load(s), low<T>(a), x0));
      v128.store(s, madd(v128.load(s, 16), high<T>(a, w), x1), 16);
      v128.store(s, madd(v128.load(s, 32), low<T>(b), x2), 32);
      v128.store(s, madd(v128.load(s, 48), high<T>(b, w + 8 * sizeof<T>()), x3), 48);
    }
    offset += 16 * sizeof<T>();
  }
  for (let i = 0; i < count; i++) {
    const s = chains + (<usize>i << 6);
    const w = <usize>load<u32>(rowAddress(scratch, i)) + offset;
    const sum = finishDot<T>(v128.load(s), v128.load(s, 16), v128.load(s, 32), v128.load(s, 48), x, w, width & 15);
    store<f32>(rowSum(scratch, i), sum);
  }
}
