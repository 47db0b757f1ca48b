// The end of every product: out = residual + (sum + bias), in this order on every path. Absent operands are null.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

/** Output n of one row. */
RELUFY_INLINE static void finish(float* out, const float* residual, const float* bias, int n, float sum) {
  if (bias != nullptr) sum += bias[n];
  out[n] = residual != nullptr ? residual[n] + sum : sum;
}

/** Outputs first .. first + count of one row, whose sums lie in `sums`. */
static inline void finishRun(
    float* out, const float* residual, const float* bias, const float* sums, int first, int count) {
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    Vec v = load(sums + i);
    if (bias != nullptr) v = add(v, load(bias + first + i));
    if (residual != nullptr) v = add(load(residual + first + i), v);
    store(out + first + i, v);
  }
  for (; i < count; i++) finish(out, residual, bias, first + i, sums[i]);
}

}  // namespace relufy::RELUFY_ISA
