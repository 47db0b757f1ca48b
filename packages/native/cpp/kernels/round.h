// roundRow: activations to 8 bits with one scale a row, kept as float (BitNet b1.58).
//
//   s = 127 / max(max|x|, 1e-5), NaN where x is not finite;  out = round(x * s) / s, half to even
//
// No clamp: |x * s| is at most 127 but for a rounding. Rows are split across the threads; when there are fewer rows than
// threads each thread finds the whole row's maximum and writes its share of the columns. Not when out = x (see norm.h).
#pragma once
#include <cmath>

#include "simd.h"

namespace relufy::RELUFY_ISA {

static void roundRow(const Call& call) {
  const int width = RoundRow::width(call.op);
  const float* from = RoundRow::x(call.op);
  float* to = RoundRow::out(call.op);
  const bool byRows = call.rows >= call.threads || from == to;
  const int firstRow = byRows ? share(call.rows, 1, call.thread, call.threads) : 0;
  const int lastRow = byRows ? share(call.rows, 1, call.thread + 1, call.threads) : call.rows;
  const int first = byRows ? 0 : share(width, 16, call.thread, call.threads);
  const int last = byRows ? width : share(width, 16, call.thread + 1, call.threads);
  if (first == last) return;
  for (int r = firstRow; r < lastRow; r++) {
    const float* x = row(from, r, width);
    float* out = row(to, r, width);
    const auto take = [&](int c, int n) { return n == lanes ? load(x + c) : loadFirst(x + c, n); };
    Vec top = splat(1e-5f);
    Vec strays = zero();  // x - x: 0, or NaN where x is not finite
    for (int c = 0; c < width; c += lanes) {
      const Vec v = take(c, least(lanes, width - c));
      top = max(top, absolute(v));
      strays = add(strays, sub(v, v));
    }
    const Vec scale = splat(nonZeroBits(strays) != 0 ? NAN : 127 / hmax(top));
    for (int c = first; c < last; c += lanes) {
      const int n = least(lanes, last - c);
      const Vec v = div(toFloat(toInt(mul(take(c, n), scale))), scale);
      if (n == lanes) store(out + c, v);
      else storeFirst(out + c, v, n);
    }
  }
}

}  // namespace relufy::RELUFY_ISA
