// simd.h for AVX2 and FMA: eight lanes, 16 registers.
#pragma once
#include <immintrin.h>
#define RELUFY_ISA avx2

namespace relufy::avx2 {

using Vec = __m256;
constexpr int lanes = 8;
/** Rows of a step in one register tile of four outputs: 12 sums, 1 weight, 3 inputs. */
constexpr int tileRows = 3;

/** Lane l is all ones for l < n. */
RELUFY_INLINE static __m256i first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RELUFY_INLINE static Vec fromBf16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

RELUFY_INLINE static Vec zero() { return _mm256_setzero_ps(); }
RELUFY_INLINE static Vec splat(float value) { return _mm256_set1_ps(value); }
RELUFY_INLINE static Vec load(const float* at) { return _mm256_loadu_ps(at); }
RELUFY_INLINE static Vec load(const bf16* at) {
  return fromBf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
RELUFY_INLINE static Vec loadFirst(const float* at, int n) { return _mm256_maskload_ps(at, first(n)); }
RELUFY_INLINE static Vec loadFirst(const bf16* at, int n) {
  bf16 some[lanes] = {};
  for (int i = 0; i < n; i++) some[i] = at[i];
  return load(some);
}
RELUFY_INLINE static void store(float* at, Vec v) { _mm256_storeu_ps(at, v); }
RELUFY_INLINE static void storeFirst(float* at, Vec v, int n) { _mm256_maskstore_ps(at, first(n), v); }

RELUFY_INLINE static Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
RELUFY_INLINE static Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
RELUFY_INLINE static Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
RELUFY_INLINE static Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
RELUFY_INLINE static Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
RELUFY_INLINE static Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
RELUFY_INLINE static Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
RELUFY_INLINE static Vec absolute(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

RELUFY_INLINE static float hsum(Vec v) {
  const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_add_ss(v2, _mm_movehdup_ps(v2)));
}
RELUFY_INLINE static float hmax(Vec v) {
  const __m128 v4 = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 v2 = _mm_max_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_max_ss(v2, _mm_movehdup_ps(v2)));
}

RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), v); }
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(a, zero(), _CMP_NEQ_UQ), v); }
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, zero(), _CMP_LT_OQ));
}
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v, zero(), _CMP_NEQ_UQ)));
}
RELUFY_INLINE static Vec pow2(Vec n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

}  // namespace relufy::avx2
