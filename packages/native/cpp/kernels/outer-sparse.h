// Outer products (outer.h) whose A is mostly zeros, as activations after a ReLU and their gradients are: rows of B are added
// for the non-zeros alone. The order of summation is outer.h's, and a zero adds nothing to a sum that began at +0: the
// bits are those of the dense tile, so which one runs may depend on the numbers.
//
//   for each row i of a block: list[i] = the p, ascending, with A[i][p] != 0
//   for `sparseVectors` vectors of columns at a time, in registers: s = sum over the list of A[i][p] B[p]; C[i] = base[i] + s
//
// B's rows are read as they lie; a block of them stays in L2. A non-zero costs about twice what an element costs the dense
// tile (the bandwidth of L2), hence `sparseShare`.
#pragma once
#include "outer.h"

namespace relufy::RELUFY_ISA {

/** Below this share of non-zeros a block takes this path. */
constexpr float sparseShare = 0.4f;
constexpr int sparseVectors = lanes == 16 ? 16 : 8;

/** Non-zeros of a block of A, a list a row. */
struct NonZeros {
  int count[outerRowBlock];
  int32_t place[outerRowBlock][outerDepth];
  float value[outerRowBlock][outerDepth];

  RELUFY_INLINE void append(int i, int p, float a) {
    place[i][count[i]] = p;
    value[i][count[i]++] = a;
  }
};

/** Calls `each(i, p, first, n, bits)` for the runs of n <= lanes numbers of a block of A that hold non-zeros. */
template <class Each>
RELUFY_INLINE static void scanBlock(const Strided& a, int i0, int rows, int p0, int depth, const Each& each) {
  const bool byRows = a.columnStride == 1;
  const int outer = byRows ? rows : depth;
  const int inner = byRows ? depth : rows;
  for (int o = 0; o < outer; o++) {
    const float* from = byRows ? a.at(i0 + o, p0) : a.at(i0, p0 + o);
    for (int k = 0; k < inner; k += lanes) {
      const int n = least(lanes, inner - k);
      const uint32_t bits = nonZeroBits(n == lanes ? load(from + k) : loadFirst(from + k, n));
      if (bits != 0) each(byRows ? o : k, byRows ? k : o, from + k, bits);
    }
  }
}

static inline bool isSparse(const Strided& a, int i0, int rows, int p0, int depth) {
  int count = 0;
  scanBlock(a, i0, rows, p0, depth, [&](int, int, const float*, uint32_t bits) { count += __builtin_popcount(bits); });
  return static_cast<float>(count) < sparseShare * static_cast<float>(rows * depth);
}

static inline void listNonZeros(const Strided& a, int i0, int rows, int p0, int depth, NonZeros& to) {
  memset(to.count, 0, sizeof to.count);
  if (a.columnStride == 1)
    scanBlock(a, i0, rows, p0, depth, [&](int i, int p, const float* from, uint32_t bits) {
      for (; bits != 0; bits &= bits - 1) to.append(i, p + __builtin_ctz(bits), from[__builtin_ctz(bits)]);
    });
  else
    scanBlock(a, i0, rows, p0, depth, [&](int i, int p, const float* from, uint32_t bits) {
      for (; bits != 0; bits &= bits - 1) to.append(i + __builtin_ctz(bits), p, from[__builtin_ctz(bits)]);
    });
}

/** c = base + sum over a list of value[t] b[place[t]], for `vectors` vectors, or the first `columns` numbers of one. */
template <int vectors, bool partial = false>
RELUFY_LOOP void sparseRow(
    const int32_t* place, const float* value, int count, const float* b, size_t bStride, const float* base, float* c,
    int columns = lanes) {
  const auto fetch = [&](const float* at) { return partial ? loadFirst(at, columns) : load(at); };
  Vec s[vectors];
#pragma GCC unroll 16
  for (int v = 0; v < vectors; v++) s[v] = zero();
  for (int t = 0; t < count; t++) {
    const float* from = b + static_cast<size_t>(place[t]) * bStride;
    const Vec a = splat(value[t]);
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++) s[v] = fma(fetch(from + v * lanes), a, s[v]);
  }
#pragma GCC unroll 16
  for (int v = 0; v < vectors; v++) {
    const Vec sum = base != nullptr ? add(fetch(base + v * lanes), s[v]) : s[v];
    if constexpr (partial) storeFirst(c + v * lanes, sum, columns);
    else store(c + v * lanes, sum);
  }
}

/** A block of rows of C: `columns` columns += the listed rows of B; b, base and out begin at the first of them. */
static inline void sparseRows(
    const NonZeros& a, int rows, Lines<const float> b, Lines<const float> base, Lines<float> out, int columns) {
  const auto run = [&](auto row, int j, int n) {
    for (int i = 0; i < rows; i++) {
      const size_t at = static_cast<size_t>(i) * out.stride + static_cast<size_t>(j);
      const float* kept = base.data != nullptr ? base.data + at : nullptr;
      row(a.place[i], a.value[i], a.count[i], b.data + j, b.stride, kept, out.data + at, n);
    }
  };
  int j = 0;
  for (; j + sparseVectors * lanes <= columns; j += sparseVectors * lanes) run(sparseRow<sparseVectors>, j, lanes);
  for (; j + 4 * lanes <= columns; j += 4 * lanes) run(sparseRow<4>, j, lanes);
  for (; j + lanes <= columns; j += lanes) run(sparseRow<1>, j, lanes);
  if (j < columns) run(sparseRow<1, true>, j, columns - j);
}

}  // namespace relufy::RELUFY_ISA
