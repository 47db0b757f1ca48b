// rmsNorm and layerNorm; headNorm, which is either over each head of a row, in place.
//
//   mean = sum(x) / width (layerNorm);  scale = 1 / sqrt(sum((x - mean)^2) / width + eps)
//   out = (x - mean) * scale * weight + bias
//
// A run whose sum leaves f32 (numbers beyond 1e18 or so) is summed and written in f64, one by one.
// Rows are split across the threads. When there are fewer rows than threads, each thread sums the whole row (the same sum,
// the same bits) and writes its share of the columns: cheaper than a second barrier. Not when out = x: then a writer
// would change what another still sums. Of headNorm, units of (row, head) are split.
#pragma once
#include <cmath>
#include <limits>

#include "simd.h"

namespace relufy::RELUFY_ISA {

template <bool squared>
RELUFY_INLINE static Vec accumulate(Vec sum, Vec x, Vec mean) {
  if constexpr (!squared) return add(sum, x);
  const Vec d = sub(x, mean);
  return fma(d, d, sum);
}

/** Sum of x, or of (x - mean)^2 when squared: four running vectors, then one, then one by one. */
template <bool squared>
static inline float reduce(const float* x, int width, float mean) {
  const Vec m = splat(mean);
  Vec s[4] = {zero(), zero(), zero(), zero()};
  int i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes)
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) s[j] = accumulate<squared>(s[j], load(x + i + j * lanes), m);
  for (; i + lanes <= width; i += lanes) s[0] = accumulate<squared>(s[0], load(x + i), m);
  float sum = hsum(add(add(s[0], s[1]), add(s[2], s[3])));
  for (; i < width; i++) {
    const float d = squared ? (x[i] - mean) * (x[i] - mean) : x[i];
    sum += d;
  }
  return sum;
}

/** Columns [first, last) of out = (x - mean) * scale * weight + bias. */
static inline void apply(
    const float* x, const float* weight, const float* bias, float* out, int first, int last, float mean, float scale) {
  const Vec m = splat(mean);
  const Vec s = splat(scale);
  for (int c = first; c < last; c += lanes) {
    const int n = least(lanes, last - c);
    const auto take = [&](const float* at) { return n == lanes ? load(at + c) : loadFirst(at + c, n); };
    Vec v = mul(sub(take(x), m), s);
    if (weight != nullptr) v = mul(v, take(weight));
    if (bias != nullptr) v = add(v, take(bias));
    if (n == lanes) store(out + c, v);
    else storeFirst(out + c, v, n);
  }
}

/** Mean and 1 / sqrt(variance + eps) in f64, for a run that leaves f32. */
struct WideMoments {
  double mean;
  double scale;
};

template <bool centred>
static WideMoments wideMoments(const float* x, int width, float eps) {
  double mean = 0;
  if constexpr (centred) {
    for (int i = 0; i < width; i++) mean += static_cast<double>(x[i]);
    mean /= width;
  }
  double sum = 0;
  for (int i = 0; i < width; i++) {
    const double d = static_cast<double>(x[i]) - mean;
    sum += d * d;
  }
  return {mean, 1 / std::sqrt(sum / width + static_cast<double>(eps))};
}

/** `apply` in f64. */
static void applyWide(
    const float* x, const float* weight, const float* bias, float* out, int first, int last, WideMoments moments) {
  for (int c = first; c < last; c++) {
    double v = (static_cast<double>(x[c]) - moments.mean) * moments.scale;
    if (weight != nullptr) v *= static_cast<double>(weight[c]);
    if (bias != nullptr) v += static_cast<double>(bias[c]);
    out[c] = static_cast<float>(v);
  }
}

/** One run of numbers that belong together; columns [first, last) of it are written. */
template <bool centred>
static inline void normaliseRun(
    const float* x, const float* weight, const float* bias, float* out, float eps, int width, int first, int last) {
  const float count = static_cast<float>(width);
  const float mean = centred ? reduce<false>(x, width, 0) / count : 0;
  const float variance = reduce<true>(x, width, mean) / count;
  if (variance <= std::numeric_limits<float>::max())
    apply(x, weight, bias, out, first, last, mean, 1 / std::sqrt(variance + eps));
  else
    applyWide(x, weight, bias, out, first, last, wideMoments<centred>(x, width, eps));
}

template <bool centred>
static inline void normalise(
    const Call& call, const float* x, const float* weight, const float* bias, float* out, float eps, int width) {
  const bool byRows = call.rows >= call.threads || x == out;
  const int firstRow = byRows ? share(call.rows, 1, call.thread, call.threads) : 0;
  const int lastRow = byRows ? share(call.rows, 1, call.thread + 1, call.threads) : call.rows;
  const int first = byRows ? 0 : share(width, 16, call.thread, call.threads);
  const int last = byRows ? width : share(width, 16, call.thread + 1, call.threads);
  if (first == last) return;
  for (int r = firstRow; r < lastRow; r++)
    normaliseRun<centred>(row(x, r, width), weight, bias, row(out, r, width), eps, width, first, last);
}

static void rmsNorm(const Call& call) {
  normalise<false>(
      call, RmsNorm::x(call.op), RmsNorm::weight(call.op), nullptr, RmsNorm::out(call.op), RmsNorm::eps(call.op),
      RmsNorm::width(call.op));
}

static void layerNorm(const Call& call) {
  normalise<true>(
      call, LayerNorm::x(call.op), LayerNorm::weight(call.op), LayerNorm::bias(call.op), LayerNorm::out(call.op),
      LayerNorm::eps(call.op), LayerNorm::width(call.op));
}

static void headNorm(const Call& call) {
  const int heads = HeadNorm::heads(call.op);
  const int headDim = HeadNorm::headDim(call.op);
  const float eps = HeadNorm::eps(call.op);
  const int last = share(call.rows * heads, 1, call.thread + 1, call.threads);
  for (int unit = share(call.rows * heads, 1, call.thread, call.threads); unit < last; unit++) {
    const int r = unit / heads;
    const int h = unit - r * heads;
    float* x = row(HeadNorm::x(call.op), r, HeadNorm::width(call.op)) + h * headDim;
    const float* weight = row(HeadNorm::weight(call.op), h, headDim);
    const float* bias = row(HeadNorm::bias(call.op), h, headDim);
    if (HeadNorm::centred(call.op) != 0) normaliseRun<true>(x, weight, bias, x, eps, headDim, 0, headDim);
    else normaliseRun<false>(x, weight, bias, x, eps, headDim, 0, headDim);
  }
}

}  // namespace relufy::RELUFY_ISA
