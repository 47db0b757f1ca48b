// agreeingSigns: how often the signs of a row and of a neuron's weights are the same (SparseInfer, arXiv 2411.12692).
//
//   p[r] = sign bits of x[r], packed as the weights' are;  out[r][n] = inWidth - popcount(signs[n] ^ p[r])
//
// Neurons are split across the threads, and every thread packs all rows, which takes as long as a few neurons: each neuron's
// bits are read once for all rows. Bits come 128 at a time; counts of bytes are added up while they fit in one.
import { AgreeingSigns } from './generated/ops';
import { floats, hsumIntegers, share, splat } from './simd';

/** Vectors whose counts, at most 8 a byte, add up to less than 256. */
const vectorsInBytes: usize = 31;

/** Bytes of a row's sign bits: whole vectors. */
@inline function signBytes(columns: i32): usize {
  return <usize>((columns + 127) >> 7) << 4;
}

/** The sign bits of a row, zeros after them. */
function pack(x: usize, columns: i32, to: usize): void {
  for (const end = to + signBytes(columns); to < end; to += 4) {
    let word: u32 = 0;
    const whole = min(columns, 32) & ~3;
    let c = 0;
    for (; c < whole; c += 4) word |= <u32>i32x4.bitmask(f32x4.lt(v128.load(x + floats(c)), splat(0))) << c;
    for (const last = min(columns, 32); c < last; c++) word |= <u32>(load<f32>(x + floats(c)) < 0) << c;
    store<u32>(to, word);
    x += 128;
    columns = max(columns - 32, 0);
  }
}

/** How many bits differ. */
function differing(a: usize, b: usize, bytes: usize): i32 {
  let sums = i32x4.splat(0);
  for (const end = a + bytes; a < end; ) {
    let counts = i8x16.splat(0);
    for (const stop = min(end, a + (vectorsInBytes << 4)); a < stop; a += 16, b += 16)
      counts = i8x16.add(counts, i8x16.popcnt(v128.xor(v128.load(a), v128.load(b))));
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(counts)));
  }
  return hsumIntegers(sums);
}

export function agreeingSignsScratch(op: usize, rows: i32): usize {
  return <usize>rows * signBytes(AgreeingSigns.inWidth(op));
}

export function agreeingSigns(op: usize, rows: i32, thread: i32, threads: i32, scratch: usize): void {
  const inWidth = AgreeingSigns.inWidth(op);
  const outWidth = AgreeingSigns.outWidth(op);
  const bytes = signBytes(inWidth);
  const last = share(outWidth, 16, thread + 1, threads);
  const first = share(outWidth, 16, thread, threads);
  if (first == last) return;
  for (let r = 0; r < rows; r++) pack(AgreeingSigns.x(op) + floats(r * inWidth), inWidth, scratch + <usize>r * bytes);
  for (let n = first; n < last; n++) {
    const signs = AgreeingSigns.signs(op) + <usize>n * bytes;
    for (let r = 0; r < rows; r++) {
      const agreeing = inWidth - differing(signs, scratch + <usize>r * bytes, bytes);
      store<f32>(AgreeingSigns.out(op) + floats(r * outWidth + n), <f32>agreeing);
    }
  }
}
