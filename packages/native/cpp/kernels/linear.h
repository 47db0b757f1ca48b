// The op `linear`: out[r] = residual[r] + (w x[r] + bias), for both layouts and every weight format.
//
//   row-major [out, in]:   outputs are split across the threads; one row: gemv; more: gemm by panels (block formats:
//                          block-linear.h)
//   transposed [in, out]:  transposed.h
//
// All paths of a layout sum an output in the same order (dot.h, block-dot.h, axpy.h), so a row's bits do not depend on the
// path. In place on the residual (out = residual) is fine: an output is read once, just before it is written.
#pragma once
#include "block-linear.h"
#include "gemm.h"
#include "transposed.h"

namespace relufy::RELUFY_ISA {

template <class W>
RELUFY_LOOP void gemv(const Product& p, const W* w, int first, int last) {
  for (int n = first; n < last; n += gemvBlock) {
    const int count = least(gemvBlock, last - n);
    const W* rows[gemvBlock];
    for (int i = 0; i < gemvBlock; i++) rows[i] = row(w, n + least(i, count - 1), p.inWidth);
    float sums[gemvBlock];
    dotRows<gemvBlock>(p.x, p.inWidth, rows, sums);
    for (int i = 0; i < count; i++) finish(p.out, p.residual, p.bias, n + i, sums[i]);
  }
}

template <class W>
static inline void linearOf(const Call& call) {
  const Product p = {
      reinterpret_cast<const float*>(Linear::x(call.op)), Linear::bias(call.op), Linear::residual(call.op),
      Linear::out(call.op), call.rows, Linear::inWidth(call.op), Linear::outWidth(call.op)};
  const char* w = Linear::w(call.op);
  if (Linear::transposed(call.op) != 0)
    return transposedProduct<W>(call, p, Matrix<W>(w, p.outWidth), {nullptr, nullptr, p.inWidth});
  const int first = share(p.outWidth, outputUnit, call.thread, call.threads);
  const int last = share(p.outWidth, outputUnit, call.thread + 1, call.threads);
  if (first == last || p.rows == 0) return;
  if constexpr (isBlocks<W>) {
    const QuantizedProduct quantized = {
        reinterpret_cast<const int8_t*>(p.x), Linear::xScales(call.op), Linear::xSums(call.op), p.bias, p.residual,
        p.out, p.rows, p.inWidth, p.outWidth};
    linearBlocks(quantized, Blocks<W>(w, p.inWidth), first, last, call.scratch);
  } else {
    const W* weights = reinterpret_cast<const W*>(w);
    if (p.rows == 1) gemv(p, weights, first, last);
    else gemm(p, weights, first, last, reinterpret_cast<float*>(call.scratch));
  }
}

static void linear(const Call& call) {
  switch (Linear::dtype(call.op)) {
    case dtypeF32: return linearOf<float>(call);
    case dtypeBf16: return linearOf<bf16>(call);
    case dtypeInt8: return linearOf<Int8>(call);
    case dtypeInt4: return linearOf<Int4>(call);
    case dtypeUint4: return linearOf<Uint4>(call);
    default: __builtin_trap();
  }
}

static inline size_t linearScratch(Record op, int rows, int threads) {
  const int inWidth = Linear::inWidth(op);
  if (Linear::transposed(op) != 0) return transposedScratch(inWidth, Linear::outWidth(op), rows, threads, false);
  const bool floats = Linear::dtype(op) == dtypeF32 || Linear::dtype(op) == dtypeBf16;
  return floats ? panelBytes(inWidth) : linearBlocksScratch(inWidth);
}

static inline size_t linearShared(Record op) {
  return Linear::transposed(op) != 0 ? fewRowsShared(Linear::inWidth(op), Linear::outWidth(op)) : 0;
}

}  // namespace relufy::RELUFY_ISA
