// Elementary functions lane by lane: exp, sigmoid, the normal distribution; and ln of one number in f64.
// Owns approximations only. Every lane is computed alike, so a value has the same bits wherever it stands.
#pragma once
#include <limits>

#include "simd.h"

namespace relufy::RELUFY_ISA {

/**
 * exp(x) = 2^n * exp(r), r = x - n ln 2, |r| <= ln 2 / 2; exp(r) by a polynomial of degree 6 (Cephes expf).
 * Relative error <= 1.1e-7 while the result is a normal number. Scaling by 2^n in two halves lets it overflow to
 * infinity and underflow to zero as it should. NaN stays NaN.
 */
RELUFY_INLINE static Vec exp(Vec x) {
  const Vec rounder = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const Vec bounded = min(splat(89.0f), max(splat(-105.0f), x));
  const Vec n = sub(fma(bounded, splat(1.44269504088896341f), rounder), rounder);
  Vec r = fma(n, splat(-0.693359375f), bounded);
  r = fma(n, splat(2.12194440e-4f), r);
  Vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = add(fma(p, mul(r, r), r), splat(1.0f));
  const Vec half = sub(fma(n, splat(0.5f), rounder), rounder);
  return mul(mul(p, pow2(half)), pow2(sub(n, half)));
}

/** 1 / (1 + exp(-x)) */
RELUFY_INLINE static Vec sigmoid(Vec x) { return div(splat(1.0f), add(splat(1.0f), exp(sub(zero(), x)))); }

/**
 * Phi(x), the normal distribution function, by its upper tail: 1/2 erfc(z) = exp(-z^2) t P(t), z = |x| / sqrt 2,
 * t = 1 / (1 + 0.35 z). P is the polynomial through the Chebyshev nodes of [0, 10] in t: relative error 1e-8 before
 * rounding. Absolute error <= 1e-7; and small results are good relatively, as 1 + erf(x) would not be.
 */
RELUFY_INLINE static Vec normalCdf(Vec x) {
  const Vec z = mul(absolute(x), splat(0.70710678118654752f));
  const Vec t = div(splat(1.0f), fma(splat(0.35f), z, splat(1.0f)));
  Vec p = splat(0.03665472939610481f);
  p = fma(p, t, splat(-0.14954353868961334f));
  p = fma(p, t, splat(0.15964122116565704f));
  p = fma(p, t, splat(0.0010456134332343936f));
  p = fma(p, t, splat(0.0634051114320755f));
  p = fma(p, t, splat(0.15855468809604645f));
  p = fma(p, t, splat(0.14691577851772308f));
  p = fma(p, t, splat(0.18880639970302582f));
  p = fma(p, t, splat(0.19703073799610138f));
  p = fma(p, t, splat(0.19748926162719727f));
  const Vec e = exp(sub(zero(), mul(z, z)));
  const Vec tail = mul(mul(e, t), mul(p, splat(0.5f)));
  return chooseNegative(x, tail, sub(splat(1.0f), tail));
}

/**
 * ln(x) for normal x > 0: x = 2^e m, m near 1; ln m = 2 atanh((m - 1) / (m + 1)) by its series. Error <= 1e-14.
 * NaN and infinity stay what they are.
 */
static inline double ln(double x) {
  if (!(x <= std::numeric_limits<double>::max())) return x;
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int e = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  memcpy(&m, &bits, sizeof m);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  const double z = (m - 1) / (m + 1);
  const double s = z * z;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * s + 1.0 / k;
  return 2 * z * sum + e * 0.6931471805599453;
}

}  // namespace relufy::RELUFY_ISA
