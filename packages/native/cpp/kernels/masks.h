// activate by the code of a mask, and its gradient: numbers that pass a comparison with thresholds, the others +0.
//
//   for i in my share of [rows, width]: r, c = the row and column of i
//     t = thresholds[c] * strength[r]; a row of strength 0 passes whole
//     out[i] = residual[i] + (x[i] passes t ? values[i] : +0)      values: x, dy of a gradient, 1 of a step
//
// Numbers are split across the threads in cache lines. Nothing is rounded but t, so the bits are those of the definition. In
// place (out = x) is fine.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

/** v where x passes. NaN is neither above nor below a threshold; magnitudes keep it. */
template <int kind>
RELUFY_INLINE static Vec passed(Vec x, Vec t, Vec v) {
  if constexpr (kind == activationStep) return whereGreater(x, t, v);
  if constexpr (kind == activationRemainder) return whereAtMost(absolute(x), t, v);
  if constexpr (kind == activationMagnitude) return whereNotAtMost(absolute(x), t, v);
  return whereNotLess(absolute(x), t, v);
}

struct Choice {
  const float* x;
  const float* values;
  const float* residual;
  float* out;
  const float* thresholds;
  /** A threshold a column, not one for all. */
  bool perColumn;
  const float* strength;
  int rows;
  int width;
};

/** Columns [first, last) of row r. */
template <int kind>
static inline void chooseRun(const Choice& of, int r, int first, int last) {
  const float strength = of.strength == nullptr ? 1.0f : of.strength[r];
  const bool whole = strength == 0;
  const float* x = row(of.x, r, of.width);
  const float* values = row(of.values, r, of.width);
  const float* residual = row(of.residual, r, of.width);
  float* out = row(of.out, r, of.width);
  const Vec scale = splat(strength);
  // no magnitude is below -1, so a row passes whole and leaves no remainder
  const Vec common = whole ? splat(-1.0f) : mul(splat(of.thresholds[0]), scale);
  const bool same = whole || !of.perColumn;
  for (int c = first; c < last; c += lanes) {
    const int n = least(lanes, last - c);
    const Vec t = same ? common : mul(take(of.thresholds + c, n), scale);
    const Vec v = kind == activationStep ? splat(1.0f) : take(values + c, n);
    Vec chosen = kind == activationStep && whole ? v : passed<kind>(take(x + c, n), t, v);
    if (residual != nullptr) chosen = add(take(residual + c, n), chosen);
    put(out + c, chosen, n);
  }
}

template <int kind>
static inline void chooseShare(const Choice& of, int thread, int threads) {
  const int last = share(of.rows * of.width, 16, thread + 1, threads);
  for (int i = share(of.rows * of.width, 16, thread, threads); i < last;) {
    const int r = i / of.width;
    const int first = i - r * of.width;
    const int end = least(of.width, first + last - i);
    chooseRun<kind>(of, r, first, end);
    i += end - first;
  }
}

static inline void choose(int kind, const Choice& of, const Call& call) {
  switch (kind) {
    case activationMagnitude: return chooseShare<activationMagnitude>(of, call.thread, call.threads);
    case activationRemainder: return chooseShare<activationRemainder>(of, call.thread, call.threads);
    case activationStep: return chooseShare<activationStep>(of, call.thread, call.threads);
    case activationMagnitudeOrEqual: return chooseShare<activationMagnitudeOrEqual>(of, call.thread, call.threads);
    default: __builtin_trap();
  }
}

static inline void mask(const Call& call) {
  const float* x = Activate::x(call.op);
  choose(
      Activate::kind(call.op),
      {x, x, nullptr, Activate::out(call.op), Activate::thresholds(call.op), Activate::perColumn(call.op) == 1,
       Activate::strength(call.op), call.rows, Activate::width(call.op)},
      call);
}

}  // namespace relufy::RELUFY_ISA
