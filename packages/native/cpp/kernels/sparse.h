// axpyRows and gemvRows: the products that read only what matters. Their lists are select.h's, in ascending order.
//
//   gemvRows:      the listed outputs only; a weight row is an output: here
//   axpyRows:      the listed inputs only; a weight row is an input: transposed.h
//
// With a table of places, the rows of w are some of the rows, anywhere (fetch.h). The orders of summation are those of the dense products (dot.h, block-dot.h, axpy.h): sparse equals dense, bit for bit.
//
// gemvRows, few rows of x: the list is split across the threads. Its rows lie anywhere; what reads them fast was measured (one
// thread, rows of 2 KB, 10 to 30 % of them; the same memory streams at 33 GB/s):
//   float formats: eight rows in step, left to the hardware prefetcher: 23 GB/s; one row after the other: 11, with the
//     next asked for: 17
//   block formats: the lines of the next eight rows are asked for in turn, a row's worth at a time: 22 GB/s; one row after
//     the other: 17, spread over the computation: 15, into L1: 12, every other line or the first lines only: 12; without: 10
// A list of nearly all rows is read as the dense product reads them.
// Many rows of x: outputs are split across the threads, and taken in chunks that stay in L2 while every row of x passes.
#pragma once
#include "linear.h"

namespace relufy::RELUFY_ISA {

/** Rows of a float format that are read in step. */
constexpr int stepRows = 8;
/** Bytes of rows in a block format that are asked for together. */
constexpr size_t aheadBytes = 20480;
constexpr int mostAhead = 16;
/** From this share of the rows on a list is as good as dense. */
constexpr float denseShare = 0.9f;
constexpr size_t chunkBytes = 262144;

/** One row of x, as its weights want it. */
template <class W>
struct InputOf {
  using Type = const float*;
};
template <>
struct InputOf<Int8> {
  using Type = QuantizedRow;
};
template <>
struct InputOf<Int4> {
  using Type = QuantizedRow;
};
template <>
struct InputOf<Uint4> {
  using Type = QuantizedRow;
};
template <class W>
using Input = typename InputOf<W>::Type;

/** Row r of x; `prepared` has room for preparedBytes. */
template <class W>
static inline Input<W> inputOf(const Call& call, int r, int inWidth, char* prepared) {
  if constexpr (isBlocks<W>) {
    const int blocks = blocksOf(inWidth);
    const int8_t* x = row(reinterpret_cast<const int8_t*>(GemvRows::x(call.op)), r, blocks * blockSize);
    return {
        prepareX<W>(x, blocks, reinterpret_cast<int8_t*>(prepared)), row(GemvRows::xScales(call.op), r, blocks),
        row(GemvRows::xSums(call.op), r, blocks)};
  } else {
    return row(reinterpret_cast<const float*>(GemvRows::x(call.op)), r, inWidth);
  }
}

/** The outputs of a list of one row of x, rows of a float format `n` at a time. */
template <int n, class W>
RELUFY_LOOP void gemvFloats(
    const Floats<W>& w, const float* x, int inWidth, const int32_t* list, int count, const float* bias, float* out) {
  for (int i = 0; i < count; i += n) {
    const int some = least(n, count - i);
    const W* rows[n];
    for (int j = 0; j < n; j++) rows[j] = reinterpret_cast<const W*>(w.row(list[i + least(j, some - 1)]));
    float sums[n];
    dotRows<n>(x, inWidth, rows, sums);
    for (int j = 0; j < some; j++) finish(out, nullptr, bias, list[i + j], sums[j]);
  }
}

/** The same for a block format; asks for the rows ahead if they are scattered. */
template <class F>
RELUFY_LOOP void gemvBlocks(
    const Blocks<F>& w, const QuantizedRow& x, const int32_t* list, int count, const float* bias, float* out,
    bool scattered) {
  const int lines = static_cast<int>(w.rowBytes / 64);
  const int group = scattered ? most(1, least(mostAhead, static_cast<int>(aheadBytes / w.rowBytes))) : count;
  for (int i = 0; i < count; i += group) {
    const int after = scattered ? least(group, count - i - group) : 0;
    int row = 0;
    size_t at = 0;
    for (int j = i; j < least(i + group, count); j++) {
      if (after > 0)
        for (int line = 0; line < lines && at < w.rowBytes; line++) {
          prefetchFar(w.row(list[i + group + row]) + at);
          if (++row == after) {
            row = 0;
            at += 64;
          }
        }
      const char* weights = w.row(list[j]);
      finish(out, nullptr, bias, list[j], scattered ? dotBlocks(w, weights, x) : dotBlocks<F, true>(w, weights, x));
    }
  }
}

template <class W>
static inline void gemvList(
    const Matrix<W>& w, const Input<W>& x, int inWidth, const int32_t* list, int count, const float* bias, float* out,
    bool scattered) {
  if constexpr (isBlocks<W>) gemvBlocks(w, x, list, count, bias, out, scattered);
  else if (scattered) gemvFloats<stepRows>(w, x, inWidth, list, count, bias, out);
  else gemvFloats<gemvBlock>(w, x, inWidth, list, count, bias, out);
}

/** Many rows of x over the outputs [first, last). */
template <class W>
static inline void gemvChunks(const Call& call, const Matrix<W>& w, int inWidth, int outWidth, int first, int last) {
  const int chunk = most(gemvBlock, static_cast<int>(chunkBytes / w.rowBytes));
  const size_t stride = preparedBytes(inWidth);
  int* next = reinterpret_cast<int*>(call.scratch);
  char* prepared = call.scratch + (static_cast<size_t>(call.rows) * sizeof(int) + 63) / 64 * 64;
  const auto preparedOf = [&](int r) { return prepared + (isBlocks<W> ? static_cast<size_t>(r) * stride : 0); };
  for (int r = 0; r < call.rows; r++) {
    inputOf<W>(call, r, inWidth, preparedOf(r));
    const int32_t* list = row(GemvRows::active(call.op), r, outWidth);
    next[r] = 0;
    while (next[r] < GemvRows::activeCount(call.op)[r] && list[next[r]] < first) next[r]++;
  }
  for (int n = first; n < last; n += chunk)
    for (int r = 0; r < call.rows; r++) {
      const int32_t* list = row(GemvRows::active(call.op), r, outWidth) + next[r];
      const int left = GemvRows::activeCount(call.op)[r] - next[r];
      int count = 0;
      while (count < left && list[count] < least(n + chunk, last)) count++;
      next[r] += count;
      gemvList<W>(
          w, inputOf<W>(call, r, inWidth, preparedOf(r)), inWidth, list, count, GemvRows::bias(call.op),
          row(GemvRows::out(call.op), r, outWidth), !isBlocks<W>);
    }
}

template <class W>
static inline void gemvRowsOf(const Call& call) {
  const int inWidth = GemvRows::inWidth(call.op);
  const int outWidth = GemvRows::outWidth(call.op);
  const Matrix<W> w(GemvRows::w(call.op), inWidth, GemvRows::table(call.op));
  if (call.rows >= manyRows) {
    const int first = share(outWidth, outputUnit, call.thread, call.threads);
    const int last = share(outWidth, outputUnit, call.thread + 1, call.threads);
    if (first < last) gemvChunks<W>(call, w, inWidth, outWidth, first, last);
    return;
  }
  for (int r = 0; r < call.rows; r++) {
    const int total = GemvRows::activeCount(call.op)[r];
    const int first = share(total, 1, call.thread, call.threads);
    const int count = share(total, 1, call.thread + 1, call.threads) - first;
    if (count == 0) continue;
    const int32_t* list = row(GemvRows::active(call.op), r, outWidth) + first;
    const Input<W> x = inputOf<W>(call, r, inWidth, call.scratch);
    float* out = row(GemvRows::out(call.op), r, outWidth);
    const int span = list[count - 1] - list[0] + 1;
    const bool scattered = static_cast<float>(count) < denseShare * static_cast<float>(span);
    gemvList<W>(w, x, inWidth, list, count, GemvRows::bias(call.op), out, scattered);
  }
}

static void gemvRows(const Call& call) {
  switch (GemvRows::dtype(call.op)) {
    case dtypeF32: return gemvRowsOf<float>(call);
    case dtypeBf16: return gemvRowsOf<bf16>(call);
    case dtypeInt8: return gemvRowsOf<Int8>(call);
    case dtypeInt4: return gemvRowsOf<Int4>(call);
    case dtypeUint4: return gemvRowsOf<Uint4>(call);
    default: __builtin_trap();
  }
}

static inline size_t gemvRowsScratch(Record op, int rows) {
  return static_cast<size_t>(rows + 32) * sizeof(int) + static_cast<size_t>(most(1, rows)) * preparedBytes(GemvRows::inWidth(op));
}

template <class W>
static inline void axpyRowsOf(const Call& call) {
  const Product p = {
      AxpyRows::x(call.op), AxpyRows::bias(call.op), AxpyRows::residual(call.op), AxpyRows::out(call.op), call.rows,
      AxpyRows::inWidth(call.op), AxpyRows::outWidth(call.op)};
  const ActiveInputs inputs = {AxpyRows::active(call.op), AxpyRows::activeCount(call.op), p.inWidth};
  transposedProduct<W>(call, p, Matrix<W>(AxpyRows::w(call.op), p.outWidth, AxpyRows::table(call.op)), inputs);
}

static void axpyRows(const Call& call) {
  switch (AxpyRows::dtype(call.op)) {
    case dtypeF32: return axpyRowsOf<float>(call);
    case dtypeBf16: return axpyRowsOf<bf16>(call);
    case dtypeInt8: return axpyRowsOf<Int8>(call);
    case dtypeInt4: return axpyRowsOf<Int4>(call);
    case dtypeUint4: return axpyRowsOf<Uint4>(call);
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
