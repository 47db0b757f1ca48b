// linear and gather over row-major weights in a block format: which path a call takes. The float formats'
// counterpart is linear.h and sparse.h; the ops themselves are dispatched there.
//
//   outputs are split across the threads; few rows: dotBlocks; more: panels of integers
#pragma once
#include "axpy.h"
#include "block-gemm.h"
#include "product.h"

namespace relufy::RELUFY_ISA {

/** From this many rows on, packing pays. */
constexpr int gemmBlockRows = 4;

/** Outputs [first, last) of one row. */
template <class F>
RELUFY_LOOP void gemvAll(
    const Blocks<F>& w, const QuantizedRow& x, int first, int last, const float* residual, const float* bias, float* out) {
  for (int n = first; n < last; n++)
    finish(out, residual, bias, n, dotBlocks<F, true>(w, w.row(n), x));
}

template <class F>
static inline void linearBlocks(const QuantizedProduct& p, const Blocks<F>& w, int first, int last, char* scratch) {
  if (p.rows >= gemmBlockRows) return gemmBlocks(p, w, first, last, scratch);
  QuantizedRow x[gemmBlockRows];
  const size_t prepared = preparedBytes(p.inWidth);
  for (int r = 0; r < p.rows; r++) {
    x[r] = p.rowOf(r, w.blocks);
    int8_t* to = reinterpret_cast<int8_t*>(scratch) + static_cast<size_t>(r) * prepared;
    x[r].values = prepareX<F>(x[r].values, w.blocks, to);
  }
  // the rows of x share weights that are in cache
  const int chunk = p.rows == 1 ? last - first : outputUnit;
  for (int n = first; n < last; n += chunk)
    for (int r = 0; r < p.rows; r++)
      gemvAll(
          w, x[r], n, least(n + chunk, last), row(p.residual, r, p.outWidth), p.bias, row(p.out, r, p.outWidth));
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
