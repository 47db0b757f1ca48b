// Sums over rows, a column at a time: gradients of biases and of the weights of norms. Columns are split across the threads.
//
//   out[c] += sum over blocks of 64 rows, in order, of (sum over the rows of a block, in order, of term(r, c))
//
// Blocks keep the rounding of thousands of rows small. Every column is a lane of its own, so its bits do not depend on
// which columns pass together.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

constexpr int sumBlock = 64;

/** `vectors` vectors of columns from c on; `term(r, c, n)` gives n numbers. */
template <int vectors, class Term>
RELUFY_INLINE static void addColumns(float* out, int rows, int c, int n, const Term& term) {
  Vec total[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) total[v] = zero();
  for (int r0 = 0; r0 < rows; r0 += sumBlock) {
    Vec sum[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sum[v] = zero();
    for (int r = r0; r < least(rows, r0 + sumBlock); r++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) sum[v] = add(sum[v], term(r, c + v * lanes, n));
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) total[v] = add(total[v], sum[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) {
    float* to = out + c + v * lanes;
    if (n == lanes) store(to, add(load(to), total[v]));
    else storeFirst(to, add(loadFirst(to, n), total[v]), n);
  }
}

/** Columns [first, last). */
template <class Term>
static inline void addColumnSums(float* out, int rows, int first, int last, const Term& term) {
  int c = first;
  for (; c + 4 * lanes <= last; c += 4 * lanes) addColumns<4>(out, rows, c, lanes, term);
  for (; c + lanes <= last; c += lanes) addColumns<1>(out, rows, c, lanes, term);
  if (c < last) addColumns<1>(out, rows, c, last - c, term);
}

}  // namespace relufy::RELUFY_ISA
