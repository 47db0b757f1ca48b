// scatterAdd and place: the gradients of gather, for a table that is trained and for one that is an activation.
//
//   scatterAdd:  for each row r, in order, for my columns c: table[index[r]][c] += x[r][c]
//   place:       out[r] = from[r] < 0 ? 0 : x[from[r]]; rows are split across the threads
#pragma once
#include "column-sums.h"

namespace relufy::RELUFY_ISA {

static void scatterAdd(const Call& call) {
  const int width = ScatterAdd::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  for (int r = 0; r < call.rows; r++) {
    const float* x = row(ScatterAdd::x(call.op), r, width);
    float* entry = row(ScatterAdd::table(call.op), ScatterAdd::index(call.op)[r], width);
    for (int c = first; c < last; c += lanes) {
      const int n = least(lanes, last - c);
      put(entry + c, add(take(entry + c, n), take(x + c, n)), n);
    }
  }
}

static void place(const Call& call) {
  const int width = Place::width(call.op);
  const size_t bytes = static_cast<size_t>(width) * sizeof(float);
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++) {
    const int from = Place::from(call.op)[r];
    float* out = row(Place::out(call.op), r, width);
    if (from < 0) memset(out, 0, bytes);
    else memcpy(out, row(Place::x(call.op), from, width), bytes);
  }
}

}  // namespace relufy::RELUFY_ISA
