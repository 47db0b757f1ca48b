// linear over a transposed weight, and axpyRows: which path a call takes. The order of summation is that of axpy.h.
//
//   few rows:             parts of the inputs are split across the threads; a barrier; columns are split, and the parts added
//   many rows, dense:     rows or columns are split; gemm by panels, or the sparse way where the numbers are mostly zeros
//   many rows, sparse:    columns are split; a part of the weights stays in L2 while a block of rows adds its members;
//                         where the lists are long, as dense: what is not listed is zero
#pragma once
#include "gemm-transposed.h"

namespace relufy::RELUFY_ISA {

/** From this many rows on, threads own columns and not inputs. */
constexpr int manyRows = 4;
/** Rows of a sparse step that pass over a part of the weights together. */
constexpr int sparseRowBlock = 16;

RELUFY_INLINE static int paddedColumns(int columns) { return (columns + columnUnit - 1) / columnUnit * columnUnit; }

/** What an op has to say of the inputs of each row: the active ones, or (null) all. */
struct ActiveInputs {
  const int32_t* active;
  const int32_t* counts;
  int inWidth;
  RELUFY_INLINE Inputs of(int r) const { return {row(active, r, inWidth), 0, counts != nullptr ? counts[r] : inWidth}; }
};

static inline size_t fewRowsShared(int inWidth, int outWidth) {
  return static_cast<size_t>(manyRows * partsOf(inWidth)) * static_cast<size_t>(paddedColumns(outWidth)) * sizeof(float);
}

template <class M>
static inline void fewRows(const Call& call, const Product& p, const M& w, const ActiveInputs& inputs) {
  const int partCount = partsOf(p.inWidth);
  const int padded = paddedColumns(p.outWidth);
  float* all = reinterpret_cast<float*>(call.shared);
  const auto sumsOf = [&](int r, int part) { return row(all, r * partCount + part, padded); };
  const int first = share(partCount, 1, call.thread, call.threads);
  const int last = share(partCount, 1, call.thread + 1, call.threads);
  for (int r = 0; r < p.rows; r++) {
    Inputs mine = inputs.of(r);
    mine.count = mine.before(partStart(p.inWidth, last));
    mine = mine.from(mine.before(partStart(p.inWidth, first)));
    for (int part = first; part < last; part++) {
      const int count = mine.before(partStart(p.inWidth, part + 1));
      memset(sumsOf(r, part), 0, static_cast<size_t>(padded) * sizeof(float));
      addRows(sumsOf(r, part), w, 0, p.outWidth, row(p.x, r, p.inWidth), mine, count, true);
      mine = mine.from(count);
    }
  }
  // a thread whose parts are a branch of the tree adds them before the others need to see them
  const bool branch = partCount % call.threads == 0 && (call.threads & (call.threads - 1)) == 0;
  const int own = branch ? partCount / call.threads : 1;
  for (int step = 1; step < own; step *= 2)
    for (int r = 0; r < p.rows; r++)
      for (int part = first; part < last; part += 2 * step) addRun(sumsOf(r, part), sumsOf(r, part + step), padded);
  call.barrier(call.team);
  const int c = share(p.outWidth, columnUnit, call.thread, call.threads);
  const int columns = share(p.outWidth, columnUnit, call.thread + 1, call.threads) - c;
  if (columns == 0) return;
  for (int r = 0; r < p.rows; r++) {
    for (int step = own; step < partCount; step *= 2)
      for (int part = 0; part < partCount; part += 2 * step)
        addRun(sumsOf(r, part) + c, sumsOf(r, part + step) + c, paddedColumns(columns));
    finishRun(row(p.out, r, p.outWidth), row(p.residual, r, p.outWidth), p.bias, sumsOf(r, 0) + c, c, columns);
  }
}

static inline size_t manySparseScratch(int columns) {
  return static_cast<size_t>(sparseRowBlock * (1 + partLevels)) * static_cast<size_t>(columns) * sizeof(float) + 64;
}

template <class M>
static inline void manySparseRows(
    const Product& p, const M& w, const ActiveInputs& inputs, int first, int last, char* scratch) {
  const int partCount = partsOf(p.inWidth);
  const int columns = paddedColumns(last - first);
  const int sumCount = sparseRowBlock * columns;
  float* sums = reinterpret_cast<float*>(scratch);
  float* levels = sums + sumCount;
  for (int r0 = 0; r0 < p.rows; r0 += sparseRowBlock) {
    const int rows = least(sparseRowBlock, p.rows - r0);
    Inputs left[sparseRowBlock];
    for (int r = 0; r < rows; r++) left[r] = inputs.of(r0 + r);
    for (int part = 0; part < partCount; part++) {
      memset(sums, 0, static_cast<size_t>(rows * columns) * sizeof(float));
      for (int r = 0; r < rows; r++) {
        const int count = left[r].before(partStart(p.inWidth, part + 1));
        addRows(sums + r * columns, w, first, last - first, row(p.x, r0 + r, p.inWidth), left[r], count, false);
        left[r] = left[r].from(count);
      }
      addParts(sums, levels, part, partCount, rows * columns);
    }
    for (int r = 0; r < rows; r++)
      finishRun(
          row(p.out, r0 + r, p.outWidth), row(p.residual, r0 + r, p.outWidth), p.bias, sums + r * columns, first,
          last - first);
  }
}

/** `rows` rows of a product from row r on. */
RELUFY_INLINE static Product rowsOf(const Product& p, int r, int rows) {
  return {row(p.x, r, p.inWidth), p.bias, row(p.residual, r, p.outWidth), row(p.out, r, p.outWidth), rows, p.inWidth, p.outWidth};
}

/** Below this share of non-zeros a dense product goes by the rows of the weight that they need: the bits are the same. */
constexpr float sparseInputs = 0.3f;

static inline bool hasSparseInputs(const Product& p) {
  int count = 0;
  for (int r = 0; r < p.rows; r++) {
    const float* x = row(p.x, r, p.inWidth);
    for (int k = 0; k < p.inWidth; k += lanes) {
      const int n = least(lanes, p.inWidth - k);
      count += __builtin_popcount(nonZeroBits(n == lanes ? load(x + k) : loadFirst(x + k, n)));
    }
  }
  return static_cast<float>(count) < sparseInputs * static_cast<float>(p.rows) * static_cast<float>(p.inWidth);
}

/** Columns that a block of rows of a dense product passes by its non-zeros. */
constexpr int sparseColumns = 512;

static inline size_t denseBySparseScratch(int inWidth) {
  return manySparseScratch(sparseColumns) + static_cast<size_t>(sparseRowBlock * inWidth) * sizeof(int32_t) + 64;
}

template <class M>
static inline void denseBySparse(const Product& p, const M& w, int first, int last, char* scratch) {
  int32_t* lists = reinterpret_cast<int32_t*>(scratch);
  char* rest = scratch + (static_cast<size_t>(sparseRowBlock * p.inWidth) * sizeof(int32_t) + 63) / 64 * 64;
  for (int r0 = 0; r0 < p.rows; r0 += sparseRowBlock) {
    const Product block = rowsOf(p, r0, least(sparseRowBlock, p.rows - r0));
    int32_t counts[sparseRowBlock] = {};
    for (int r = 0; r < block.rows; r++) {
      const float* x = row(block.x, r, p.inWidth);
      int32_t* list = row(lists, r, p.inWidth);
      for (int k = 0; k < p.inWidth; k += lanes) {
        const int n = least(lanes, p.inWidth - k);
        uint32_t bits = nonZeroBits(n == lanes ? load(x + k) : loadFirst(x + k, n));
        for (; bits != 0; bits &= bits - 1) list[counts[r]++] = k + __builtin_ctz(bits);
      }
    }
    for (int c = first; c < last; c += sparseColumns)
      manySparseRows(block, w, {lists, counts, p.inWidth}, c, least(last, c + sparseColumns), rest);
  }
}

/**
 * Fewer rows do not pay for widening a panel of blocks: each widens what it adds. int8, one thread (Zen 4, AVX2), 4, 6, 8 and 16
 * rows: 11, 15, 19 and 30 GFLOP/s by panels, 36 or 37 by rows; int4 11, 16, 19 and 31, and 27.
 */
template <class W>
constexpr int leastPanelRows = isBlocks<W> ? 16 : 0;

/** Many rows, dense: rows are split where there are enough for every thread, else columns. */
template <class W, class M>
static inline void manyDenseRows(const Call& call, const Product& p, const M& w) {
  const bool byRows = p.rows >= transposedRows * call.threads;
  const int unit = byRows ? transposedRows : columnUnit;
  const int from = share(byRows ? p.rows : p.outWidth, unit, call.thread, call.threads);
  const int to = share(byRows ? p.rows : p.outWidth, unit, call.thread + 1, call.threads);
  const int first = byRows ? 0 : from;
  const int last = byRows ? p.outWidth : to;
  if (first == last) return;
  const int lastRow = byRows ? to : p.rows;
  for (int r = byRows ? from : 0; r < lastRow; r += transposedRows) {
    const Product block = rowsOf(p, r, least(transposedRows, lastRow - r));
    if (block.rows < leastPanelRows<W> || hasSparseInputs(block)) denseBySparse(block, w, first, last, call.scratch);
    else gemmTransposed<W>(block, w, first, last, reinterpret_cast<float*>(call.scratch));
  }
}

/**
 * From this share of the inputs on, lists of many rows cost more than the dense product, which adds the zeros too: the bits are
 * the same. int8, 128 rows, a layer of TinyLlama's shape, one thread (Xeon of 2023): 0.3 146 against 177 ms, 0.5 191 against 183.
 */
constexpr float longLists = 0.5f;

static inline bool hasLongLists(const Product& p, const ActiveInputs& inputs) {
  int64_t listed = 0;
  for (int r = 0; r < p.rows; r++) listed += inputs.of(r).count;
  return static_cast<float>(listed) >= longLists * static_cast<float>(p.rows) * static_cast<float>(p.inWidth);
}

template <class W, class M>
static inline void transposedProduct(const Call& call, const Product& p, const M& w, const ActiveInputs& inputs) {
  if (p.rows == 0) return;
  if (p.rows < manyRows) return fewRows(call, p, w, inputs);
  // with a table, rows that are not listed are not there
  if (inputs.active == nullptr || (w.table == nullptr && hasLongLists(p, inputs))) return manyDenseRows<W>(call, p, w);
  const int first = share(p.outWidth, columnUnit, call.thread, call.threads);
  const int last = share(p.outWidth, columnUnit, call.thread + 1, call.threads);
  if (first < last) manySparseRows(p, w, inputs, first, last, call.scratch);
}

/** Columns that one thread owns, at most. */
RELUFY_INLINE static int columnsOf(int outWidth, int threads) {
  const int units = (outWidth + columnUnit - 1) / columnUnit;
  return (units + threads - 1) / threads * columnUnit;
}

static inline size_t transposedScratch(int inWidth, int outWidth, int rows, int threads, bool sparse) {
  const auto larger = [](size_t a, size_t b) { return a > b ? a : b; };
  if (rows < manyRows) return 0;
  const size_t dense = larger(gemmTransposedScratch(rows), denseBySparseScratch(inWidth));
  return sparse ? larger(dense, manySparseScratch(columnsOf(outWidth, threads))) : dense;
}

}  // namespace relufy::RELUFY_ISA
