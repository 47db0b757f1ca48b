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
/** Rows in one register tile of a vector of outputs of a block format. */
constexpr int blockTileRows = 12;
/** Rows, and vectors of columns, of one register tile of outer products (outer.h): 24 sums, 2 columns, 1 row. */
constexpr int outerRows = 12;
constexpr int outerVectors = 2;

/** Weight rows that one pass over x serves (gemv). */
constexpr int gemvBlock = 1;

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
RELUFY_INLINE static Vec squareRoot(Vec a) { return _mm512_sqrt_ps(a); }

RELUFY_INLINE static float hsum(Vec v) {
  const __m256 v8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
  const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
  return _mm_cvtss_f32(_mm_add_ss(v2, _mm_movehdup_ps(v2)));
}
RELUFY_INLINE static Vec hsums(const Vec* v, int stride) {
  // 16 halves in pairs, 8 quarters in pairs, ...: vector 4 i + b ends in part b, lane i
  const auto at = [&](int s) { return v[(s % 4 * 4 + s / 4) * stride]; };
  const auto quarters = [&](int s) {
    const Vec a = at(s), b = at(s + 1), c = at(s + 2), d = at(s + 3);
    const Vec ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const Vec cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  };
  const auto pairs = [&](int s) {
    const __m512d e = _mm512_castps_pd(quarters(s));
    const __m512d f = _mm512_castps_pd(quarters(s + 4));
    return _mm512_add_ps(
        _mm512_castpd_ps(_mm512_unpacklo_pd(e, f)), _mm512_castpd_ps(_mm512_unpackhi_pd(e, f)));
  };
  const Vec g = pairs(0), h = pairs(8);
  return _mm512_add_ps(_mm512_shuffle_ps(g, h, 0x88), _mm512_shuffle_ps(g, h, 0xdd));
}
RELUFY_INLINE static float hmax(Vec v) { return _mm512_reduce_max_ps(v); }

RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), v);
}
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, zero(), _CMP_NEQ_UQ), v);
}
RELUFY_INLINE static Vec whereAtMost(Vec a, Vec b, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), v);
}
RELUFY_INLINE static Vec whereNotAtMost(Vec a, Vec b, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ), v);
}
RELUFY_INLINE static Vec whereNotLess(Vec a, Vec b, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), v);
}
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) {
  return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, zero(), _CMP_LT_OQ), a);
}
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) { return _mm512_cmp_ps_mask(v, zero(), _CMP_NEQ_UQ); }
RELUFY_INLINE static Vec pow2(Vec n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

// ---- integers and block formats

using Int = __m512i;
/** Compressed in a register: a store that compresses is slow on Zen 4. */
RELUFY_INLINE static int storePlaces(int32_t* at, uint32_t bits, int from) {
  const int n = __builtin_popcount(bits);
  const Int places = _mm512_add_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(from));
  _mm512_mask_storeu_epi32(at, first(n), _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), places));
  return n;
}
/** VNNI multiplies unsigned by signed bytes: weights + 128. */
constexpr int int8BiasShift = 7;
constexpr int nibbleGroup = 4;

RELUFY_INLINE static Int splatInt(int32_t value) { return _mm512_set1_epi32(value); }
RELUFY_INLINE static Int loadInt(const int32_t* at) { return _mm512_loadu_si512(at); }
RELUFY_INLINE static Int loadIntFirst(const int32_t* at, int n) { return _mm512_maskz_loadu_epi32(first(n), at); }
RELUFY_INLINE static void storeInt(int32_t* at, Int v) { _mm512_storeu_si512(at, v); }
RELUFY_INLINE static Int subInt(Int a, Int b) { return _mm512_sub_epi32(a, b); }
template <int bits>
RELUFY_INLINE static Int shiftLeft(Int v) {
  return _mm512_slli_epi32(v, bits);
}
RELUFY_INLINE static Vec toFloat(Int v) { return _mm512_cvtepi32_ps(v); }
RELUFY_INLINE static Int toInt(Vec v) { return _mm512_cvtps_epi32(v); }
RELUFY_INLINE static Vec loadHalf(const uint16_t* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}
RELUFY_INLINE static Vec loadHalfFirst(const uint16_t* at, int n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), at));
}

/** Pairwise: in each 128-bit part [a0+a2, b0+b2, a1+a3, b1+b3]. */
RELUFY_INLINE static Int addPairs(Int a, Int b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
/** Of two results of addPairs: in each 128-bit part the whole sums of its four sources. */
RELUFY_INLINE static Int addHalves(Int a, Int b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/** Dots of 16 (or the first n) blocks of 32 bytes, with weights + 128. A row's end takes as long as the blocks that it has. */
template <bool whole>
RELUFY_INLINE static Int dotsInt8(const int8_t* w, const int8_t* x, int n) {
  const Int bias = _mm512_set1_epi8(-128);
  // two blocks a vector, eight lanes each
  const auto two = [&](int i) {
    const int left = n - 2 * i;
    if (!whole && left <= 0) return _mm512_setzero_si512();
    const __mmask8 mask = whole || left > 1 ? 0xff : 0x0f;
    const Int wi = whole ? _mm512_loadu_si512(w + 64 * i) : _mm512_maskz_loadu_epi64(mask, w + 64 * i);
    const Int xi = whole ? _mm512_loadu_si512(x + 64 * i) : _mm512_maskz_loadu_epi64(mask, x + 64 * i);
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(wi, bias), xi);
  };
  const Int order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  const Int none = _mm512_setzero_si512();
  const bool isShort = !whole && n <= 4;
  const Int a = isShort ? addHalves(addPairs(two(0), two(1)), none)
                        : addHalves(addPairs(two(0), two(1)), addPairs(two(2), two(3)));
  const Int b = isShort || (!whole && n <= 8) ? none : addHalves(addPairs(two(4), two(5)), addPairs(two(6), two(7)));
  // 128-bit parts: even block low, high, odd block low, high
  const Int sums = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
  return _mm512_permutexvar_epi32(order, sums);
}

/** Dots of 16 (or the first n) blocks of 16 bytes, of the nibbles as they are; x in groups of four blocks (prepareX). */
template <bool whole>
RELUFY_INLINE static Int dotsNibbles(const uint8_t* w, const int8_t* x, int n) {
  const Int low = _mm512_set1_epi8(15);
  // four blocks a vector, four lanes each
  const auto four = [&](int i) {
    const int left = n - 4 * i;
    if (!whole && left <= 0) return _mm512_setzero_si512();
    const __mmask8 mask = static_cast<__mmask8>(whole || left >= 4 ? 0xff : (1 << 2 * left) - 1);
    const Int wi = whole ? _mm512_loadu_si512(w + 64 * i) : _mm512_maskz_loadu_epi64(mask, w + 64 * i);
    const Int x0 = whole ? _mm512_loadu_si512(x + 128 * i) : _mm512_maskz_loadu_epi64(mask, x + 128 * i);
    const Int x1 = whole ? _mm512_loadu_si512(x + 128 * i + 64) : _mm512_maskz_loadu_epi64(mask, x + 128 * i + 64);
    const Int half = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_and_si512(wi, low), x0);
    return _mm512_dpbusd_epi32(half, _mm512_and_si512(_mm512_srli_epi16(wi, 4), low), x1);
  };
  const Int none = _mm512_setzero_si512();
  const Int sums = !whole && n <= 4 ? addHalves(addPairs(four(0), none), none)
                                    : addHalves(addPairs(four(0), four(1)), addPairs(four(2), four(3)));
  const Int order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, sums);
}

/** Units of 128 codes of two bits that a vector takes (two-bits.h). */
constexpr int codeUnits = 2;
/** The sum of codes times x. */
RELUFY_INLINE static int32_t dotCodes(const uint8_t* codes, const int8_t* x, int units) {
  const Int low = _mm512_set1_epi8(3);
  Int sum[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++) sum[k] = _mm512_setzero_si512();
  const auto add = [&](Int c, const int8_t* at) {
    sum[0] = _mm512_dpbusd_epi32(sum[0], _mm512_and_si512(c, low), _mm512_loadu_si512(at));
    sum[1] = _mm512_dpbusd_epi32(sum[1], _mm512_and_si512(_mm512_srli_epi16(c, 2), low), _mm512_loadu_si512(at + 64));
    sum[2] = _mm512_dpbusd_epi32(sum[2], _mm512_and_si512(_mm512_srli_epi16(c, 4), low), _mm512_loadu_si512(at + 128));
    sum[3] = _mm512_dpbusd_epi32(sum[3], _mm512_and_si512(_mm512_srli_epi16(c, 6), low), _mm512_loadu_si512(at + 192));
  };
  int u = 0;
  for (; u + 2 <= units; u += 2) add(_mm512_loadu_si512(codes + 32 * u), x + 128 * u);
  if (u < units) add(_mm512_maskz_loadu_epi64(0x0f, codes + 32 * u), x + 128 * u);
  return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(sum[2], sum[3])));
}

/** out[j] lane l = 32-bit word j of the 16 bytes at rows[l] + offset. */
RELUFY_INLINE static void transposeRows(const char* const* rows, size_t offset, Int* out) {
  Int a[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    // 128-bit part m: row 4 m + i
    const auto part = [&](int m) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * m + i] + offset)); };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(part(2)), part(3), 1);
    a[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  const Int b[4] = {
      _mm512_unpacklo_epi32(a[0], a[1]), _mm512_unpacklo_epi32(a[2], a[3]), _mm512_unpackhi_epi32(a[0], a[1]),
      _mm512_unpackhi_epi32(a[2], a[3])};
  out[0] = _mm512_unpacklo_epi64(b[0], b[1]);
  out[1] = _mm512_unpackhi_epi64(b[0], b[1]);
  out[2] = _mm512_unpacklo_epi64(b[2], b[3]);
  out[3] = _mm512_unpackhi_epi64(b[2], b[3]);
}
/** f16 in the low half of each lane. */
RELUFY_INLINE static Vec fromHalves(Int v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
RELUFY_INLINE static Int highHalves(Int v) { return _mm512_srli_epi32(v, 16); }
RELUFY_INLINE static Int flipBytes(Int v, int bits) { return _mm512_xor_si512(v, _mm512_set1_epi8(static_cast<char>(bits))); }
RELUFY_INLINE static Int lowNibbles(Int v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
RELUFY_INLINE static Int highNibbles(Int v) { return lowNibbles(_mm512_srli_epi16(v, 4)); }

/** acc + the four byte products of each lane: panel holds 4 weights (biased as in dots) a lane, x the same 4 for all. */
template <class F>
RELUFY_INLINE static Int maddPanel(Int acc, const uint8_t* panel, int32_t x) {
  return _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(panel), _mm512_set1_epi32(x));
}

/** The 32 numbers of a block, without scale. */
RELUFY_INLINE static void loadInt8Block(const char* at, Vec* q) {
  for (int i = 0; i < 2; i++)
    q[i] = toFloat(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16 * i))));
}
/**
 * The high nibbles come out times 16, which their coefficients undo exactly (highNibbleScale). Two ways of widening, so that
 * no one kind of execution port binds: a table lookup, which takes the low four bits of each lane and so masks, subtracts
 * the bias and converts at once; and bits put into the fraction of 2^23 (both by lookup: 13.2 GB/s in cache, so: 16.0).
 */
constexpr float highNibbleScale = 0.0625f;
template <int bias>
RELUFY_INLINE static void loadNibbles(const char* at, Vec* q) {
  const Vec table = sub(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), splat(bias));
  const Int bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  q[0] = _mm512_permutexvar_ps(bytes, table);
  const Int high = _mm512_ternarylogic_epi32(bytes, splatInt(0xf0), splatInt(0x4b000000), 0xea);  // (a & b) | c
  q[1] = sub(_mm512_castsi512_ps(high), splat(8388608.0f + 16.0f * bias));
}

}  // namespace relufy::avx512
