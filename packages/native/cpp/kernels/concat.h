// concat: what was computed apart, side by side.
//
//   for each row r: out[r] = a[r], b[r], c[r]
//
// Rows are split across the threads; with fewer rows than threads, columns are.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

static void concat(const Call& call) {
  const float* parts[] = {Concat::a(call.op), Concat::b(call.op), Concat::c(call.op)};
  const int widths[] = {Concat::aWidth(call.op), Concat::bWidth(call.op), Concat::cWidth(call.op)};
  const int width = widths[0] + widths[1] + widths[2];
  const bool byRows = call.rows >= call.threads;
  const int lastRow = byRows ? share(call.rows, 1, call.thread + 1, call.threads) : call.rows;
  const int first = byRows ? 0 : share(width, 16, call.thread, call.threads);
  const int last = byRows ? width : share(width, 16, call.thread + 1, call.threads);
  for (int r = byRows ? share(call.rows, 1, call.thread, call.threads) : 0; r < lastRow; r++) {
    float* out = row(Concat::out(call.op), r, width);
    int at = 0;
    for (int i = 0; i < 3; at += widths[i], i++) {
      const int from = most(first, at);
      const int to = least(last, at + widths[i]);
      if (from < to)
        memcpy(out + from, row(parts[i], r, widths[i]) + from - at, static_cast<size_t>(to - from) * sizeof(float));
    }
  }
}

}  // namespace relufy::RELUFY_ISA
