// simd.h for NEON on 64-bit ARM: four lanes, 32 registers.
#pragma once
#include <arm_neon.h>
#define RELUFY_ISA neon

namespace relufy::neon {

using Vec = float32x4_t;
constexpr int lanes = 4;
/** Rows of a step in one register tile of four outputs: 20 sums, 4 weights, 5 inputs. */
constexpr int tileRows = 5;

RELUFY_INLINE static Vec zero() { return vdupq_n_f32(0); }
RELUFY_INLINE static Vec splat(float value) { return vdupq_n_f32(value); }
RELUFY_INLINE static Vec load(const float* at) { return vld1q_f32(at); }
RELUFY_INLINE static Vec load(const bf16* at) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(at)), 16));
}
template <class W>
RELUFY_INLINE static Vec loadFirst(const W* at, int n) {
  float some[lanes] = {};
  for (int i = 0; i < n; i++) some[i] = widen(at[i]);
  return load(some);
}
RELUFY_INLINE static void store(float* at, Vec v) { vst1q_f32(at, v); }
RELUFY_INLINE static void storeFirst(float* at, Vec v, int n) {
  float some[lanes];
  store(some, v);
  for (int i = 0; i < n; i++) at[i] = some[i];
}

RELUFY_INLINE static Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
RELUFY_INLINE static Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
RELUFY_INLINE static Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
RELUFY_INLINE static Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
RELUFY_INLINE static Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
RELUFY_INLINE static Vec max(Vec a, Vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
RELUFY_INLINE static Vec min(Vec a, Vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
RELUFY_INLINE static Vec absolute(Vec a) { return vabsq_f32(a); }

RELUFY_INLINE static float hsum(Vec v) {
  const float32x2_t pair = vadd_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}
RELUFY_INLINE static float hmax(Vec v) { return vmaxvq_f32(v); }

RELUFY_INLINE static Vec keep(uint32x4_t mask, Vec v) {
  return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(v)));
}
RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) { return keep(vcgtq_f32(a, b), v); }
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) { return keep(vmvnq_u32(vceqzq_f32(a)), v); }
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) { return vbslq_f32(vcltzq_f32(x), a, b); }
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) {
  const uint32_t bits[lanes] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vmvnq_u32(vceqzq_f32(v)), vld1q_u32(bits)));
}
RELUFY_INLINE static Vec pow2(Vec n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}

}  // namespace relufy::neon
