// simd.h for AVX-512 (F, BW, DQ, VL): sixteen lanes, 32 registers, masks for tails.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own header trips over its idea of an undefined register (GCC bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#define RELUFY_ISA avx512

namespace relufy::avx512 {

using Vec = __m512;
constexpr int lanes = 16;
/** Rows of a step in one register tile of four outputs: 24 sums, 4 weights, 1 input. */
constexpr int tileRows = 6;

RELUFY_INLINE static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
RELUFY_INLINE static Vec fromBf16(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

RELUFY_INLINE static Vec zero() { return _mm512_setzero_ps(); }
RELUFY_INLINE static Vec splat(float value) { return _mm512_set1_ps(value); }
RELUFY_INLINE static Vec load(const float* at) { return _mm512_loadu_ps(at); }
RELUFY_INLINE static Vec load(const bf16* at) {
  return fromBf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}
RELUFY_INLINE static Vec loadFirst(const float* at, int n) { return _mm512_maskz_loadu_ps(first(n), at); }
RELUFY_INLINE static Vec loadFirst(const bf16* at, int n) { return fromBf16(_mm256_maskz_loadu_epi16(first(n), at)); }
RELUFY_INLINE static void store(float* at, Vec v) { _mm512_storeu_ps(at, v); }
RELUFY_INLINE static void storeFirst(float* at, Vec v, int n) { _mm512_mask_storeu_ps(at, first(n), v); }

RELUFY_INLINE static Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
RELUFY_INLINE static Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
RELUFY_INLINE static Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
RELUFY_INLINE static Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
RELUFY_INLINE static Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
RELUFY_INLINE static Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
RELUFY_INLINE static Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
RELUFY_INLINE static Vec absolute(Vec a) { return _mm512_abs_ps(a); }

RELUFY_INLINE static float hsum(Vec v) {
  const __m256 v8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
  const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_add_ss(v2, _mm_movehdup_ps(v2)));
}
RELUFY_INLINE static float hmax(Vec v) { return _mm512_reduce_max_ps(v); }

RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), v);
}
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, zero(), _CMP_NEQ_UQ), v);
}
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) {
  return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, zero(), _CMP_LT_OQ), a);
}
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) { return _mm512_cmp_ps_mask(v, zero(), _CMP_NEQ_UQ); }
RELUFY_INLINE static Vec pow2(Vec n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

}  // namespace relufy::avx512
