// Elementary functions over four lanes: exp, sigmoid, tanh, the normal distribution; and the logarithm of one number in f64.
// Owns approximations only. Every lane is computed alike, so a value has the same bits wherever it stands.

const log2e: f32 = 1.44269504088896341;
const ln2High: f32 = 0.693359375; // few bits, so n * ln2High is exact
const ln2Low: f32 = -2.12194440e-4;
const rounder: f32 = 12582912; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits

/** 2^n for integers -127 < n < 128, from n as an i32. */
@inline function power2(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/**
 * exp(x) = 2^n * exp(r), r = x - n ln 2, |r| <= ln 2 / 2; exp(r) by a polynomial of degree 6 (Cephes expf).
 * Relative error <= 1.1e-7 while the result is a normal number. Scaling by 2^n in two halves lets it overflow to
 * infinity and underflow to zero as it should. NaN stays NaN.
 */
@inline export function exp(x: v128): v128 {
  const bounded = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-105)), f32x4.splat(89));
  const shifted = f32x4.add(f32x4.mul(bounded, f32x4.splat(log2e)), f32x4.splat(rounder));
  const whole = f32x4.sub(shifted, f32x4.splat(rounder));
  const n = i32x4.sub(shifted, i32x4.splat(0x4b400000));
  let r = f32x4.sub(bounded, f32x4.mul(whole, f32x4.splat(ln2High)));
  r = f32x4.sub(r, f32x4.mul(whole, f32x4.splat(ln2Low)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
  const half = i32x4.shr_s(n, 1);
  return f32x4.mul(f32x4.mul(p, power2(half)), power2(i32x4.sub(n, half)));
}

/** 1 / (1 + exp(-x)) */
@inline export function sigmoid(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp(f32x4.neg(x))));
}

/** tanh(x): an odd polynomial on |x| < 0.625 (Cephes tanhf), beyond it 1 - 2 / (1 + exp(2|x|)). Relative error <= 2e-7. */
@inline export function tanh(x: v128): v128 {
  const z = f32x4.mul(x, x);
  let p = f32x4.splat(-5.70498872745e-3);
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(2.06390887954e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-5.37397155531e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.33314422036e-1));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-3.33332819422e-1));
  const small = f32x4.add(x, f32x4.mul(f32x4.mul(p, z), x));
  const size = f32x4.abs(x);
  const e = exp(f32x4.add(size, size));
  const large = f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), f32x4.add(f32x4.splat(1), e)));
  const signed = v128.bitselect(x, large, i32x4.splat(0x80000000));
  return v128.bitselect(small, signed, f32x4.lt(size, f32x4.splat(0.625)));
}

/**
 * Phi(x), the normal distribution function, by its upper tail: 1/2 erfc(z) = exp(-z^2) t P(t), z = |x| / sqrt 2,
 * t = 1 / (1 + 0.35 z). P is the polynomial through the Chebyshev nodes of [0, 10] in t: relative error 1e-8 before
 * rounding. Absolute error <= 1e-7; and small results are good relatively, as 1 + erf(x) would not be.
 */
@inline export function normalCdf(x: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.70710678118654752));
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.35), z)));
  let p = f32x4.splat(0.03665472939610481);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.14954353868961334));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.15964122116565704));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.0010456134332343936));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.0634051114320755));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.15855468809604645));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.14691577851772308));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.18880639970302582));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.19703073799610138));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.19748926162719727));
  const e = exp(f32x4.neg(f32x4.mul(z, z)));
  const tail = f32x4.mul(f32x4.mul(e, t), f32x4.mul(p, f32x4.splat(0.5)));
  return v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), f32x4.lt(x, f32x4.splat(0)));
}

/**
 * ln(x) for normal x > 0: x = 2^e m, m near 1; ln m = 2 atanh((m - 1) / (m + 1)) by its series. Error <= 1e-14.
 * NaN and infinity stay what they are.
 */
export function log(x: f64): f64 {
  if (!(x <= f64.MAX_VALUE)) return x;
  const bits = reinterpret<u64>(x);
  let e = <i32>(bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e += 1;
  }
  const z = (m - 1) / (m + 1);
  const s = z * z;
  let sum: f64 = 0;
  for (let k = 21; k >= 1; k -= 2) sum = sum * s + 1 / <f64>k;
  return 2 * z * sum + <f64>e * 0.6931471805599453;
}
