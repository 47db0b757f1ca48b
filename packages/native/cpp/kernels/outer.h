// Products of matrices by outer products, for many rows of f32: the gradients of weights and of inputs.
//
//   C[i][j] = base[i][j] + sum over blocks of `outerDepth` p, in order, of (sum over p, in order, of A[i][p] B[p][j])
//
// Each inner sum begins at +0. One thread owns an element of C, so how C is split does not change its bits.
//
//   packed B: strips of `tileColumns` columns, [p][tileColumns]; stays in L2 while all rows pass
//   packed A: strips of `outerRows` rows, as they lie: [row][outerStride] where p is contiguous, else [p][outerRows]
//   tile: outerRows x outerVectors vectors in registers
//
// Owns tiles and packing. outer-product.h puts them together.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

constexpr int tileColumns = outerVectors * lanes;
constexpr int outerDepth = 256;
/** Columns of B, and rows of A, that are packed at a time. */
constexpr int outerColumns = (512 + tileColumns - 1) / tileColumns * tileColumns;
constexpr int outerRowBlock = 8 * outerRows;
/** From one packed row of A to the next: not a power of two, for the sets of L1. */
constexpr int outerStride = outerDepth + 16;

/** Element (i, j) lies at data[i * rowStride + j * columnStride]; one of the strides is 1. */
struct Strided {
  const float* data;
  size_t rowStride;
  size_t columnStride;
  RELUFY_INLINE const float* at(int i, int j) const {
    return data + static_cast<size_t>(i) * rowStride + static_cast<size_t>(j) * columnStride;
  }
};

/** Lines of numbers, from one to the next `stride` of them. */
template <class T>
struct Lines {
  T* data;
  size_t stride;
  RELUFY_INLINE Lines right(size_t numbers) const { return {data != nullptr ? data + numbers : nullptr, stride}; }
};

/**
 * c = base + A B, base null: A B; `depth` terms. A[i][p] lies at a.data[i * a.stride + p] `byRows`, else at a.data[p * a.stride + i].
 * A `fixedStride` takes the place of a.stride. With `partial`, one vector of which `columns` numbers count.
 */
template <int rows, int vectors, bool byRows, int fixedStride = 0, bool partial = false>
RELUFY_LOOP void outerTile(
    Lines<const float> as, Lines<const float> bs, int depth, Lines<const float> base, Lines<float> out,
    int columns = lanes) {
  const size_t stride = fixedStride > 0 ? static_cast<size_t>(fixedStride) : as.stride;
  const float* a = as.data;
  const float* b = bs.data;
  const auto take = [&](const float* at) { return partial ? loadFirst(at, columns) : load(at); };
  Vec s[rows][vectors];
#pragma GCC unroll 32
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) s[i][v] = zero();
  for (int p = 0; p < depth; p++, b += bs.stride, a += byRows ? 1 : stride) {
    Vec bp[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) bp[v] = take(b + v * lanes);
#pragma GCC unroll 32
    for (int i = 0; i < rows; i++) {
      const Vec ai = splat(a[byRows ? static_cast<size_t>(i) * stride : static_cast<size_t>(i)]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) s[i][v] = fma(bp[v], ai, s[i][v]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) {
      const float* kept = base.data + static_cast<size_t>(i) * base.stride + v * lanes;
      const Vec sum = base.data != nullptr ? add(take(kept), s[i][v]) : s[i][v];
      float* to = out.data + static_cast<size_t>(i) * out.stride + v * lanes;
      if constexpr (partial) storeFirst(to, sum, columns);
      else store(to, sum);
    }
  }
}

/** outerTile over any number of columns. */
template <int rows, bool byRows>
static inline void outerRun(
    Lines<const float> a, Lines<const float> b, int depth, Lines<const float> base, Lines<float> c, int columns) {
  const auto at = [](int column) { return static_cast<size_t>(column); };
  int j = 0;
  for (; j + tileColumns <= columns; j += tileColumns)
    outerTile<rows, outerVectors, byRows>(a, b.right(at(j)), depth, base.right(at(j)), c.right(at(j)));
  for (; j + lanes <= columns; j += lanes)
    outerTile<rows, 1, byRows>(a, b.right(at(j)), depth, base.right(at(j)), c.right(at(j)));
  if (j < columns)
    outerTile<rows, 1, byRows, 0, true>(a, b.right(at(j)), depth, base.right(at(j)), c.right(at(j)), columns - j);
}

/** C = base + A B; `base` may be `out`, or null. Rows of base and out are `columns` numbers. */
struct OuterProduct {
  Strided a;
  Strided b;
  const float* base;
  float* out;
  int columns;
  int depth;
};

/** A part of a product: rows i0 .. i0 + rows and columns j0 .. j0 + columns of C, numbers p0 .. p0 + depth of each sum. */
struct OuterBlock {
  int i0;
  int rows;
  int j0;
  int columns;
  int p0;
  int depth;
};

/** Rows p0 .. p0 + depth of B, columns j0 .. j0 + columns, as strips. */
static inline void packColumnStrips(const Strided& b, int p0, int depth, int j0, int columns, float* to) {
  for (int j = 0; j < columns; j += tileColumns, to += depth * tileColumns) {
    const int count = least(tileColumns, columns - j);
    if (b.columnStride == 1) {
      for (int p = 0; p < depth; p++) {
        const float* from = b.at(p0 + p, j0 + j);
        for (int c = 0; c < tileColumns; c += lanes) {
          const int n = most(0, least(lanes, count - c));
          store(to + p * tileColumns + c, n == lanes ? load(from + c) : loadFirst(from + c, n));
        }
      }
      continue;
    }
    for (int c = 0; c < count; c++) {
      const float* from = b.at(p0, j0 + j + c);
      for (int p = 0; p < depth; p++) to[p * tileColumns + c] = from[p];
    }
    for (int c = count; c < tileColumns; c++)
      for (int p = 0; p < depth; p++) to[p * tileColumns + c] = 0;
  }
}

constexpr int rowStripFloats = outerRows * outerStride;
static_assert(outerDepth * outerRows + lanes <= rowStripFloats, "a strip of either kind fits");

/** Rows i0 .. i0 + rows of A, numbers p0 .. p0 + depth of each, as strips. */
static inline void packRowStrips(const Strided& a, int i0, int rows, int p0, int depth, float* to) {
  for (int i = 0; i < rows; i += outerRows, to += rowStripFloats) {
    const int count = least(outerRows, rows - i);
    if (a.columnStride == 1) {
      const size_t bytes = static_cast<size_t>(depth) * sizeof(float);
      for (int r = 0; r < count; r++) memcpy(to + r * outerStride, a.at(i0 + i + r, p0), bytes);
      for (int r = count; r < outerRows; r++) memset(to + r * outerStride, 0, bytes);
      continue;
    }
    for (int p = 0; p < depth; p++) {
      const float* from = a.at(i0 + i, p0 + p);
      // a whole vector reaches into the next p, which is written after it
      for (int r = 0; r < outerRows; r += lanes) {
        const int n = most(0, least(lanes, count - r));
        store(to + p * outerRows + r, n == lanes ? load(from + r) : loadFirst(from + r, n));
      }
    }
  }
}

}  // namespace relufy::RELUFY_ISA
