// dotRows: the dot products of one vector with several weight rows, the heart of every product over row-major weights.
//
//   for each of the rows i:  lane l of sum_i = x[l] w_i[l] + x[l + lanes] w_i[l + lanes] + ...   (one chain, in this order)
//                            out_i = hsum(sum_i)
//   what is left of the width is one more term of the chain, padded with zeros
//
// This order of summation is the contract of row-major weights: gemv, gemvRows and gemm (gemm.h) all give an output
// these bits, whatever stands beside it. With sixteen lanes one row at a time keeps up with memory, and memory likes one
// stream best (AVX-512, one thread, bf16: 1 row 33 GB/s, 2 rows 16, 4 rows 22, 8 rows 26, of 35); with fewer lanes the
// chain's latency binds, and several rows share x.
// Memory: rows and x contiguous, any alignment of their element; nothing is read beyond `width` numbers.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

/** Keys that one query is multiplied with at a time (attention.h). */
constexpr int dotBlock = 4;

template <int n, class W>
RELUFY_INLINE static void dotRows(const float* x, int width, const W* const* w, float* out) {
  Vec sum[n];
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) sum[i] = zero();
  int k = 0;
  for (; k + lanes <= width; k += lanes) {
    const Vec xk = load(x + k);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) sum[i] = fma(load(w[i] + k), xk, sum[i]);
  }
  if (k < width) {
    const Vec xk = loadFirst(x + k, width - k);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) sum[i] = fma(loadFirst(w[i] + k, width - k), xk, sum[i]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) out[i] = hsum(sum[i]);
}

}  // namespace relufy::RELUFY_ISA
