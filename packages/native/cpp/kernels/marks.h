// markActive: which neurons tokens of a slot have used, kept from step to step.
//
//   marks[slots[r]][i] = 1 where x[r][i] != 0; others stay
//
// Columns are split across the threads, since rows may be of one slot; each thread takes the rows one after the other.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

static void markActive(const Call& call) {
  const int width = MarkActive::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  for (int r = 0; r < call.rows; r++) {
    const float* x = row(MarkActive::x(call.op), r, width);
    float* marks = row(MarkActive::marks(call.op), MarkActive::slots(call.op)[r], width);
    for (int c = first; c < last; c += lanes) {
      const int n = least(lanes, last - c);
      put(marks + c, max(take(marks + c, n), whereNonZero(take(x + c, n), splat(1))), n);
    }
  }
}

}  // namespace relufy::RELUFY_ISA
