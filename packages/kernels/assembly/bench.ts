// Kernels that only measure: how fast the team reads memory. Not in the op table; their records are made by streaming.ts of
// @relufy/tensor.
//
//   streamRead: every thread reads its share of a buffer once, four vectors at a time, and stores their sum

/** Record: 1 buffer, in units; 2 its length, in units; 3 where the sums go, in units (a unit a thread). */
export const streamRead: i32 = 255;

export function stream(op: usize, thread: i32, threads: i32): void {
  const units = <u64>load<u32>(op, 8);
  let at = <usize>load<u32>(op, 4) << 6;
  const end = at + (<usize>(units * (thread + 1) / threads) << 6);
  at += <usize>(units * thread / threads) << 6;
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  for (; at < end; at += 64) {
    s0 = f32x4.add(s0, v128.load(at));
    s1 = f32x4.add(s1, v128.load(at, 16));
    s2 = f32x4.add(s2, v128.load(at, 32));
    s3 = f32x4.add(s3, v128.load(at, 48));
  }
  v128.store((<usize>load<u32>(op, 12) << 6) + (<usize>thread << 6), f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}
