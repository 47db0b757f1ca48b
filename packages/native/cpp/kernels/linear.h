// The op `linear`: out[r] = residual[r] + (w x[r] + bias), for both layouts and every weight format.
//
//   row-major [out, in]:   outputs are dealt to the threads; one row: gemv by dotRows; more: gemm by panels
//   transposed [in, out]:  columns are dealt to the threads; few rows: axpyList over all k; more: gemm by panels
//
// All paths of a layout sum an output in the same order (dot.h, axpy.h), so a row's bits do not depend on the path.
// In place on the residual (out = residual) is fine: an output is read once, just before it is written.
#pragma once
#include "axpy.h"
#include "block-linear.h"
#include "gemm.h"

namespace relufy::RELUFY_ISA {

/** From this many rows on, packing transposed weights pays. */
constexpr int gemmTransposedRows = 4;
/** Outputs are dealt to the threads in these units. */
constexpr int outputUnit = 16;
constexpr int columnUnit = 64;
/** Bytes of transposed weights that stay in L2 while the few rows of a step pass. */
constexpr size_t axpyBlockBytes = 262144;

template <class W>
static inline void gemv(const Product& p, const W* w, int first, int last) {
  for (int n = first; n < last; n += dotBlock) {
    const int count = least(dotBlock, last - n);
    const W* rows[dotBlock];
    for (int i = 0; i < dotBlock; i++) rows[i] = row(w, n + least(i, count - 1), p.inWidth);
    float sums[dotBlock];
    dotRows<dotBlock>(p.x, p.inWidth, rows, sums);
    for (int i = 0; i < count; i++) finish(p.out, p.residual, p.bias, n + i, sums[i]);
  }
}

/** Few rows over a transposed weight: blocks of k stay in L2 while each row adds them up. */
template <class W>
static inline void axpyDense(const Product& p, const W* w, int first, int last, float* sums) {
  const int columns = last - first;
  const int fitting = static_cast<int>(axpyBlockBytes / (sizeof(W) * static_cast<size_t>(columns)));
  const int block = p.rows == 1 ? p.inWidth : most(axpyBlock, fitting / axpyBlock * axpyBlock);
  memset(sums, 0, static_cast<size_t>(p.rows) * static_cast<size_t>(columns) * sizeof(float));
  for (int k = 0; k < p.inWidth; k += block)
    for (int r = 0; r < p.rows; r++)
      axpyList(
          sums + r * columns, columns, row(w, k, p.outWidth) + first, static_cast<size_t>(p.outWidth),
          row(p.x, r, p.inWidth) + k, nullptr, least(block, p.inWidth - k));
  for (int r = 0; r < p.rows; r++)
    finishRun(row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, sums + r * columns, first, columns);
}

template <class W>
static inline void linearOf(const Call& call, int first, int last) {
  const char* w = Linear::w(call.op);
  const int inWidth = Linear::inWidth(call.op);
  const int outWidth = Linear::outWidth(call.op);
  const bool transposed = Linear::transposed(call.op) != 0;
  const Product p = {
      reinterpret_cast<const float*>(Linear::x(call.op)), Linear::bias(call.op), Linear::residual(call.op),
      Linear::out(call.op), call.rows, inWidth, outWidth};
  float* scratch = reinterpret_cast<float*>(call.scratch);
  if constexpr (isBlocks<W>) {
    const Blocks<W> blocks(w, transposed ? outWidth : inWidth);
    if (transposed) return linearTransposedBlocks(p, blocks, first, last, scratch);
    const QuantizedProduct quantized = {
        reinterpret_cast<const int8_t*>(p.x), Linear::xScales(call.op), Linear::xSums(call.op), p.bias, p.residual,
        p.out, p.rows, inWidth, outWidth};
    linearBlocks(quantized, blocks, first, last, call.scratch);
  } else {
    const W* weights = reinterpret_cast<const W*>(w);
    if (transposed) {
      if (p.rows < gemmTransposedRows) axpyDense(p, weights, first, last, scratch);
      else gemmTransposed(p, weights, first, last, scratch);
    } else {
      if (p.rows == 1) gemv(p, weights, first, last);
      else gemm(p, weights, first, last, scratch);
    }
  }
}

static void linear(const Call& call) {
  const int unit = Linear::transposed(call.op) != 0 ? columnUnit : outputUnit;
  const int first = share(Linear::outWidth(call.op), unit, call.thread, call.threads);
  const int last = share(Linear::outWidth(call.op), unit, call.thread + 1, call.threads);
  if (first == last || call.rows == 0) return;
  switch (Linear::dtype(call.op)) {
    case dtypeF32: return linearOf<float>(call, first, last);
    case dtypeBf16: return linearOf<bf16>(call, first, last);
    case dtypeInt8: return linearOf<Int8>(call, first, last);
    case dtypeInt4: return linearOf<Int4>(call, first, last);
    default: __builtin_trap();
  }
}

/** Columns of a transposed product that one thread owns, at most. */
RELUFY_INLINE static int columnsOf(int outWidth, int threads) {
  const int units = (outWidth + columnUnit - 1) / columnUnit;
  return (units + threads - 1) / threads * columnUnit;
}

static inline size_t linearScratch(Record op, int rows, int threads) {
  const bool blocks = Linear::dtype(op) == dtypeInt8 || Linear::dtype(op) == dtypeInt4;
  if (Linear::transposed(op) == 0)
    return blocks ? linearBlocksScratch(Linear::inWidth(op)) : panelBytes(Linear::inWidth(op));
  const int columns = columnsOf(Linear::outWidth(op), threads);
  const size_t few = static_cast<size_t>(gemmTransposedRows) * static_cast<size_t>(columns) * sizeof(float);
  const size_t many = blocks ? transposedBlockBytes(rows) : transposedBytes(rows);
  return few > many ? few : many;
}

}  // namespace relufy::RELUFY_ISA
