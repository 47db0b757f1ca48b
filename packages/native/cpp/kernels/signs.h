// agreeingSigns: how often the signs of a row and of a neuron's weights are the same (SparseInfer, arXiv 2411.12692).
//
//   p[r] = sign bits of x[r], packed as the weights' are;  out[r][n] = inWidth - popcount(signs[n] ^ p[r])
//
// Neurons are split across the threads, and every thread packs all rows, which takes as long as a few neurons: each neuron's
// bits are read once for all rows. Bits are counted 64 at a time, or 512 where the processor has VPOPCNTDQ, which the AVX-512
// that simd.h asks for does not say: it is looked for once.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

/** 64-bit words of a row's sign bits: an even number. */
RELUFY_INLINE static int signWords(int columns) { return (columns + 127) / 128 * 2; }

/** The sign bits of a row, zeros after them. */
static inline void packSigns(const float* x, int columns, uint64_t* to) {
  for (int word = 0; word < signWords(columns); word++) {
    uint64_t bits = 0;
    const int last = least(64, columns - 64 * word);
    for (int c = 0; c < last; c += lanes) {
      const Vec v = take(x + 64 * word + c, least(lanes, last - c));
      bits |= static_cast<uint64_t>(nonZeroBits(chooseNegative(v, splat(1), zero()))) << c;
    }
    to[word] = bits;
  }
}

/** What a thread counts: neurons [first, last), all rows. */
struct SignRange {
  const uint64_t* signs;
  const uint64_t* packed;
  float* out;
  int rows, words, inWidth, outWidth, first, last;
};

RELUFY_LOOP void countAgreeing(const SignRange& s) {
  for (int n = s.first; n < s.last; n++)
    for (int r = 0; r < s.rows; r++) {
      const uint64_t* a = row(s.signs, n, s.words);
      const uint64_t* b = row(s.packed, r, s.words);
      int even = 0, odd = 0;
      for (int i = 0; i < s.words; i += 2) {
        even += __builtin_popcountll(a[i] ^ b[i]);
        odd += __builtin_popcountll(a[i + 1] ^ b[i + 1]);
      }
      row(s.out, r, s.outWidth)[n] = static_cast<float>(s.inWidth - even - odd);
    }
}

#if defined(RELUFY_ISA_AVX512)
__attribute__((target("avx512vpopcntdq"))) RELUFY_LOOP void countAgreeingWide(const SignRange& s) {
  for (int n = s.first; n < s.last; n++)
    for (int r = 0; r < s.rows; r++) {
      const uint64_t* a = row(s.signs, n, s.words);
      const uint64_t* b = row(s.packed, r, s.words);
      __m512i sum = _mm512_setzero_si512();
      int i = 0;
      for (; i + 8 <= s.words; i += 8)
        sum = _mm512_add_epi64(
            sum, _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i))));
      if (i < s.words) {
        const __mmask8 left = static_cast<__mmask8>((1u << (s.words - i)) - 1);
        const __m512i bits =
            _mm512_xor_si512(_mm512_maskz_loadu_epi64(left, a + i), _mm512_maskz_loadu_epi64(left, b + i));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(bits));
      }
      row(s.out, r, s.outWidth)[n] = static_cast<float>(s.inWidth - static_cast<int>(_mm512_reduce_add_epi64(sum)));
    }
}
#endif

static inline size_t agreeingSignsScratch(Record op, int maxRows) {
  return static_cast<size_t>(maxRows) * static_cast<size_t>(signWords(AgreeingSigns::inWidth(op))) * sizeof(uint64_t);
}

static void agreeingSigns(const Call& call) {
  const int inWidth = AgreeingSigns::inWidth(call.op);
  const int outWidth = AgreeingSigns::outWidth(call.op);
  const int words = signWords(inWidth);
  uint64_t* packed = reinterpret_cast<uint64_t*>(call.scratch);
  const int first = share(outWidth, 16, call.thread, call.threads);
  const int last = share(outWidth, 16, call.thread + 1, call.threads);
  if (first == last) return;
  for (int r = 0; r < call.rows; r++) packSigns(row(AgreeingSigns::x(call.op), r, inWidth), inWidth, row(packed, r, words));
  const auto* signs = reinterpret_cast<const uint64_t*>(AgreeingSigns::signs(call.op));
  const SignRange range = {signs, packed, AgreeingSigns::out(call.op), call.rows, words, inWidth, outWidth, first, last};
#if defined(RELUFY_ISA_AVX512)
  static const bool wide = __builtin_cpu_supports("avx512vpopcntdq");
  if (wide) return countAgreeingWide(range);
#endif
  countAgreeing(range);
}

}  // namespace relufy::RELUFY_ISA
