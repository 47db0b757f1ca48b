// simd.h in plain C++: four lanes, which compilers turn into whatever the processor has. The fallback, and the build
// that a debugger or a new architecture starts from. Multiply-add is two roundings: a fused one would be a library call.
#pragma once
#define RELUFY_ISA scalar

namespace relufy::scalar {

constexpr int lanes = 4;
struct Vec {
  float lane[lanes];
};
/** Rows of a step in one register tile of four outputs. */
constexpr int tileRows = 2;

#define RELUFY_LANES(expression)            \
  Vec out;                                  \
  for (int l = 0; l < lanes; l++) out.lane[l] = (expression); \
  return out

RELUFY_INLINE static Vec splat(float value) { RELUFY_LANES(value); }
RELUFY_INLINE static Vec zero() { return splat(0); }
template <class W>
RELUFY_INLINE static Vec load(const W* at) {
  RELUFY_LANES(widen(at[l]));
}
template <class W>
RELUFY_INLINE static Vec loadFirst(const W* at, int n) {
  RELUFY_LANES(l < n ? widen(at[l]) : 0);
}
RELUFY_INLINE static void store(float* at, Vec v) {
  for (int l = 0; l < lanes; l++) at[l] = v.lane[l];
}
RELUFY_INLINE static void storeFirst(float* at, Vec v, int n) {
  for (int l = 0; l < n; l++) at[l] = v.lane[l];
}

RELUFY_INLINE static Vec add(Vec a, Vec b) { RELUFY_LANES(a.lane[l] + b.lane[l]); }
RELUFY_INLINE static Vec sub(Vec a, Vec b) { RELUFY_LANES(a.lane[l] - b.lane[l]); }
RELUFY_INLINE static Vec mul(Vec a, Vec b) { RELUFY_LANES(a.lane[l] * b.lane[l]); }
RELUFY_INLINE static Vec div(Vec a, Vec b) { RELUFY_LANES(a.lane[l] / b.lane[l]); }
RELUFY_INLINE static Vec fma(Vec a, Vec b, Vec c) { RELUFY_LANES(c.lane[l] + a.lane[l] * b.lane[l]); }
RELUFY_INLINE static Vec max(Vec a, Vec b) { RELUFY_LANES(a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]); }
RELUFY_INLINE static Vec min(Vec a, Vec b) { RELUFY_LANES(a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l]); }
RELUFY_INLINE static Vec absolute(Vec a) { RELUFY_LANES(a.lane[l] < 0 ? -a.lane[l] : a.lane[l]); }

RELUFY_INLINE static float hsum(Vec v) { return (v.lane[0] + v.lane[2]) + (v.lane[1] + v.lane[3]); }
RELUFY_INLINE static float hmax(Vec v) {
  const float a = v.lane[0] > v.lane[2] ? v.lane[0] : v.lane[2];
  const float b = v.lane[1] > v.lane[3] ? v.lane[1] : v.lane[3];
  return a > b ? a : b;
}

RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) { RELUFY_LANES(a.lane[l] > b.lane[l] ? v.lane[l] : 0); }
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) { RELUFY_LANES(a.lane[l] != 0 ? v.lane[l] : 0); }
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) { RELUFY_LANES(x.lane[l] < 0 ? a.lane[l] : b.lane[l]); }
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) {
  uint32_t bits = 0;
  for (int l = 0; l < lanes; l++) bits |= (v.lane[l] != 0 ? 1u : 0u) << l;
  return bits;
}
RELUFY_INLINE static Vec pow2(Vec n) {
  Vec out;
  for (int l = 0; l < lanes; l++) {
    const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(n.lane[l]) + 127) << 23;
    memcpy(&out.lane[l], &bits, sizeof bits);
  }
  return out;
}

#undef RELUFY_LANES

}  // namespace relufy::scalar
