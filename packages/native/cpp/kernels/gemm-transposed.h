// Products of many rows with transposed weights: panels of columns, widened once, stay in L2 while every row passes.
// The order of summation is that of axpy.h: a tile sums one part of the inputs from +0, and the parts are added by its tree.
//
//   panel = `panelColumns` columns of up to 1024 inputs of one part, as f32 [k][columns]; of block formats without scales,
//   but where there are minima
//   tile = tileRows rows x four vectors of columns, in registers over the panel; it multiplies by coefficients: x[k], or
//   x[k] * scale[k][block] as axpy.h rounds it, which are put side by side for a tile of rows first
#pragma once
#include "axpy.h"
#include "finish.h"
#include "product.h"

namespace relufy::RELUFY_ISA {

constexpr int panelColumns = tileOutputs * lanes;
/** Scales of a block format that a panel of columns spans. */
constexpr int panelBlocks = panelColumns > blockSize ? panelColumns / blockSize : 1;

/** Inputs of a panel, and from one row of coefficients to the next: not a power of two, for the sets of L1. */
constexpr int panelInputs = 1024;
constexpr int coefficientStride = panelInputs + 16;

template <class W>
constexpr int coefficientsPerInput = isBlocks<W> ? panelBlocks : 1;

/** sums[rows][panelColumns] += coefficients[rows][scales] times the panel, in the order of k; from +0 where `fresh`. */
template <int rows, int scales>
RELUFY_LOOP void tileAxpy(const float* panel, const float* coefficients, int count, bool fresh, float* sums) {
  Vec s[rows][tileOutputs];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) s[r][i] = fresh ? zero() : load(sums + r * panelColumns + i * lanes);
  for (int k = 0; k < count; k++, panel += panelColumns) {
    Vec w[tileOutputs];
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) w[i] = load(panel + i * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
      for (int i = 0; i < tileOutputs; i++) {
        const int scale = scales > 1 ? i * lanes / blockSize : 0;
        s[r][i] = fma(w[i], splat(coefficients[(r * scales + scale) * coefficientStride + k]), s[r][i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) store(sums + r * panelColumns + i * lanes, s[r][i]);
}

template <int rows, int scales>
static inline void lastTileAxpy(
    int left, const float* panel, const float* coefficients, int count, bool fresh, float* sums) {
  if constexpr (rows > 0) {
    if (left == rows) tileAxpy<rows, scales>(panel, coefficients, count, fresh, sums);
    else lastTileAxpy<rows - 1, scales>(left, panel, coefficients, count, fresh, sums);
  }
}

/** Columns c .. c + columns of `count` rows from row `first` on, zeros beyond. */
template <class W>
static inline void packColumns(
    const Floats<W>& w, int first, int count, int c, int columns, float* panel, float*) {
  for (int i = 0; i < count; i++, panel += panelColumns) {
    const W* from = reinterpret_cast<const W*>(w.row(first + i)) + c;
    for (int j = 0; j < panelColumns; j += lanes) {
      const int n = most(0, least(lanes, columns - j));
      store(panel + j, n == lanes ? load(from + j) : loadFirst(from + j, n));
    }
  }
}

/** The same without scales, which go to scales[panelBlocks][coefficientStride]; with minima weights as they are. */
template <class F>
static inline void packColumns(
    const Blocks<F>& w, int first, int count, int c, int columns, float* panel, float* scales) {
  for (int i = 0; i < count; i++, panel += panelColumns) {
    const char* weights = w.row(first + i);
    for (int t = 0; t < panelBlocks; t++) {
      const int b = c / blockSize + t;
      const bool inside = b < w.blocks;
      float scale = F::hasMinimum ? 1 : 0;
      Vec q[blockVectors];
      if (inside && F::hasMinimum) loadWeights(w, weights, b, q);
      else if (inside) {
        scale = oneHalf(w.scales(weights) + b);
        loadBlock<F>(weights + b * F::blockBytes, q);
      }
      scales[t * coefficientStride + i] = scale;
      for (int v = 0; v < least(blockVectors, tileOutputs); v++) {
        const int column = t * blockSize + v * lanes;
        const int from = panelBlocks > 1 ? v : c % blockSize / lanes + v;
        store(panel + column, inside && column < columns ? q[from] : zero());
      }
    }
  }
}

/** to[i] *= scales[i] */
static inline void scaleInputs(float* to, const float* scales, int count) {
  int i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, mul(load(to + i), load(scales + i)));
  if (i < count) storeFirst(to + i, mul(loadFirst(to + i, count - i), loadFirst(scales + i, count - i)), count - i);
}

/** to += from, whole vectors. */
static inline void addRun(float* to, const float* from, int count) {
  for (int i = 0; i < count; i += lanes) store(to + i, add(load(to + i), load(from + i)));
}

/**
 * The tree of parts, one part after the other: `sums` holds part p; afterwards, of the last part, the whole. Each level
 * of `levels` holds `count` numbers.
 */
static inline void addParts(float* sums, float* levels, int part, int partCount, int count) {
  for (int level = 0; (1 << level) < partCount; level++) {
    float* held = levels + static_cast<size_t>(level) * static_cast<size_t>(count);
    if ((part >> level & 1) == 0) {
      memcpy(held, sums, static_cast<size_t>(count) * sizeof(float));
      return;
    }
    addRun(sums, held, count);
  }
}
constexpr int partLevels = 3;

/** Rows that pass together, whole tiles of at least 128: a step's worth, so that a panel is widened once a step. */
constexpr int transposedRows = (127 + tileRows) / tileRows * tileRows;

static inline size_t gemmTransposedScratch(int allRows) {
  const int rows = least(allRows, transposedRows);
  const int panel = panelInputs * panelColumns + coefficientStride * (panelBlocks + tileRows * panelBlocks);
  const int floats = panel + (1 + partLevels) * rows * panelColumns + 64;
  return static_cast<size_t>(floats) * sizeof(float);
}

/** Columns [first, last) of every row; of at most `transposedRows` rows. */
template <class W, class M>
static inline void gemmTransposed(const Product& p, const M& w, int first, int last, float* scratch) {
  constexpr int scaleCount = coefficientsPerInput<W>;
  const int partCount = partsOf(p.inWidth);
  const int sumCount = p.rows * panelColumns;
  float* panel = scratch;
  float* scales = panel + panelInputs * panelColumns;
  float* coefficients = scales + coefficientStride * panelBlocks;
  float* sums = coefficients + coefficientStride * tileRows * panelBlocks;
  float* levels = sums + sumCount;
  for (int c = first; c < last; c += panelColumns) {
    const int columns = least(panelColumns, last - c);
    for (int part = 0; part < partCount; part++) {
      const int start = partStart(p.inWidth, part);
      const int end = partStart(p.inWidth, part + 1);
      for (int from = start; from < end; from += panelInputs) {
        const int count = least(panelInputs, end - from);
        packColumns(w, from, count, c, columns, panel, scales);
        for (int r = 0; r < p.rows; r += tileRows) {
          const int rows = least(tileRows, p.rows - r);
          for (int i = 0; i < rows * scaleCount; i++) {
            float* to = coefficients + i * coefficientStride;
            memcpy(to, row(p.x, r + i / scaleCount, p.inWidth) + from, static_cast<size_t>(count) * sizeof(float));
            if constexpr (isBlocks<W>) scaleInputs(to, scales + i % scaleCount * coefficientStride, count);
          }
          lastTileAxpy<tileRows, scaleCount>(rows, panel, coefficients, count, from == start, sums + r * panelColumns);
        }
      }
      addParts(sums, levels, part, partCount, sumCount);
    }
    for (int r = 0; r < p.rows; r++)
      finishRun(
          row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, sums + r * panelColumns, c, columns);
  }
}

}  // namespace relufy::RELUFY_ISA
