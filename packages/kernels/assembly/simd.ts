// The SIMD vocabulary that every kernel is written in: four f32 lanes, and weights of any format widened to them.
// A weight format is a type parameter: `f32`, or `u16` for bf16 (the high half of an f32). A new format, or fused
// multiply-add where an engine has relaxed SIMD, is a change here and nowhere else.
// Owns no loops. Multiply and add are two roundings on every path, so that every path gives the same bits.

@inline export function splat(value: f32): v128 {
  return f32x4.splat(value);
}

@inline export function madd(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** (l0 + l2) + (l1 + l3): the one horizontal sum. */
@inline export function hsum(v: v128): f32 {
  const pair = f32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 2, 3));
  return f32x4.extract_lane(pair, 0) + f32x4.extract_lane(pair, 1);
}

/** The largest lane. */
@inline export function hmax(v: v128): f32 {
  const pair = f32x4.pmax(v, v128.shuffle<u32>(v, v, 2, 3, 2, 3));
  return max(f32x4.extract_lane(pair, 0), f32x4.extract_lane(pair, 1));
}

// ---- weights: eight at a time. `loadRaw` reads 16 bytes; `low` and `high` give four f32 each (f32 reads 16 bytes more)

@inline export function loadRaw<T>(at: usize): v128 {
  return v128.load(at);
}

@inline export function low<T>(raw: v128): v128 {
  if (sizeof<T>() == 4) return raw;
  return v128.shuffle<u16>(i32x4.splat(0), raw, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline export function high<T>(raw: v128, at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at, 16);
  return v128.shuffle<u16>(i32x4.splat(0), raw, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Exactly four weights, without reading beyond them. */
@inline export function load4<T>(at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  return i32x4.shl(v128.load_ext<u16>(at), 16);
}

/** One weight. */
@inline export function load1<T>(at: usize): f32 {
  if (sizeof<T>() == 4) return load<f32>(at);
  return reinterpret<f32>(<u32>load<u16>(at) << 16);
}

/** Bytes of `count` weights. */
@inline export function bytesOf<T>(count: i32): usize {
  return <usize>count * sizeof<T>();
}

/** Bytes of `count` f32. */
@inline export function floats(count: i32): usize {
  return <usize>count << 2;
}

// ---- a thread's share

/** Where a thread's share of `total` items begins when they are dealt in pieces of `unit`; its end is the next thread's begin. */
@inline export function share(total: i32, unit: i32, thread: i32, threads: i32): i32 {
  const units = <u32>(total + unit - 1) / <u32>unit;
  return min(total, <i32>(<u32>((<u64>units * <u64>thread) / <u64>threads) * <u32>unit));
}
