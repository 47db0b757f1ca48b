// logProb: log-probability of a target token and the index of the largest logit, a row of logits at a time.
//
//   top = max(logits); best = first index where logits = top
//   logprob = logits[target] - top - ln(sum(exp(logits - top)))
//
// Rows are split across the threads: the product before it costs a thousand times more, so a single row is not split.
#pragma once
#include <cmath>

#include "exp.h"

namespace relufy::RELUFY_ISA {

static inline float largest(const float* x, int width) {
  Vec top = splat(-INFINITY);
  int i = 0;
  for (; i + lanes <= width; i += lanes) top = max(load(x + i), top);
  float best = hmax(top);
  for (; i < width; i++) best = x[i] > best ? x[i] : best;
  return best;
}

/** Sum of exp(x - top): per lane in f32 over 256 vectors at most, those in f64. */
static inline double sumExp(const float* x, int width, float top) {
  const Vec t = splat(top);
  const int whole = wholeLanes(width);
  double total = 0;
  for (int i = 0; i < whole;) {
    const int end = least(whole, i + 256 * lanes);
    Vec sum = zero();
    for (; i < end; i += lanes) sum = add(sum, exp(sub(load(x + i), t)));
    float lane[lanes];
    store(lane, sum);
    for (int l = 0; l < lanes; l++) total += static_cast<double>(lane[l]);
  }
  for (int i = whole; i < width; i++) {
    float lane[lanes];
    store(lane, exp(splat(x[i] - top)));
    total += static_cast<double>(lane[0]);
  }
  return total;
}

static void logProb(const Call& call) {
  const int width = LogProb::width(call.op);
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++) {
    const float* x = row(LogProb::logits(call.op), r, width);
    const float top = largest(x, width);
    int best = 0;
    while (best < width - 1 && x[best] != top) best++;
    const double target = static_cast<double>(x[LogProb::target(call.op)[r]]);
    LogProb::logprob(call.op)[r] = static_cast<float>(target - static_cast<double>(top) - ln(sumExp(x, width, top)));
    LogProb::best(call.op)[r] = best;
  }
}

}  // namespace relufy::RELUFY_ISA
