// dotBlocks: the dot product of quantised activations and one row of a block format.
//
//   for each block b:  d_b = sum of x[i] w[i] over the block, an exact integer
//                      lane (b mod lanes) of sum = fma(d_b, wScale_b * xScale_b, lane), in the order of b
//                      and of formats with minima fma(xSum_b, wMinimum_b * xScale_b, lane) after it
//   out = hsum(sum)
//
// dot.h with blocks in the place of numbers: the same order of summation is the contract of block formats, on every path
// (gemv, gemvRows, and the panels of block-gemm.h, where a lane is an output and the chains of blocks lie in memory).
// 1. Byte products want one side unsigned (VNNI, maddubs): weights get a bias, and bias * xSum is taken off each d_b.
// 2. `lanes` blocks at a time: their partial sums are added by a tree of shuffles, three operations a vector, instead of
//    a conversion and a multiply-add a vector with scales spread to lanes. The same cost, and the block sum is whole.
// One weight row at a time: the work on `lanes` blocks is independent of the last, so memory is read as one stream.
#pragma once
#include "block-format.h"

namespace relufy::RELUFY_ISA {

/**
 * x in the order that dots<F>() reads: for nibbles, in groups of `nibbleGroup` blocks, first the 16 low halves, then the high
 * ones, as the nibbles of a vector of weights fall out. `to` has room for whole groups.
 */
template <class F>
RELUFY_INLINE static const int8_t* prepareX(const int8_t* x, int blocks, int8_t* to) {
  if constexpr (F::blockBytes == 32 || nibbleGroup == 1) return x;
  else {
    for (int b = 0; b < blocks; b++) {
      int8_t* group = to + b / nibbleGroup * nibbleGroup * blockSize + b % nibbleGroup * 16;
      memcpy(group, x + b * blockSize, 16);
      memcpy(group + nibbleGroup * 16, x + b * blockSize + 16, 16);
    }
    for (int b = blocks; b % nibbleGroup != 0; b++) {
      int8_t* group = to + b / nibbleGroup * nibbleGroup * blockSize + b % nibbleGroup * 16;
      memset(group, 0, 16);
      memset(group + nibbleGroup * 16, 0, 16);
    }
    return to;
  }
}

RELUFY_INLINE static size_t preparedBytes(int inWidth) {
  return static_cast<size_t>(blocksOf(inWidth) + nibbleGroup) * blockSize + 64;
}

template <class F, bool whole>
RELUFY_INLINE static Int dots(const char* w, const int8_t* x, int n) {
  if constexpr (F::blockBytes == 32) return dotsInt8<whole>(reinterpret_cast<const int8_t*>(w), x, n);
  else return dotsNibbles<whole>(reinterpret_cast<const uint8_t*>(w), x, n);
}

/**
 * How far before its use memory is asked for that is read from end to end. The hardware prefetcher loses the
 * stream at every change between values and scales: fraction of the peak read bandwidth with it and with this, in one run, rows of
 * 2,048 / 5,632: int8 0.88 / 0.79 and 0.95 / 0.93, int4 0.71 / 0.79 and 0.94 / 0.95; 4 KB 0.89, 10 KB 0.90 (Zen 4).
 */
constexpr int streamAhead = 6144;

/** Asks for the part of a row, and of those after it, that lies streamAhead behind blocks [b, b + lanes). */
template <class F>
RELUFY_INLINE static void askAhead(const char* weights, int b) {
  constexpr int bytes = wholeBlockBytes<F>;
  for (int at = (b * bytes + 63) & ~63; at < (b + lanes) * bytes; at += 64) prefetchFar(weights + streamAhead + at);
}

/** With `inOrder`, rows are read one after the other, and what comes next is asked for. */
template <class F, bool inOrder = false>
RELUFY_INLINE static float dotBlocks(const Blocks<F>& w, const char* weights, const QuantizedRow& x) {
  const uint16_t* scales = w.scales(weights);
  const uint16_t* minima = w.minima(weights);
  Vec sum = zero();
  int b = 0;
  for (; b + lanes <= w.blocks; b += lanes) {
    if constexpr (inOrder) askAhead<F>(weights, b);
    const Int sums = loadInt(x.sums + b);
    const Vec xScales = load(x.scales + b);
    const Int d = unbias<F>(dots<F, true>(weights + b * F::blockBytes, x.values + b * blockSize, lanes), sums);
    sum = fma(toFloat(d), mul(loadHalf(scales + b), xScales), sum);
    if constexpr (F::hasMinimum) sum = fma(toFloat(sums), mul(loadHalf(minima + b), xScales), sum);
  }
  if (b < w.blocks) {
    const int n = w.blocks - b;
    const Int sums = loadIntFirst(x.sums + b, n);
    const Vec xScales = loadFirst(x.scales + b, n);
    const Int d = unbias<F>(dots<F, false>(weights + b * F::blockBytes, x.values + b * blockSize, n), sums);
    sum = fma(toFloat(d), mul(loadHalfFirst(scales + b, n), xScales), sum);
    if constexpr (F::hasMinimum) sum = fma(toFloat(sums), mul(loadHalfFirst(minima + b, n), xScales), sum);
  }
  return hsum(sum);
}

/** out[r] = dotBlocks of x[r], for n rows of x in one pass over the weights, which lie in order. */
template <class F, int n>
RELUFY_LOOP void dotBlocksRows(const Blocks<F>& w, const char* weights, const QuantizedRow* x, float* out) {
  const uint16_t* scales = w.scales(weights);
  const uint16_t* minima = w.minima(weights);
  Vec sum[n];
  for (int r = 0; r < n; r++) sum[r] = zero();
  int b = 0;
  for (; b + lanes <= w.blocks; b += lanes) {
    askAhead<F>(weights, b);
    const Vec wScales = loadHalf(scales + b);
#pragma GCC unroll 4
    for (int r = 0; r < n; r++) {
      const Int sums = loadInt(x[r].sums + b);
      const Vec xScales = load(x[r].scales + b);
      const Int d = unbias<F>(dots<F, true>(weights + b * F::blockBytes, x[r].values + b * blockSize, lanes), sums);
      sum[r] = fma(toFloat(d), mul(wScales, xScales), sum[r]);
      if constexpr (F::hasMinimum) sum[r] = fma(toFloat(sums), mul(loadHalf(minima + b), xScales), sum[r]);
    }
  }
  if (b < w.blocks) {
    const int left = w.blocks - b;
    const Vec wScales = loadHalfFirst(scales + b, left);
    for (int r = 0; r < n; r++) {
      const Int sums = loadIntFirst(x[r].sums + b, left);
      const Vec xScales = loadFirst(x[r].scales + b, left);
      const Int d = unbias<F>(dots<F, false>(weights + b * F::blockBytes, x[r].values + b * blockSize, left), sums);
      sum[r] = fma(toFloat(d), mul(wScales, xScales), sum[r]);
      if constexpr (F::hasMinimum) sum[r] = fma(toFloat(sums), mul(loadHalfFirst(minima + b, left), xScales), sum[r]);
    }
  }
  for (int r = 0; r < n; r++) out[r] = hsum(sum[r]);
}

}  // namespace relufy::RELUFY_ISA
