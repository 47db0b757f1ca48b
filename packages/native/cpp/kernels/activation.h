// Elementwise kernels: activate (masks are masks.h), multiply. Rows are contiguous, so a step is one run of rows * width numbers, split across
// the threads in cache lines.
//
//   for i in my share: out[i] = f(x[i])
//
// The last numbers go through the same lanes (padded with zeros), so that a number's bits do not depend on where the
// share ends. In place (out = x) is fine.
#pragma once
#include "exp.h"
#include "masks.h"

namespace relufy::RELUFY_ISA {

template <int kind>
RELUFY_INLINE static Vec activation(Vec x, Vec threshold) {
  // "not at most", which NaN is: a step that went wrong must not look like one that came to zero
  if constexpr (kind == activationRelu) return whereNotAtMost(x, threshold, sub(x, threshold));
  if constexpr (kind == activationRelu2) return whereNotAtMost(x, zero(), mul(x, x));
  if constexpr (kind == activationFatrelu) return whereNotAtMost(x, threshold, x);
  if constexpr (kind == activationSilu) return mul(x, sigmoid(x));
  if constexpr (kind == activationSigmoid) return sigmoid(x);
  if constexpr (kind == activationGelu) return mul(x, normalCdf(x));
  if constexpr (kind == activationScale) return mul(threshold, x);
  if constexpr (kind == activationSoftcap) {
    // tanh u = (1 - e) / (1 + e), e = exp(-2 |u|), with the sign of u
    const Vec e = exp(mul(absolute(div(x, threshold)), splat(-2.0f)));
    const Vec size = mul(threshold, div(sub(splat(1.0f), e), add(splat(1.0f), e)));
    return chooseNegative(x, sub(zero(), size), size);
  }
  // 1/2 (1 + tanh u) = sigmoid(2u), which does not cancel for negative u
  const Vec cube = mul(mul(mul(x, x), x), splat(0.044715f));
  return mul(x, sigmoid(mul(splat(1.5957691216057308f), add(x, cube))));
}

template <int kind>
static inline void map(const float* x, float* out, int64_t count, float threshold) {
  const Vec t = splat(threshold);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, activation<kind>(load(x + i), t));
  const int rest = static_cast<int>(count - i);
  if (rest > 0) storeFirst(out + i, activation<kind>(loadFirst(x + i, rest), t), rest);
}

static void activate(const Call& call) {
  static_assert(activationKinds == 13, "an activation has no case here, nor in masks.h");
  const int width = Activate::width(call.op);
  const int total = call.rows * width;
  const int first = share(total, 16, call.thread, call.threads);
  const int count = share(total, 16, call.thread + 1, call.threads) - first;
  const float* x = Activate::x(call.op) + first;
  float* out = Activate::out(call.op) + first;
  const float threshold = Activate::threshold(call.op);
  switch (Activate::kind(call.op)) {
    case activationRelu: return map<activationRelu>(x, out, count, threshold);
    case activationRelu2: return map<activationRelu2>(x, out, count, threshold);
    case activationFatrelu: return map<activationFatrelu>(x, out, count, threshold);
    case activationSilu: return map<activationSilu>(x, out, count, threshold);
    case activationGelu: return map<activationGelu>(x, out, count, threshold);
    case activationGeluTanh: return map<activationGeluTanh>(x, out, count, threshold);
    case activationSoftcap: return map<activationSoftcap>(x, out, count, threshold);
    case activationScale: return map<activationScale>(x, out, count, threshold);
    case activationSigmoid: return map<activationSigmoid>(x, out, count, threshold);
    default: mask(call);
  }
}

static void multiply(const Call& call) {
  const int total = call.rows * Multiply::width(call.op);
  const int last = share(total, 16, call.thread + 1, call.threads);
  const float* a = Multiply::a(call.op);
  const float* b = Multiply::b(call.op);
  const float* residual = Multiply::residual(call.op);
  float* out = Multiply::out(call.op);
  int i = share(total, 16, call.thread, call.threads);
  if (residual != nullptr) {
    for (; i < last; i += lanes) {
      const int n = least(lanes, last - i);
      const Vec va = take(a + i, n);
      put(out + i, add(take(residual + i, n), whereNonZero(va, mul(va, take(b + i, n)))), n);
    }
    return;
  }
  // b may hold anything where a is zero, NaN included
  for (; i + lanes <= last; i += lanes) {
    const Vec va = load(a + i);
    store(out + i, whereNonZero(va, mul(va, load(b + i))));
  }
  if (i < last) {
    const Vec va = loadFirst(a + i, last - i);
    storeFirst(out + i, whereNonZero(va, mul(va, loadFirst(b + i, last - i))), last - i);
  }
}

}  // namespace relufy::RELUFY_ISA
