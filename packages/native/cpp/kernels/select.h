// selectActive: which channels or neurons are not zero.
//
//   active[r] = ascending indices of the non-zeros of x[r]; activeCount[r] = how many
//
// Rows are split across the threads. When there are fewer rows than threads, columns are: each thread counts the non-zeros
// before its share, which is ten times faster than listing them, and so knows where its part of the list begins.
#pragma once
#include "simd.h"

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
      n += storePlaces(active + n, nonZeroBits(left >= lanes ? load(x + c) : loadFirst(x + c, left)), c);
    }
    if (last == width && (byRows || call.thread == call.threads - 1)) SelectActive::activeCount(call.op)[r] = n;
  }
}

}  // namespace relufy::RELUFY_ISA
