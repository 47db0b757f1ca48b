// selectActive, gemvRows, axpyRows: which channels or neurons matter, and the products that read only those.
//
//   selectActive:  active[r] = ascending indices of the non-zeros of x[r]
//   gemvRows:      the listed outputs only; a weight row is an output. One row: the list is dealt to the threads
//   axpyRows:      the listed inputs only; a weight row is an input: transposed.h
//
// The orders of summation are those of the dense products (dot.h, axpy.h): sparse equals dense, bit for bit.
#pragma once
#include "linear.h"

namespace relufy::RELUFY_ISA {

/** How many of the first `count` (a multiple of 16) numbers are not zero. */
static inline int countNonZero(const float* x, int count) {
  int n = 0;
  for (int i = 0; i < count; i += lanes) n += __builtin_popcount(nonZeroBits(load(x + i)));
  return n;
}

static void selectActive(const Call& call) {
  const int width = SelectActive::width(call.op);
  const bool byRows = call.rows >= call.threads;
  const int lastRow = byRows ? share(call.rows, 1, call.thread + 1, call.threads) : call.rows;
  const int first = byRows ? 0 : share(width, 16, call.thread, call.threads);
  const int last = byRows ? width : share(width, 16, call.thread + 1, call.threads);
  for (int r = byRows ? share(call.rows, 1, call.thread, call.threads) : 0; r < lastRow; r++) {
    const float* x = row(SelectActive::x(call.op), r, width);
    int32_t* active = row(SelectActive::active(call.op), r, width);
    // where my part of the list begins: the non-zeros before my share (counting is ten times faster than listing)
    int n = countNonZero(x, first);
    for (int c = first; c < last; c += lanes) {
      const int left = last - c;
      uint32_t bits = nonZeroBits(left >= lanes ? load(x + c) : loadFirst(x + c, left));
      for (; bits != 0; bits &= bits - 1) active[n++] = c + __builtin_ctz(bits);
    }
    if (last == width && (byRows || call.thread == call.threads - 1)) SelectActive::activeCount(call.op)[r] = n;
  }
}

template <class W>
static inline void gemvRowsOf(const Call& call) {
  const int inWidth = GemvRows::inWidth(call.op);
  const int outWidth = GemvRows::outWidth(call.op);
  const W* w = reinterpret_cast<const W*>(GemvRows::w(call.op));
  for (int r = 0; r < call.rows; r++) {
    const float* x = row(reinterpret_cast<const float*>(GemvRows::x(call.op)), r, inWidth);
    const int32_t* active = row(GemvRows::active(call.op), r, outWidth);
    float* out = row(GemvRows::out(call.op), r, outWidth);
    const int total = GemvRows::activeCount(call.op)[r];
    const int last = share(total, dotBlock, call.thread + 1, call.threads);
    for (int i = share(total, dotBlock, call.thread, call.threads); i < last; i += dotBlock) {
      const int count = least(dotBlock, last - i);
      const W* rows[dotBlock];
      for (int j = 0; j < dotBlock; j++) rows[j] = row(w, active[i + least(j, count - 1)], inWidth);
      float sums[dotBlock];
      dotRows<dotBlock>(x, inWidth, rows, sums);
      for (int j = 0; j < count; j++) finish(out, nullptr, GemvRows::bias(call.op), active[i + j], sums[j]);
    }
  }
}

static void gemvRows(const Call& call) {
  switch (GemvRows::dtype(call.op)) {
    case dtypeF32: return gemvRowsOf<float>(call);
    case dtypeBf16: return gemvRowsOf<bf16>(call);
    case dtypeInt8: return gemvRowsBlocks<Int8>(call);
    case dtypeInt4: return gemvRowsBlocks<Int4>(call);
    default: __builtin_trap();
  }
}

static inline size_t gemvRowsScratch(Record op) { return preparedBytes(GemvRows::inWidth(op)); }

template <class W>
static inline void axpyRowsOf(const Call& call) {
  const Product p = {
      AxpyRows::x(call.op), AxpyRows::bias(call.op), AxpyRows::residual(call.op), AxpyRows::out(call.op), call.rows,
      AxpyRows::inWidth(call.op), AxpyRows::outWidth(call.op)};
  const ActiveInputs inputs = {AxpyRows::active(call.op), AxpyRows::activeCount(call.op), p.inWidth};
  transposedProduct<W>(call, p, Matrix<W>(AxpyRows::w(call.op), p.outWidth), inputs);
}

static void axpyRows(const Call& call) {
  switch (AxpyRows::dtype(call.op)) {
    case dtypeF32: return axpyRowsOf<float>(call);
    case dtypeBf16: return axpyRowsOf<bf16>(call);
    case dtypeInt8: return axpyRowsOf<Int8>(call);
    case dtypeInt4: return axpyRowsOf<Int4>(call);
    default: __builtin_trap();
  }
}

static inline size_t axpyRowsScratch(Record op, int rows, int threads) {
  return transposedScratch(AxpyRows::inWidth(op), AxpyRows::outWidth(op), rows, threads, true);
}

static inline size_t axpyRowsShared(Record op) {
  return fewRowsShared(AxpyRows::inWidth(op), AxpyRows::outWidth(op));
}

}  // namespace relufy::RELUFY_ISA
