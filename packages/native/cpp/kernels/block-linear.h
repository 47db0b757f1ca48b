// linear, gemvRows and gather over row-major weights in a block format: which path a call takes. The float formats'
// counterpart is linear.h and sparse.h; the ops themselves are dispatched there.
//
//   outputs are dealt to the threads; few rows: dotBlocks; more: panels of integers
#pragma once
#include "axpy.h"
#include "block-gemm.h"

namespace relufy::RELUFY_ISA {

/** From this many rows on, packing pays. */
constexpr int gemmBlockRows = 6;

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
  for (int n = first; n < last; n++) {
    const char* weights = w.row(n);
    for (int r = 0; r < p.rows; r++)
      finish(
          row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, n, dotBlocks(w, weights, x[r], nullptr));
  }
}

static inline size_t linearBlocksScratch(int inWidth) {
  const size_t few = preparedBytes(inWidth) * gemmBlockRows;
  const size_t many = blockPanelBytes(inWidth);
  return few > many ? few : many;
}

template <class F>
static inline void gemvRowsBlocks(const Call& call) {
  const QuantizedProduct p = {
      reinterpret_cast<const int8_t*>(GemvRows::x(call.op)), GemvRows::xScales(call.op), GemvRows::xSums(call.op),
      GemvRows::bias(call.op), nullptr, GemvRows::out(call.op), call.rows, GemvRows::inWidth(call.op),
      GemvRows::outWidth(call.op)};
  const Blocks<F> w(GemvRows::w(call.op), p.inWidth);
  for (int r = 0; r < call.rows; r++) {
    QuantizedRow x = p.rowOf(r, w.blocks);
    x.values = prepareX<F>(x.values, w.blocks, reinterpret_cast<int8_t*>(call.scratch));
    const int32_t* active = row(GemvRows::active(call.op), r, p.outWidth);
    float* out = row(p.out, r, p.outWidth);
    const int total = GemvRows::activeCount(call.op)[r];
    const int last = share(total, 1, call.thread + 1, call.threads);
    for (int i = share(total, 1, call.thread, call.threads); i < last; i++) {
      const char* ahead = w.row(active[least(i + 1, last - 1)]);
      finish(out, nullptr, p.bias, active[i], dotBlocks(w, w.row(active[i]), x, ahead));
    }
  }
}

/** out[c] = w[c] * scale for c of my columns, one row of a table; first is a multiple of 16. */
template <class F>
static inline void widenRow(const Blocks<F>& table, int entry, const float* residual, float* out, int first, int last) {
  const char* weights = table.row(entry);
  for (int b = first / blockSize; b * blockSize < last; b++) {
    float scale[lanes];
    store(scale, loadHalfFirst(table.scales(weights) + b, 1));
    Vec q[blockVectors];
    loadBlock<F>(weights + b * F::blockBytes, q);
    float wide[blockSize];
    for (int v = 0; v < blockVectors; v++) store(wide + v * lanes, mul(q[v], splat(scale[0])));
    for (int c = most(first, b * blockSize); c < least(last, (b + 1) * blockSize); c++) {
      const float value = wide[c - b * blockSize];
      out[c] = residual != nullptr ? residual[c] + value : value;
    }
  }
}

}  // namespace relufy::RELUFY_ISA
