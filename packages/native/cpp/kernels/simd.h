// The vocabulary that every kernel is written in: vectors of f32 lanes and weights of any format widened to them. Each
// simd-*.h defines the same names for one instruction set; RELUFY_ISA says which, and is the namespace of all kernels.
//
//   Vec, lanes                     a vector of f32, and how many
//   zero splat load store          load widens: from f32, bf16 or f16
//   loadFirst storeFirst           the first n < lanes numbers; the other lanes are zero, memory beyond is not touched
//   add sub mul div fma(a, b, c)   fma = a * b + c, one rounding where the instruction set has it, else two
//   squareRoot                     correctly rounded
//   max min                        a > b ? a : b and a < b ? a : b, so NaN in b stays
//   hsum hmax                      lane l with lane l + n/2, halving: the one order of summation across lanes
//   hsums                          hsum of `lanes` vectors, `stride` apart, each in its lane
//   whereGreater whereNonZero chooseNegative   a > b ? v : 0;  a != 0 ? v : 0;  x < 0 ? a : b
//   whereAtMost whereNotAtMost whereNotLess    a <= b ? v : 0;  a <= b ? 0 : v;  a < b ? 0 : v
//   nonZeroBits                    bit l: lane l != 0
//   storePlaces(at, bits, from)    from + l for each bit l that is set, in order; gives how many
//   pow2                           2^n for integral lanes -127 < n < 128
//   Int ...                        a vector of i32, for block formats: see block-dot.h, block-gemm.h, quantize.h
//
// Compiled with -ffp-contract=off: what is written as mul and add stays two roundings, what is fma is one, on every
// path, and so a number has the same bits on every path.
#pragma once
#include "../generated/ops.h"
#include "../kernel-table.h"

#if defined(RELUFY_ISA_AVX512)
#include "simd-avx512.h"
#elif defined(RELUFY_ISA_AVX2)
#include "simd-avx2.h"
#elif defined(RELUFY_ISA_NEON) || defined(RELUFY_ISA_DOTPROD)
#include "simd-neon.h"
#else
#include "simd-scalar.h"
#endif

namespace relufy::RELUFY_ISA {

/** Where a thread's share of `total` items begins when they are split in pieces of `unit`; its end is the next's begin. */
RELUFY_INLINE static int share(int total, int unit, int thread, int threads) {
  const int64_t units = (total + unit - 1) / unit;
  const int64_t first = units * thread / threads * unit;
  return first < total ? static_cast<int>(first) : total;
}

RELUFY_INLINE static int least(int a, int b) { return a < b ? a : b; }
RELUFY_INLINE static int most(int a, int b) { return a > b ? a : b; }

/** Row r of a matrix with so many columns; null stays null. */
template <class T>
RELUFY_INLINE static T* row(T* matrix, int r, int columns) {
  return matrix == nullptr ? nullptr : matrix + static_cast<size_t>(r) * static_cast<size_t>(columns);
}

RELUFY_INLINE static int wholeLanes(int count) { return count & ~(lanes - 1); }

RELUFY_INLINE static Vec load(const f16* at) { return loadHalf(&at->bits); }
RELUFY_INLINE static Vec loadFirst(const f16* at, int n) { return loadHalfFirst(&at->bits, n); }

/** n numbers at `at`. */
RELUFY_INLINE static Vec take(const float* at, int n) { return n == lanes ? load(at) : loadFirst(at, n); }
RELUFY_INLINE static void put(float* at, Vec v, int n) {
  if (n == lanes) store(at, v);
  else storeFirst(at, v, n);
}

#if !defined(RELUFY_ISA_AVX512)
RELUFY_INLINE static int storePlaces(int32_t* at, uint32_t bits, int from) {
  int n = 0;
  for (; bits != 0; bits &= bits - 1) at[n++] = from + __builtin_ctz(bits);
  return n;
}
#endif

/** Asks for a line, into L2: into L1 measured half as fast. */
RELUFY_INLINE static void prefetchFar(const void* at) { __builtin_prefetch(at, 0, 2); }

}  // namespace relufy::RELUFY_ISA
