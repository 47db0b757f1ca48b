// Products of many rows: weights are widened once into panels of f32 that stay in L2 while every row of the step passes.
// Owns packing and the two tiles; linear.h chooses them. Same order of summation as dot.h and axpy.h, so the same bits.
//
//   row-major:   panel = up to 16 weight rows, whole; tile = 4 outputs x tileRows rows x blocks of k
//   transposed:  panel = `panelColumns` columns x up to 1024 k as [k][columns]; tile = 4 vectors of outputs x tileRows rows
//
// The sums of a tile are in registers; over blocks of k they rest in `sums`, exactly as they were.
// 1. Up to tileRows rows of a row-major weight pass without packing: a weight is widened once anyway.
// 2. Packed rows are a cache line longer than the weight's, so that the streams of a tile do not meet in one set of L1.
#pragma once
#include "dot.h"
#include "finish.h"

namespace relufy::RELUFY_ISA {

/** A product as every kernel sees it, whatever op it belongs to. */
struct Product {
  const float* x;
  const float* bias;
  const float* residual;
  float* out;
  int rows;
  int inWidth;
  int outWidth;
};

constexpr int tileOutputs = 4;
/** Floats of x a row in one pass of a tile: with the panel's they fit L1. */
constexpr int tileWidth = 512;
constexpr int panelOutputs = 16;

RELUFY_INLINE static int paddedWidth(int width) { return (width + lanes - 1) / lanes * lanes + 16; }

/** sums[outputs][rows] += w x over `count` numbers; begins from zero where `fresh`. */
template <int rows, class W>
static inline void tileDot(const W* const* w, const float* x, size_t stride, int count, bool fresh, Vec* sums) {
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
    for (int i = 0; i < count; i++) sum[i] = hsum(sums[i / tileOutputs * tileOutputs * rows + i % tileOutputs * rows + r]);
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

// ---- transposed weights

constexpr int panelColumns = tileOutputs * lanes;
constexpr int transposedWidth = 1024;

/** sums[rows][panelColumns] += x panel, in the order of k. */
template <int rows>
static inline void tileAxpy(const float* panel, const float* x, size_t stride, int count, float* sums) {
  Vec s[rows][tileOutputs];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) s[r][i] = load(sums + r * panelColumns + i * lanes);
  for (int k = 0; k < count; k++, panel += panelColumns) {
    Vec wk[tileOutputs];
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) wk[i] = load(panel + i * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const Vec xk = splat(x[static_cast<size_t>(r) * stride + static_cast<size_t>(k)]);
#pragma GCC unroll 8
      for (int i = 0; i < tileOutputs; i++) s[r][i] = fma(wk[i], xk, s[r][i]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) store(sums + r * panelColumns + i * lanes, s[r][i]);
}

template <int rows>
static inline void lastTileAxpy(int left, const float* panel, const float* x, size_t stride, int count, float* sums) {
  if constexpr (rows > 0) {
    if (left == rows) tileAxpy<rows>(panel, x, stride, count, sums);
    else lastTileAxpy<rows - 1>(left, panel, x, stride, count, sums);
  }
}

RELUFY_INLINE static size_t transposedBytes(int rows) {
  return static_cast<size_t>(panelColumns) * static_cast<size_t>(transposedWidth + rows) * sizeof(float);
}

/** Columns [first, last) of every row; transposed weights. `x` has `xStride` numbers a row. */
template <class W>
static inline void gemmTransposed(const Product& p, const W* w, int first, int last, float* panel) {
  float* sums = panel + panelColumns * transposedWidth;
  const size_t stride = static_cast<size_t>(p.inWidth);
  for (int c = first; c < last; c += panelColumns) {
    const int columns = least(panelColumns, last - c);
    memset(sums, 0, static_cast<size_t>(p.rows) * panelColumns * sizeof(float));
    for (int k = 0; k < p.inWidth; k += transposedWidth) {
      const int count = least(transposedWidth, p.inWidth - k);
      for (int i = 0; i < count; i++) {
        const W* from = row(w, k + i, p.outWidth) + c;
        for (int j = 0; j < panelColumns; j += lanes) {
          const int n = least(lanes, most(0, columns - j));
          store(panel + i * panelColumns + j, n == lanes ? load(from + j) : loadFirst(from + j, n));
        }
      }
      int r = 0;
      for (; r + tileRows <= p.rows; r += tileRows)
        tileAxpy<tileRows>(panel, row(p.x, r, p.inWidth) + k, stride, count, sums + r * panelColumns);
      lastTileAxpy<tileRows - 1>(p.rows - r, panel, row(p.x, r, p.inWidth) + k, stride, count, sums + r * panelColumns);
    }
    for (int r = 0; r < p.rows; r++)
      finishRun(
          row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, sums + r * panelColumns, c, columns);
  }
}

}  // namespace relufy::RELUFY_ISA
