// A product by the tiles of outer.h, or by the non-zeros of its A (outer-sparse.h): how C is split and blocked. A block of
// rows decides for itself which it takes; the bits are the same. Columns of B are packed when the first dense block needs
// them. What is left over of rows and columns is padded with zeros and goes by way of `edge`.
#pragma once
#include "outer-sparse.h"

namespace relufy::RELUFY_ISA {

constexpr size_t outerScratch =
    static_cast<size_t>(outerDepth * outerColumns + 8 * rowStripFloats + outerRows * tileColumns + lanes) * sizeof(float) +
    sizeof(NonZeros);

/** A block of C by tiles. */
static inline void denseBlock(
    const OuterProduct& p, const OuterBlock& block, const float* columnStrips, float* rowStrips) {
  const auto [i0, rows, j0, columns, p0, depth] = block;
  float* edge = rowStrips + 8 * rowStripFloats + lanes;
  const bool byRows = p.a.columnStride == 1;
  const size_t stride = static_cast<size_t>(p.columns);
  packRowStrips(p.a, i0, rows, p0, depth, rowStrips);
  for (int i = 0; i < rows; i += outerRows)
    for (int j = 0; j < columns; j += tileColumns) {
      const float* a = rowStrips + i / outerRows * rowStripFloats;
      const float* b = columnStrips + j * depth;
      const size_t place = static_cast<size_t>(i0 + i) * stride + static_cast<size_t>(j0 + j);
      const float* base = p.base != nullptr ? p.base + place : nullptr;
      float* out = p.out + place;
      const Lines<const float> strip = {b, tileColumns};
      const int terms = depth;
      const auto tile = [&](const float* kept, Lines<float> to) {
        if (byRows) outerTile<outerRows, outerVectors, true, outerStride>({a, 0}, strip, terms, {kept, stride}, to);
        else outerTile<outerRows, outerVectors, false, outerRows>({a, 0}, strip, terms, {kept, stride}, to);
      };
      if (i + outerRows <= rows && j + tileColumns <= columns) {
        tile(base, {out, stride});
        continue;
      }
      tile(nullptr, {edge, tileColumns});
      const int width = least(tileColumns, columns - j);
      for (int r = 0; r < least(outerRows, rows - i); r++)
        for (int c = 0; c < width; c++) {
          const size_t at = static_cast<size_t>(r) * stride + static_cast<size_t>(c);
          const float sum = edge[r * tileColumns + c];
          out[at] = base != nullptr ? base[at] + sum : sum;
        }
    }
}

/** Rows [firstRow, lastRow) and columns [firstColumn, lastColumn) of C. */
static inline void outerProduct(
    const OuterProduct& whole, int firstRow, int lastRow, int firstColumn, int lastColumn, char* scratch) {
  NonZeros& list = *reinterpret_cast<NonZeros*>(scratch);
  float* columnStrips = reinterpret_cast<float*>(scratch + sizeof(NonZeros));
  float* rowStrips = columnStrips + outerDepth * outerColumns;
  const size_t stride = static_cast<size_t>(whole.columns);
  OuterProduct p = whole;
  for (int j0 = firstColumn; j0 < lastColumn; j0 += outerColumns)
    for (int p0 = 0; p0 < p.depth; p0 += outerDepth) {
      const int columns = least(outerColumns, lastColumn - j0);
      const int depth = least(outerDepth, p.depth - p0);
      p.base = p0 > 0 ? p.out : whole.base;
      bool packed = false;
      for (int i0 = firstRow; i0 < lastRow; i0 += outerRowBlock) {
        const int rows = least(outerRowBlock, lastRow - i0);
        if (p.b.columnStride == 1 && isSparse(p.a, i0, rows, p0, depth)) {
          const size_t place = static_cast<size_t>(i0) * stride;
          listNonZeros(p.a, i0, rows, p0, depth, list);
          sparseRows(
              list, rows, {p.b.at(p0, j0), p.b.rowStride}, Lines<const float>{p.base, stride}.right(place + static_cast<size_t>(j0)),
              Lines<float>{p.out, stride}.right(place + static_cast<size_t>(j0)), columns);
          continue;
        }
        if (!packed) packColumnStrips(p.b, p0, depth, j0, columns, columnStrips);
        packed = true;
        denseBlock(p, {i0, rows, j0, columns, p0, depth}, columnStrips, rowStrips);
      }
    }
}

/** This thread's share of C: of its rows or its columns, whichever can be split finer. */
static inline void outerProductShare(const Call& call, const OuterProduct& p, int rows) {
  const bool dealRows = rows / outerRows >= p.columns / tileColumns;
  const auto from = [&](int thread) {
    return dealRows ? share(rows, outerRows, thread, call.threads) : share(p.columns, tileColumns, thread, call.threads);
  };
  const int first = from(call.thread);
  const int last = from(call.thread + 1);
  if (first == last) return;
  if (dealRows) outerProduct(p, first, last, 0, p.columns, call.scratch);
  else outerProduct(p, 0, rows, first, last, call.scratch);
}

}  // namespace relufy::RELUFY_ISA
