// axpyBlocks: sums += x[k] * w[k] over a list of rows of a transposed weight in a block format; and the same for many rows
// of x by panels. x is f32: nothing is lost to quantised activations here.
//
//   for k in list, in order: for each of my blocks b: c = x[k] * scale[k][b]
//                              for each column of b: sums[column] = fma(q[k][column], c, sums[column])
//
// axpy.h with a coefficient a block in the place of x[k]; the same contract: strictly by k, from +0. The product
// x[k] * scale is rounded once, so that a column costs a conversion and one multiply-add.
// Sums are whole blocks: columns that pad the last block of a row are zeros and are added up too.
#pragma once
#include "axpy.h"
#include "block-format.h"
#include "gemm.h"

namespace relufy::RELUFY_ISA {

constexpr int blockVectors = blockSize / lanes;

template <class F>
RELUFY_INLINE static void loadBlock(const char* at, Vec* q) {
  if constexpr (F::blockBytes == 32) loadInt8Block(at, q);
  else loadInt4Block(at, q);
}

/** Blocks of columns that one pass goes through: the coefficients of a pass have fixed places. */
constexpr int passBlocks = 64;

/**
 * Blocks [first, first + count) of each listed row of w, into sums; without a list, rows k0, k0 + 1, ... `x` stands at
 * row 0 (or k0).
 */
template <class F>
static inline void axpyBlocks(
    float* sums, const Blocks<F>& w, int first, int count, const float* x, const int32_t* list, int k0, int rows) {
  alignas(64) float coefficients[axpyBlock][passBlocks];
  for (int i = 0; i < rows; i += axpyBlock)
    for (int pass = 0; pass < count; pass += passBlocks) {
      const int blocks = least(passBlocks, count - pass);
      const char* from[axpyBlock];
      const char* ahead[axpyBlock];
      for (int j = 0; j < axpyBlock; j++) {
        const int place = least(i + j, rows - 1);
        const int k = list != nullptr ? list[place] : place;
        const char* weights = w.row(k0 + k);
        const int next = least(i + axpyBlock + j, rows - 1);
        ahead[j] = w.row(k0 + (list != nullptr ? list[next] : next)) + static_cast<size_t>(first + pass) * F::blockBytes;
        from[j] = weights + static_cast<size_t>(first + pass) * F::blockBytes;
        const Vec xk = splat(i + j < rows ? x[k] : 0);
        const uint16_t* scales = w.scales(weights) + first + pass;
        int b = 0;
        for (; b + lanes <= blocks; b += lanes) store(coefficients[j] + b, mul(xk, loadHalf(scales + b)));
        if (b < blocks) store(coefficients[j] + b, mul(xk, loadHalfFirst(scales + b, blocks - b)));
      }
      float* at = sums + pass * blockSize;
      for (int b = 0; b < blocks; b++, at += blockSize) {
        if (b * F::blockBytes % 64 == 0)
#pragma GCC unroll 8
          for (int j = 0; j < axpyBlock; j++) prefetch(ahead[j] + b * F::blockBytes);
        Vec s[blockVectors];
#pragma GCC unroll 8
        for (int v = 0; v < blockVectors; v++) s[v] = load(at + v * lanes);
#pragma GCC unroll 8
        for (int j = 0; j < axpyBlock; j++) {
          Vec q[blockVectors];
          loadBlock<F>(from[j] + b * F::blockBytes, q);
          const Vec c = splat(coefficients[j][b]);
#pragma GCC unroll 8
          for (int v = 0; v < blockVectors; v++) s[v] = fma(q[v], c, s[v]);
        }
#pragma GCC unroll 8
        for (int v = 0; v < blockVectors; v++) store(at + v * lanes, s[v]);
      }
    }
}

// ---- many rows: panels of q as f32, coefficients by row and block

/** Scales that a panel of columns spans. */
constexpr int panelBlocks = panelColumns > blockSize ? panelColumns / blockSize : 1;

template <int rows>
static inline void tileAxpyBlocks(const float* panel, const float* coefficients, int count, float* sums) {
  Vec s[rows][tileOutputs];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) s[r][i] = load(sums + r * panelColumns + i * lanes);
  for (int k = 0; k < count; k++, panel += panelColumns) {
    Vec q[tileOutputs];
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) q[i] = load(panel + i * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
      for (int i = 0; i < tileOutputs; i++) {
        const int scale = r * panelBlocks + (panelBlocks > 1 ? i * lanes / blockSize : 0);
        s[r][i] = fma(q[i], splat(coefficients[scale * transposedWidth + k]), s[r][i]);
      }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int i = 0; i < tileOutputs; i++) store(sums + r * panelColumns + i * lanes, s[r][i]);
}

template <int rows>
static inline void lastTileAxpyBlocks(int left, const float* panel, const float* coefficients, int count, float* sums) {
  if constexpr (rows > 0) {
    if (left == rows) tileAxpyBlocks<rows>(panel, coefficients, count, sums);
    else lastTileAxpyBlocks<rows - 1>(left, panel, coefficients, count, sums);
  }
}

RELUFY_INLINE static size_t transposedBlockBytes(int rows) {
  return transposedBytes(rows) + static_cast<size_t>((tileRows + 1) * panelBlocks * transposedWidth) * sizeof(float);
}

/** Columns c .. c + panelColumns of `count` rows of w from k on, as f32 without scales, and their scales by k. */
template <class F>
static inline void packColumns(const Blocks<F>& w, int k, int count, int c, int columns, float* panel, float* scales) {
  for (int i = 0; i < count; i++) {
    const char* weights = w.row(k + i);
    for (int t = 0; t < panelBlocks; t++) {
      const int b = c / blockSize + t;
      float one[lanes] = {};
      if (b < w.blocks) store(one, loadHalfFirst(w.scales(weights) + b, 1));
      scales[t * transposedWidth + i] = one[0];
      Vec q[blockVectors];
      if (b < w.blocks) loadBlock<F>(weights + b * F::blockBytes, q);
      for (int v = 0; v < least(blockVectors, tileOutputs); v++) {
        const int column = t * blockSize + v * lanes;
        const int from = panelBlocks > 1 ? v : c % blockSize / lanes + v;
        store(panel + i * panelColumns + column, column < columns ? q[from] : zero());
      }
    }
  }
}

/** Columns [first, last) of every row; transposed weights in a block format. */
template <class F>
static inline void gemmTransposedBlocks(const Product& p, const Blocks<F>& w, int first, int last, float* panel) {
  float* sums = panel + panelColumns * transposedWidth;
  float* scales = sums + panelColumns * p.rows;
  float* coefficients = scales + panelBlocks * transposedWidth;
  for (int c = first; c < last; c += panelColumns) {
    const int columns = least(panelColumns, last - c);
    memset(sums, 0, static_cast<size_t>(p.rows) * panelColumns * sizeof(float));
    for (int k = 0; k < p.inWidth; k += transposedWidth) {
      const int count = least(transposedWidth, p.inWidth - k);
      packColumns(w, k, count, c, columns, panel, scales);
      for (int r = 0; r < p.rows; r += tileRows) {
        const int rows = least(tileRows, p.rows - r);
        for (int i = 0; i < rows * panelBlocks; i++) {
          const float* x = row(p.x, r + i / panelBlocks, p.inWidth) + k;
          const float* s = scales + i % panelBlocks * transposedWidth;
          float* to = coefficients + i * transposedWidth;
          int j = 0;
          for (; j + lanes <= count; j += lanes) store(to + j, mul(load(x + j), load(s + j)));
          if (j < count) storeFirst(to + j, mul(loadFirst(x + j, count - j), loadFirst(s + j, count - j)), count - j);
        }
        lastTileAxpyBlocks<tileRows>(rows, panel, coefficients, count, sums + r * panelColumns);
      }
    }
    for (int r = 0; r < p.rows; r++)
      finishRun(
          row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, sums + r * panelColumns, c, columns);
  }
}

}  // namespace relufy::RELUFY_ISA
