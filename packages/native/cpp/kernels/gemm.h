// Products of many rows with row-major weights of f32 or bf16: weights are widened once into panels of f32 that stay in L2
// while every row of the step passes. Owns packing and the tile; linear.h chooses it. Same order of summation as dot.h.
//
//   panel = up to 16 weight rows, whole; tile = 4 outputs x tileRows rows x blocks of k
//
// The sums of a tile are in registers; over blocks of k they rest in `sums`, exactly as they were.
// 1. Up to tileRows rows pass without packing: a weight is widened once anyway.
// 2. Packed rows are a cache line longer than the weight's, so that the streams of a tile do not meet in one set of L1.
#pragma once
#include "dot.h"
#include "finish.h"
#include "product.h"

namespace relufy::RELUFY_ISA {

/** Floats of x a row in one pass of a tile: with the panel's they fit L1. */
constexpr int tileWidth = 512;
constexpr int panelOutputs = 16;

RELUFY_INLINE static int paddedWidth(int width) { return (width + lanes - 1) / lanes * lanes + 16; }

/** sums[outputs][rows] += w x over `count` numbers; begins from zero where `fresh`. */
template <int rows, class W>
RELUFY_LOOP void tileDot(const W* const* w, const float* x, size_t stride, int count, bool fresh, Vec* sums) {
  Vec s[tileOutputs][rows];
#pragma GCC unroll 8
  for (int i = 0; i < tileOutputs; i++)
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) s[i][r] = fresh ? zero() : sums[i * rows + r];
  int k = 0;
  for (; k + lanes <= count; k += lanes) {
    Vec wk[tileOutputs];
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) wk[i] = load(w[i] + k);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const Vec xk = load(x + static_cast<size_t>(r) * stride + k);
#pragma GCC unroll 8
      for (int i = 0; i < tileOutputs; i++) s[i][r] = fma(wk[i], xk, s[i][r]);
    }
  }
  if (k < count) {
    const int n = count - k;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const Vec xk = loadFirst(x + static_cast<size_t>(r) * stride + k, n);
#pragma GCC unroll 8
      for (int i = 0; i < tileOutputs; i++) s[i][r] = fma(loadFirst(w[i] + k, n), xk, s[i][r]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < tileOutputs; i++)
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) sums[i * rows + r] = s[i][r];
}

/** `rows` rows of x, from row r0 on, times `count` weight rows; outputs n0 .. n0 + count. */
template <int rows, class W>
static inline void rowsTimesPanel(const Product& p, int r0, const W* panel, size_t panelStride, int n0, int count) {
  Vec sums[panelOutputs * rows];
  const float* x = row(p.x, r0, p.inWidth);
  for (int k = 0; k < p.inWidth; k += tileWidth)
    for (int i = 0; i < count; i += tileOutputs) {
      const W* w[tileOutputs];
      for (int j = 0; j < tileOutputs; j++)
        w[j] = panel + static_cast<size_t>(least(i + j, count - 1)) * panelStride + k;
      const int width = least(tileWidth, p.inWidth - k);
      tileDot<rows>(w, x + k, static_cast<size_t>(p.inWidth), width, k == 0, sums + i * rows);
    }
  for (int r = 0; r < rows; r++) {
    float sum[panelOutputs];
    if (count == panelOutputs)
      for (int i = 0; i < panelOutputs; i += lanes) store(sum + i, hsums(sums + i * rows + r, rows));
    else
      for (int i = 0; i < count; i++) sum[i] = hsum(sums[i * rows + r]);
    finishRun(
        row(p.out, r0 + r, p.outWidth), row(p.residual, r0 + r, p.outWidth), p.bias, sum, n0, count);
  }
}

/** As rowsTimesPanel for the last rows, fewer than a whole tile. */
template <int rows, class W>
static inline void lastRowsTimesPanel(
    const Product& p, int r0, int left, const W* panel, size_t panelStride, int n0, int count) {
  if constexpr (rows > 0) {
    if (left == rows) rowsTimesPanel<rows>(p, r0, panel, panelStride, n0, count);
    else lastRowsTimesPanel<rows - 1>(p, r0, left, panel, panelStride, n0, count);
  }
}

RELUFY_INLINE static size_t panelBytes(int inWidth) {
  return static_cast<size_t>(panelOutputs) * static_cast<size_t>(paddedWidth(inWidth)) * sizeof(float);
}

/** Outputs [first, last) of every row; row-major weights. */
template <class W>
static inline void gemm(const Product& p, const W* w, int first, int last, float* panel) {
  const int padded = paddedWidth(p.inWidth);
  for (int n = first; n < last; n += panelOutputs) {
    const int count = least(panelOutputs, last - n);
    if (p.rows <= tileRows) {
      lastRowsTimesPanel<tileRows>(p, 0, p.rows, row(w, n, p.inWidth), static_cast<size_t>(p.inWidth), n, count);
      continue;
    }
    for (int i = 0; i < count; i++) {
      const W* from = row(w, n + i, p.inWidth);
      float* to = panel + i * padded;
      int k = 0;
      for (; k + lanes <= p.inWidth; k += lanes) store(to + k, load(from + k));
      if (k < p.inWidth) store(to + k, loadFirst(from + k, p.inWidth - k));
    }
    int r = 0;
    for (; r + tileRows <= p.rows; r += tileRows)
      rowsTimesPanel<tileRows>(p, r, static_cast<const float*>(panel), static_cast<size_t>(padded), n, count);
    lastRowsTimesPanel<tileRows - 1>(
        p, r, p.rows - r, static_cast<const float*>(panel), static_cast<size_t>(padded), n, count);
  }
}

}  // namespace relufy::RELUFY_ISA
