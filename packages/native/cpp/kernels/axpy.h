// axpyList: sums += x[k] * w[k] over a list of rows of a transposed weight, the heart of every product over [in, out].
//
//   for k in list, in order: for each of my columns c: sums[c] = fma(x[k], w[k][c], sums[c])
//
// This order, strictly by k from +0, is the contract of transposed weights: dense and sparse products give an output
// these bits, since a skipped k would add x[k] = 0 times a finite weight, and a sum that began at +0 does not change.
// 1. Eight rows a pass: the sums are loaded and stored once for eight multiply-adds, and eight streams are in flight.
// 2. A last pass of fewer rows is padded with the last row times 0, which changes nothing either.
// Memory: `sums` is private to the thread (L1 holds it); columns beyond `columns` are neither read nor written.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

/** Rows a pass. */
constexpr int axpyBlock = 8;

/**
 * `w` stands at my first column of row 0 (or of the first row, without a list: then the rows follow each other);
 * `stride` is a whole row.
 */
template <class W>
static inline void axpyList(
    float* sums, int columns, const W* w, size_t stride, const float* x, const int32_t* list, int count) {
  for (int i = 0; i < count; i += axpyBlock) {
    const W* rows[axpyBlock];
    Vec scale[axpyBlock];
#pragma GCC unroll 8
    for (int j = 0; j < axpyBlock; j++) {
      const int place = least(i + j, count - 1);
      const int k = list != nullptr ? list[place] : place;
      rows[j] = w + static_cast<size_t>(k) * stride;
      scale[j] = splat(i + j < count ? x[k] : 0);
    }
    int c = 0;
    for (; c + lanes <= columns; c += lanes) {
      Vec s = load(sums + c);
#pragma GCC unroll 8
      for (int j = 0; j < axpyBlock; j++) s = fma(load(rows[j] + c), scale[j], s);
      store(sums + c, s);
    }
    if (c < columns) {
      Vec s = loadFirst(sums + c, columns - c);
#pragma GCC unroll 8
      for (int j = 0; j < axpyBlock; j++) s = fma(loadFirst(rows[j] + c, columns - c), scale[j], s);
      storeFirst(sums + c, s, columns - c);
    }
  }
}

}  // namespace relufy::RELUFY_ISA
