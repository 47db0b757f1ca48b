// activateBackward and penalty: elementwise, split across the threads in cache lines; penalty also counts a row, so rows are.
//
//   activateBackward:  out = residual + dy * f'(x)
//   penalty:           out = residual + coefficient * sign(x);  norm[r] = sum |x[r]|;  activeCount[r] = how many x[r] != 0
#pragma once
#include <cmath>

#include "activation.h"
#include "column-sums.h"

namespace relufy::RELUFY_ISA {

/** f'(x). Of relu and fatrelu `threshold` is where the rise begins. */
template <int kind>
RELUFY_INLINE static Vec slopeOf(Vec x, Vec threshold) {
  const Vec one = splat(1.0f);
  if constexpr (kind == activationRelu || kind == activationFatrelu) return whereGreater(x, threshold, one);
  if constexpr (kind == activationRelu2) return whereGreater(x, zero(), add(x, x));
  if constexpr (kind == activationScale) return threshold;
  if constexpr (kind == activationSilu) {
    const Vec s = sigmoid(x);
    return mul(s, fma(x, sub(one, s), one));
  }
  if constexpr (kind == activationSigmoid) {
    const Vec s = sigmoid(x);
    return mul(s, sub(one, s));
  }
  if constexpr (kind == activationGelu) {
    const Vec density = mul(exp(mul(mul(x, x), splat(-0.5f))), splat(0.3989422804014327f));
    return fma(x, density, normalCdf(x));
  }
  if constexpr (kind == activationSoftcap) {
    // 1 - tanh^2 u = 4 e / (1 + e)^2, e = exp(-2 |u|)
    const Vec e = exp(mul(absolute(div(x, threshold)), splat(-2.0f)));
    const Vec whole = add(one, e);
    return div(mul(splat(4.0f), e), mul(whole, whole));
  }
  // as activation.h: 1/2 (1 + tanh u) = s = sigmoid(2u), so 1 - tanh^2 u = 4 s (1 - s)
  const Vec square = mul(x, x);
  const Vec s = sigmoid(mul(splat(1.5957691216057308f), fma(mul(square, x), splat(0.044715f), x)));
  const Vec inner = mul(splat(1.5957691216057308f), fma(square, splat(3 * 0.044715f), one));
  return fma(mul(mul(x, s), sub(one, s)), inner, s);
}

template <int kind>
static inline void mapBackward(
    const float* x, const float* dy, const float* residual, float* out, int count, float threshold) {
  const Vec t = splat(threshold);
  for (int i = 0; i < count; i += lanes) {
    const int n = least(lanes, count - i);
    Vec v = mul(take(dy + i, n), slopeOf<kind>(take(x + i, n), t));
    if (residual != nullptr) v = add(take(residual + i, n), v);
    put(out + i, v, n);
  }
}

/** The largest f32 that is not above shift - slack: x > it, for an f32 x, says x > shift - slack. */
static inline float riseOf(float shift, float slack) {
  const double exact = static_cast<double>(shift) - static_cast<double>(slack);
  const float near = static_cast<float>(exact);
  return static_cast<double>(near) > exact ? std::nextafter(near, -INFINITY) : near;
}

static void activateBackward(const Call& call) {
  static_assert(activationKinds == 13, "an activation has no case here, nor in masks.h");
  const int total = call.rows * ActivateBackward::width(call.op);
  const int first = share(total, 16, call.thread, call.threads);
  const int count = share(total, 16, call.thread + 1, call.threads) - first;
  if (count == 0) return;
  const float* x = ActivateBackward::x(call.op) + first;
  const float* dy = ActivateBackward::dy(call.op) + first;
  const float* residual = ActivateBackward::residual(call.op);
  if (residual != nullptr) residual += first;
  float* out = ActivateBackward::out(call.op) + first;
  const float t = ActivateBackward::threshold(call.op);
  const auto run = [&](auto map, float threshold) { map(x, dy, residual, out, count, threshold); };
  switch (ActivateBackward::kind(call.op)) {
    case activationRelu: return run(mapBackward<activationRelu>, riseOf(t, ActivateBackward::slack(call.op)));
    case activationRelu2: return run(mapBackward<activationRelu2>, t);
    case activationFatrelu: return run(mapBackward<activationFatrelu>, t);
    case activationSilu: return run(mapBackward<activationSilu>, t);
    case activationGelu: return run(mapBackward<activationGelu>, t);
    case activationGeluTanh: return run(mapBackward<activationGeluTanh>, t);
    case activationSoftcap: return run(mapBackward<activationSoftcap>, t);
    case activationScale: return run(mapBackward<activationScale>, t);
    case activationSigmoid: return run(mapBackward<activationSigmoid>, t);
    default:
      choose(
          ActivateBackward::kind(call.op),
          {ActivateBackward::x(call.op), ActivateBackward::dy(call.op), ActivateBackward::residual(call.op),
           ActivateBackward::out(call.op), ActivateBackward::thresholds(call.op),
           ActivateBackward::perColumn(call.op) == 1, ActivateBackward::strength(call.op), call.rows,
           ActivateBackward::width(call.op)},
          call);
  }
}

static void penalty(const Call& call) {
  const int width = Penalty::width(call.op);
  const float coefficient = Penalty::coefficients(call.op)[Penalty::index(call.op)];
  const Vec up = splat(coefficient);
  const Vec down = splat(-coefficient);
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++) {
    const float* x = row(Penalty::x(call.op), r, width);
    const float* residual = row(Penalty::residual(call.op), r, width);
    float* out = row(Penalty::out(call.op), r, width);
    Vec sum = zero();
    int active = 0;
    for (int c = 0; c < width; c += lanes) {
      const int n = least(lanes, width - c);
      const Vec v = take(x + c, n);
      sum = add(sum, absolute(v));
      active += __builtin_popcount(nonZeroBits(v));
      if (out == nullptr) continue;
      const Vec term = whereNonZero(v, chooseNegative(v, down, up));
      put(out + c, residual != nullptr ? add(take(residual + c, n), term) : term, n);
    }
    Penalty::norm(call.op)[r] = hsum(sum);
    Penalty::activeCount(call.op)[r] = active;
  }
}

}  // namespace relufy::RELUFY_ISA
