// The SIMD vocabulary that every kernel is written in: four f32 lanes, and weights of any format widened to them.
// A weight format is a type parameter: `f32`, `u16` for bf16 (the high half of an f32), `i16` for f16; blocks are
// block-format.ts. Owns no loops. Multiply and add are two roundings on every path, so that every path gives the same
// bits; in the build for relaxed SIMD they are one or two, as the engine likes, but everywhere the same.

@inline export function splat(value: f32): v128 {
  return f32x4.splat(value);
}

@inline export function madd(sum: v128, a: v128, b: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, sum);
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** The same for one number, rounded as `madd` rounds: a column has the same bits in a vector and alone. */
@inline export function madd1(sum: f32, a: f32, b: f32): f32 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.extract_lane(madd(splat(sum), splat(a), splat(b)), 0);
  return sum + a * b;
}

/** (l0 + l2) + (l1 + l3): the one horizontal sum. */
@inline export function hsum(v: v128): f32 {
  const pair = f32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 2, 3));
  return f32x4.extract_lane(pair, 0) + f32x4.extract_lane(pair, 1);
}

/** The sum of four integers. */
@inline export function hsumIntegers(v: v128): i32 {
  const pair = i32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 2, 3));
  return i32x4.extract_lane(pair, 0) + i32x4.extract_lane(pair, 1);
}

/** The largest lane. */
@inline export function hmax(v: v128): f32 {
  const pair = f32x4.pmax(v, v128.shuffle<u32>(v, v, 2, 3, 2, 3));
  return max(f32x4.extract_lane(pair, 0), f32x4.extract_lane(pair, 1));
}

/** Four f16 in the low halves of the lanes, widened: the bits moved into an f32, then scaled by what the biases differ. */
@inline function widenHalves(v: v128): v128 {
  const bits = i32x4.shl(v128.and(v, i32x4.splat(0x7fff)), 13);
  const scaled = f32x4.mul(bits, f32x4.splat(5192296858534827628530496329220096.0)); // 2^112
  const infinite = v128.and(i32x4.ge_s(bits, i32x4.splat(0x0f800000)), i32x4.splat(0x7f800000));
  return v128.or(v128.or(scaled, infinite), i32x4.shl(i32x4.shr_u(v, 15), 31));
}

/** The nearest f16, ties to even; what is too large becomes infinite. */
export function narrowToHalf(value: f32): u16 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return <u16>(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return <u16>(sign | 0x7c00);
  if (magnitude >= 0x38800000)
    return <u16>(sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13));
  // subnormal: adding 0.5 leaves units of 2^-24 in the low bits, rounded half to even
  return <u16>(sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + 0.5) - 0x3f000000));
}

// ---- weights: eight at a time. `loadRaw` reads 16 bytes; `low` and `high` give four f32 each (f32 reads 16 bytes more)

@inline export function loadRaw<T>(at: usize): v128 {
  return v128.load(at);
}

@inline export function low<T>(raw: v128): v128 {
  if (sizeof<T>() == 4) return raw;
  if (isSigned<T>()) return widenHalves(i32x4.extend_low_i16x8_u(raw));
  return v128.shuffle<u16>(i32x4.splat(0), raw, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline export function high<T>(raw: v128, at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at, 16);
  if (isSigned<T>()) return widenHalves(i32x4.extend_high_i16x8_u(raw));
  return v128.shuffle<u16>(i32x4.splat(0), raw, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Exactly four weights, without reading beyond them. */
@inline export function load4<T>(at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  if (isSigned<T>()) return widenHalves(v128.load_ext<u16>(at));
  return i32x4.shl(v128.load_ext<u16>(at), 16);
}

/** One weight. */
@inline export function load1<T>(at: usize): f32 {
  if (sizeof<T>() == 4) return load<f32>(at);
  if (isSigned<T>()) return f32x4.extract_lane(widenHalves(i32x4.splat(load<u16>(at))), 0);
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

/** Where a thread's share of `total` items begins when they are split in pieces of `unit`; its end is the next thread's begin. */
@inline export function share(total: i32, unit: i32, thread: i32, threads: i32): i32 {
  const units = <u32>(total + unit - 1) / <u32>unit;
  return min(total, <i32>(<u32>((<u64>units * <u64>thread) / <u64>threads) * <u32>unit));
}

/** The largest share that a thread may have. */
@inline export function largestShare(total: i32, unit: i32, threads: i32): i32 {
  const units = (total + unit - 1) / unit;
  return ((units + threads - 1) / threads) * unit;
}
