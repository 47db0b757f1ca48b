// linear and gather over row-major weights in a block format: which path a call takes. The float formats'
// counterpart is linear.h and sparse.h; the ops themselves are dispatched there.
//
//   outputs are split across the threads; one row: dotBlocks; few: dotBlocksRows; more: panels of integers
#pragma once
#include "axpy.h"
#include "block-gemm.h"
#include "product.h"

namespace relufy::RELUFY_ISA {

/**
 * From this many rows on, packing pays: 8 and 12 rows of 2,048 inputs by panels over by rows of weights, one thread, AVX2: int8 1.1
 * and 0.95, int4 1.3 and 1.1. Packing from 4 rows on, 4 rows took 3.0 (int4: 4.7) times as long as one; now 2.1 (2.6).
 */
constexpr int gemmBlockRows = 12;
/**
 * And from so many where the blocks of a row fill few of the vectors that they take: 18 blocks, SmolLM2's 576 inputs, are one of 16 and
 * one of 2 with AVX-512, where an output a lane wastes nothing. 4 rows of 576 inputs, GFLOP/s by rows and by panels, AVX-512, one
 * thread: int8 59 and 59, int4 70 and 79; 6 rows 62 and 78, 71 and 102 (tools/bench/few-rows.mjs).
 */
static inline int panelsFrom(int blocks) {
  const int taken = (blocks + lanes - 1) / lanes * lanes;
  return lanes < 16 || 3 * blocks > 2 * taken ? gemmBlockRows : 4;
}

/** Rows of x that share one pass over a row of weights. */
constexpr int dotRowsAtOnce = 4;

/** Outputs [first, last) of one row. */
template <class F>
RELUFY_LOOP void gemvAll(
    const Blocks<F>& w, const QuantizedRow& x, int first, int last, const float* residual, const float* bias, float* out) {
  for (int n = first; n < last; n++)
    finish(out, residual, bias, n, dotBlocks<F, true>(w, w.row(n), x));
}

/** Outputs [first, last) of few rows, a row of weights at a time. */
template <class F>
RELUFY_LOOP void fewRows(const QuantizedProduct& p, const Blocks<F>& w, const QuantizedRow* x, int first, int last) {
  float sums[gemmBlockRows];
  for (int n = first; n < last; n++) {
    const char* weights = w.row(n);
    int r = 0;
    for (; r + dotRowsAtOnce <= p.rows; r += dotRowsAtOnce) dotBlocksRows<F, dotRowsAtOnce>(w, weights, x + r, sums + r);
    switch (p.rows - r) {
      case 3: dotBlocksRows<F, 3>(w, weights, x + r, sums + r); break;
      case 2: dotBlocksRows<F, 2>(w, weights, x + r, sums + r); break;
      case 1: dotBlocksRows<F, 1>(w, weights, x + r, sums + r); break;
      default: break;
    }
    for (r = 0; r < p.rows; r++)
      finish(row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, n, sums[r]);
  }
}

template <class F>
static inline void linearBlocks(const QuantizedProduct& p, const Blocks<F>& w, int first, int last, char* scratch) {
  if (p.rows > 1 && p.rows >= panelsFrom(w.blocks)) return gemmBlocks(p, w, first, last, scratch);
  QuantizedRow x[gemmBlockRows];
  const size_t prepared = preparedBytes(p.inWidth);
  for (int r = 0; r < p.rows; r++) {
    x[r] = p.rowOf(r, w.blocks);
    int8_t* to = reinterpret_cast<int8_t*>(scratch) + static_cast<size_t>(r) * prepared;
    x[r].values = prepareX<F>(x[r].values, w.blocks, to);
  }
  if (p.rows == 1) return gemvAll(w, x[0], first, last, p.residual, p.bias, p.out);
  fewRows(p, w, x, first, last);
}

static inline size_t linearBlocksScratch(int inWidth) {
  const size_t few = preparedBytes(inWidth) * gemmBlockRows;
  const size_t many = blockPanelBytes(inWidth);
  return few > many ? few : many;
}

/** out[c] = w[c] * scale for c of my columns, one row of a table; first is a multiple of 16. */
template <class F>
static inline void widenRow(const Blocks<F>& table, int entry, const float* residual, float* out, int first, int last) {
  const char* weights = table.row(entry);
  for (int b = first / blockSize; b * blockSize < last; b++) {
    Vec q[blockVectors];
    loadWeights(table, weights, b, q);
    float wide[blockSize];
    for (int v = 0; v < blockVectors; v++) store(wide + v * lanes, q[v]);
    for (int c = most(first, b * blockSize); c < least(last, (b + 1) * blockSize); c++) {
      const float value = wide[c - b * blockSize];
      out[c] = residual != nullptr ? residual[c] + value : value;
    }
  }
}

}  // namespace relufy::RELUFY_ISA
