// axpyRows and gemvRows: the products that read only what matters. Their lists are select.h's, in ascending order.
//
//   gemvRows:      the listed outputs only; a weight row is an output: here
//   axpyRows:      the listed inputs only; a weight row is an input: transposed.h
//
// The orders of summation are those of the dense products (dot.h, block-dot.h, axpy.h): sparse equals dense, bit for bit.
//
// gemvRows, few rows of x: the list is dealt to the threads. Its rows lie anywhere, so the processor's prefetcher is of no
// use: those that come next are asked for in one go, 16 KB ahead. One thread then reads 17 GB/s of 35 (rows of 2 KB, 10 to
// 50 % of them; 10 without), which is what its 24 outstanding misses give. Tried and lost: every other line (12), the
// first lines only (12), a row's lines out of order (17), into L1 (10). Above `scanShare` it is faster to read everything
// and to drop what is not listed.
// Many rows of x: outputs are dealt to the threads, and taken in chunks that stay in L2 while every row of x passes.
#pragma once
#include "linear.h"

namespace relufy::RELUFY_ISA {

constexpr size_t aheadBytes = 16384;
constexpr float scanShare = 0.6f;
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

/** sums[i] = x times weight row list[i], for i < count <= gemvBlock. */
template <class W>
RELUFY_INLINE static void dotList(
    const Matrix<W>& w, const Input<W>& x, int inWidth, const int32_t* list, int count, float* sums) {
  if constexpr (isBlocks<W>) {
    for (int i = 0; i < count; i++) sums[i] = dotBlocks(w, w.row(list[i]), x);
  } else {
    const W* rows[gemvBlock];
    for (int i = 0; i < gemvBlock; i++) rows[i] = reinterpret_cast<const W*>(w.row(list[least(i, count - 1)]));
    dotRows<gemvBlock>(x, inWidth, rows, sums);
  }
}

/** The outputs of a list of one row of x; asks for the rows ahead unless they are in cache anyway. */
template <class W>
static inline void gemvList(
    const Matrix<W>& w, const Input<W>& x, int inWidth, const int32_t* list, int count, const float* bias, float* out,
    bool prefetching) {
  const int distance = most(1, static_cast<int>(aheadBytes / w.rowBytes) / gemvBlock) * gemvBlock;
  for (int i = 0; i < count; i += gemvBlock) {
    const int n = least(gemvBlock, count - i);
    if (prefetching)
      for (int j = i + distance; j < least(i + distance + n, count); j++)
        for (size_t at = 0; at < w.rowBytes; at += 64) prefetchFar(w.row(list[j]) + at);
    float sums[gemvBlock];
    dotList<W>(w, x, inWidth, list + i, n, sums);
    for (int j = 0; j < n; j++) finish(out, nullptr, bias, list[i + j], sums[j]);
  }
}

/** The same by reading every row between the list's first and last. */
template <class W>
static inline void gemvScan(
    const Matrix<W>& w, const Input<W>& x, int inWidth, const int32_t* list, int count, const float* bias, float* out) {
  int next = 0;
  for (int n = list[0]; next < count; n += gemvBlock) {
    int32_t rows[gemvBlock];
    for (int j = 0; j < gemvBlock; j++) rows[j] = least(n + j, list[count - 1]);
    float sums[gemvBlock];
    dotList<W>(w, x, inWidth, rows, gemvBlock, sums);
    for (; next < count && list[next] < n + gemvBlock; next++)
      finish(out, nullptr, bias, list[next], sums[list[next] - n]);
  }
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
          row(GemvRows::out(call.op), r, outWidth), false);
    }
}

template <class W>
static inline void gemvRowsOf(const Call& call) {
  const int inWidth = GemvRows::inWidth(call.op);
  const int outWidth = GemvRows::outWidth(call.op);
  const Matrix<W> w(GemvRows::w(call.op), inWidth);
  if (call.rows >= manyRows) {
    const int first = share(outWidth, outputUnit, call.thread, call.threads);
    const int last = share(outWidth, outputUnit, call.thread + 1, call.threads);
    if (first < last) gemvChunks<W>(call, w, inWidth, outWidth, first, last);
    return;
  }
  for (int r = 0; r < call.rows; r++) {
    const int total = GemvRows::activeCount(call.op)[r];
    const int first = share(total, gemvBlock, call.thread, call.threads);
    const int count = share(total, gemvBlock, call.thread + 1, call.threads) - first;
    if (count == 0) continue;
    const int32_t* list = row(GemvRows::active(call.op), r, outWidth) + first;
    const Input<W> x = inputOf<W>(call, r, inWidth, call.scratch);
    float* out = row(GemvRows::out(call.op), r, outWidth);
    const int span = list[count - 1] - list[0] + 1;
    if (static_cast<float>(count) > scanShare * static_cast<float>(span))
      gemvScan<W>(w, x, inWidth, list, count, GemvRows::bias(call.op), out);
    else gemvList<W>(w, x, inWidth, list, count, GemvRows::bias(call.op), out, true);
  }
}

static void gemvRows(const Call& call) {
  switch (GemvRows::dtype(call.op)) {
    case dtypeF32: return gemvRowsOf<float>(call);
    case dtypeBf16: return gemvRowsOf<bf16>(call);
    case dtypeInt8: return gemvRowsOf<Int8>(call);
    case dtypeInt4: return gemvRowsOf<Int4>(call);
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
