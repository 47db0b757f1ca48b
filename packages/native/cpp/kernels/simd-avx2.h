// simd.h for AVX2 and FMA: eight lanes, 16 registers.
#pragma once
#include <immintrin.h>
#define RELUFY_ISA avx2

namespace relufy::avx2 {

using Vec = __m256;
constexpr int lanes = 8;
/** Rows of a step in one register tile of four outputs: 12 sums, 1 weight, 3 inputs. */
constexpr int tileRows = 3;
/** Rows in one register tile of a vector of outputs of a block format. */
constexpr int blockTileRows = 4;
/** Rows, and vectors of columns, of one register tile of outer products (outer.h): 12 sums, 2 columns, 1 row. */
constexpr int outerRows = 6;
constexpr int outerVectors = 2;

/** Lane l is all ones for l < n. */
/** Weight rows that one pass over x serves (gemv). */
constexpr int gemvBlock = 4;

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
RELUFY_INLINE static Vec squareRoot(Vec a) { return _mm256_sqrt_ps(a); }

RELUFY_INLINE static float hsum(Vec v) {
  const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_add_ss(v2, _mm_movehdup_ps(v2)));
}
RELUFY_INLINE static Vec hsums(const Vec* v, int stride) {
  // halves in pairs, quarters in pairs, ...: vector 2 i + b ends in part b, lane i
  const auto at = [&](int s) { return v[(s % 2 * 4 + s / 2) * stride]; };
  const auto halves = [&](int s) {
    const Vec a = at(s), b = at(s + 1);
    return _mm256_castps_pd(_mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
  };
  const auto pairs = [&](int s) {
    const __m256d e = halves(s), f = halves(s + 2);
    return _mm256_add_ps(
        _mm256_castpd_ps(_mm256_unpacklo_pd(e, f)), _mm256_castpd_ps(_mm256_unpackhi_pd(e, f)));
  };
  const Vec g = pairs(0), h = pairs(4);
  return _mm256_add_ps(_mm256_shuffle_ps(g, h, 0x88), _mm256_shuffle_ps(g, h, 0xdd));
}
RELUFY_INLINE static float hmax(Vec v) {
  const __m128 v4 = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 v2 = _mm_max_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_max_ss(v2, _mm_movehdup_ps(v2)));
}

RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), v); }
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(a, zero(), _CMP_NEQ_UQ), v); }
RELUFY_INLINE static Vec whereAtMost(Vec a, Vec b, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ), v); }
RELUFY_INLINE static Vec whereNotAtMost(Vec a, Vec b, Vec v) {
  return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ), v);
}
RELUFY_INLINE static Vec whereNotLess(Vec a, Vec b, Vec v) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_NLT_UQ), v); }
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, zero(), _CMP_LT_OQ));
}
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v, zero(), _CMP_NEQ_UQ)));
}
RELUFY_INLINE static Vec pow2(Vec n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

// ---- integers and block formats

using Int = __m256i;
/** Bytes are multiplied as |w| times x with w's sign, which never saturates; nothing is added to w. */
constexpr int int8BiasShift = -1;
constexpr int nibbleGroup = 2;

RELUFY_INLINE static Int loadBytes(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
RELUFY_INLINE static Int splatInt(int32_t value) { return _mm256_set1_epi32(value); }
RELUFY_INLINE static Int loadInt(const int32_t* at) { return loadBytes(at); }
RELUFY_INLINE static Int loadIntFirst(const int32_t* at, int n) { return _mm256_maskload_epi32(at, first(n)); }
RELUFY_INLINE static void storeInt(int32_t* at, Int v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v); }
RELUFY_INLINE static Int subInt(Int a, Int b) { return _mm256_sub_epi32(a, b); }
template <int bits>
RELUFY_INLINE static Int shiftLeft(Int v) {
  return _mm256_slli_epi32(v, bits);
}
RELUFY_INLINE static Vec toFloat(Int v) { return _mm256_cvtepi32_ps(v); }
RELUFY_INLINE static Int toInt(Vec v) { return _mm256_cvtps_epi32(v); }
RELUFY_INLINE static Vec loadHalf(const uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
RELUFY_INLINE static Vec loadHalfFirst(const uint16_t* at, int n) {
  uint16_t some[lanes] = {};
  for (int i = 0; i < n; i++) some[i] = at[i];
  return loadHalf(some);
}

/** Pairwise: in each 128-bit part [a0+a2, b0+b2, a1+a3, b1+b3]. */
RELUFY_INLINE static Int addPairs(Int a, Int b) {
  return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}
/** Of two results of addPairs: in each 128-bit part the whole sums of its four sources. */
RELUFY_INLINE static Int addHalves(Int a, Int b) {
  return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}
RELUFY_INLINE static Int signedProducts(Int w, Int x) {
  return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
RELUFY_INLINE static Int widenPairs(Int products) { return _mm256_madd_epi16(products, _mm256_set1_epi16(1)); }

/** Dots of 8 (or the first n) blocks of 32 bytes. */
template <bool whole>
RELUFY_INLINE static Int dotsInt8(const int8_t* w, const int8_t* x, int n) {
  Int v[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    v[i] = whole || i < n ? widenPairs(signedProducts(loadBytes(w + 32 * i), loadBytes(x + 32 * i)))
                          : _mm256_setzero_si256();
  const Int a = addHalves(addPairs(v[0], v[1]), addPairs(v[2], v[3]));
  const Int b = addHalves(addPairs(v[4], v[5]), addPairs(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/** Dots of 8 (or the first n) blocks of 16 bytes, of the nibbles as they are; x in groups of two blocks (prepareX). */
template <bool whole>
RELUFY_INLINE static Int dotsNibbles(const uint8_t* w, const int8_t* x, int n) {
  const Int low = _mm256_set1_epi8(15);
  Int v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const int left = n - 2 * i;
    v[i] = _mm256_setzero_si256();
    if (!whole && left <= 0) continue;
    const Int wi = whole || left > 1
                       ? loadBytes(w + 32 * i)
                       : _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 32 * i)));
    const Int p0 = _mm256_maddubs_epi16(_mm256_and_si256(wi, low), loadBytes(x + 64 * i));
    const Int p1 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(wi, 4), low), loadBytes(x + 64 * i + 32));
    v[i] = widenPairs(_mm256_add_epi16(p0, p1));
  }
  const Int sums = addHalves(addPairs(v[0], v[1]), addPairs(v[2], v[3]));
  return _mm256_permutevar8x32_epi32(sums, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/** Units of 128 codes of two bits that a vector takes (two-bits.h). */
constexpr int codeUnits = 1;
/** The sum of codes times x. Four products of at most 3 * 128 in pairs fit 16 bits. */
RELUFY_INLINE static int32_t dotCodes(const uint8_t* codes, const int8_t* x, int units) {
  const Int low = _mm256_set1_epi8(3);
  Int sum = _mm256_setzero_si256();
  for (int u = 0; u < units; u++) {
    const Int c = loadBytes(codes + 32 * u);
    const int8_t* at = x + 128 * u;
    const Int p0 = _mm256_maddubs_epi16(_mm256_and_si256(c, low), loadBytes(at));
    const Int p1 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(c, 2), low), loadBytes(at + 32));
    const Int p2 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(c, 4), low), loadBytes(at + 64));
    const Int p3 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(c, 6), low), loadBytes(at + 96));
    sum = _mm256_add_epi32(sum, widenPairs(_mm256_add_epi16(_mm256_add_epi16(p0, p1), _mm256_add_epi16(p2, p3))));
  }
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

/** out[j] lane l = 32-bit word j of the 16 bytes at rows[l] + offset. */
RELUFY_INLINE static void transposeRows(const char* const* rows, size_t offset, Int* out) {
  Int a[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const auto part = [&](int m) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * m + i] + offset)); };
    a[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
  }
  const Int b[4] = {
      _mm256_unpacklo_epi32(a[0], a[1]), _mm256_unpacklo_epi32(a[2], a[3]), _mm256_unpackhi_epi32(a[0], a[1]),
      _mm256_unpackhi_epi32(a[2], a[3])};
  out[0] = _mm256_unpacklo_epi64(b[0], b[1]);
  out[1] = _mm256_unpackhi_epi64(b[0], b[1]);
  out[2] = _mm256_unpacklo_epi64(b[2], b[3]);
  out[3] = _mm256_unpackhi_epi64(b[2], b[3]);
}
/** f16 in the low half of each lane. */
RELUFY_INLINE static Vec fromHalves(Int v) {
  const Int low = _mm256_and_si256(v, splatInt(0xffff));
  return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
RELUFY_INLINE static Int highHalves(Int v) { return _mm256_srli_epi32(v, 16); }
RELUFY_INLINE static Int flipBytes(Int v, int bits) { return _mm256_xor_si256(v, _mm256_set1_epi8(static_cast<char>(bits))); }
RELUFY_INLINE static Int lowNibbles(Int v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
RELUFY_INLINE static Int highNibbles(Int v) { return lowNibbles(_mm256_srli_epi16(v, 4)); }

/** acc + the four byte products of each lane: panel holds 4 weights (biased as in dots) a lane, x the same 4 for all. */
template <class F>
RELUFY_INLINE static Int maddPanel(Int acc, const uint8_t* panel, int32_t x) {
  const Int w = loadBytes(panel);
  const Int x4 = splatInt(x);
  const Int products = F::blockBytes == 32 ? signedProducts(w, x4) : _mm256_maddubs_epi16(w, x4);
  return _mm256_add_epi32(acc, widenPairs(products));
}

/** The 32 numbers of a block, without scale. */
RELUFY_INLINE static void loadInt8Block(const char* at, Vec* q) {
  for (int i = 0; i < 4; i++)
    q[i] = toFloat(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at + 8 * i))));
}
constexpr float highNibbleScale = 1;
template <int bias>
RELUFY_INLINE static void loadNibbles(const char* at, Vec* q) {
  for (int i = 0; i < 2; i++) {
    const Int bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at + 8 * i)));
    q[i] = sub(toFloat(_mm256_and_si256(bytes, splatInt(15))), splat(bias));
    q[i + 2] = sub(toFloat(_mm256_srli_epi32(bytes, 4)), splat(bias));
  }
}

}  // namespace relufy::avx2
