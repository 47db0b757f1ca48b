// rope: rotary positions, in place, on the first `heads` heads of each row. Units of (row, head) are split across the threads.
//
//   row of the table = [cos(0 .. half), sin(0 .. half)] of the row's position
//   for i < half: a = x[i], b = x[i + half]; x[i] = a cos - b sin; x[i + half] = b cos + a sin
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

static void rope(const Call& call) {
  const int heads = Rope::heads(call.op);
  const int rotary = Rope::rotaryDim(call.op);
  const int half = rotary / 2;
  const int last = share(call.rows * heads, 1, call.thread + 1, call.threads);
  for (int unit = share(call.rows * heads, 1, call.thread, call.threads); unit < last; unit++) {
    const int r = unit / heads;
    const float* cos = row(Rope::table(call.op), Rope::positions(call.op)[r], rotary);
    const float* sin = cos + half;
    float* a = row(Rope::x(call.op), r, Rope::width(call.op)) + (unit - r * heads) * Rope::headDim(call.op);
    float* b = a + half;
    for (int i = 0; i < half; i += lanes) {
      const int n = least(lanes, half - i);
      const auto take = [&](const float* at) { return n == lanes ? load(at + i) : loadFirst(at + i, n); };
      const auto put = [&](float* at, Vec v) { n == lanes ? store(at + i, v) : storeFirst(at + i, v, n); };
      const Vec va = take(a);
      const Vec vb = take(b);
      const Vec c = take(cos);
      const Vec s = take(sin);
      put(a, sub(mul(va, c), mul(vb, s)));
      put(b, add(mul(vb, c), mul(va, s)));
    }
  }
}

}  // namespace relufy::RELUFY_ISA
