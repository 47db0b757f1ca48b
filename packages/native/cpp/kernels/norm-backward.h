// normBackward and normGradient: RMSNorm and LayerNorm over the whole row or over each of its heads.
//
//   n = (x - mean) * scale, scale = 1 / sqrt(variance + eps), both as norm.h sums them;  g = dy * weight
//   out = residual + (g - mean(g) - n * mean(g n)) * scale      (mean(g) where the norm centres)
//   weight[c] += sum over rows of dy[c] n[c];  bias[c] += sum over rows of dy[c]      (column-sums.h)
//
// Rows are split across the threads; of normGradient, columns.
#pragma once
#include <limits>

#include "column-sums.h"
#include "norm.h"

namespace relufy::RELUFY_ISA {

/** One run of numbers that belong together. */
template <bool centred>
static inline void normRunBackward(
    const float* x, const float* weight, const float* dy, const float* residual, float* out, float* stats, float eps,
    int width) {
  const float count = static_cast<float>(width);
  float mean = centred ? reduce<false>(x, width, 0) / count : 0;
  const float variance = reduce<true>(x, width, mean) / count;
  float scale = 1 / std::sqrt(variance + eps);
  if (!(variance <= std::numeric_limits<float>::max())) {
    const WideMoments moments = wideMoments<centred>(x, width, eps);
    mean = static_cast<float>(moments.mean);
    scale = static_cast<float>(moments.scale);
  }
  const Vec m = splat(mean);
  const Vec s = splat(scale);
  const auto gradient = [&](int c, int n) {
    const Vec g = take(dy + c, n);
    return weight != nullptr ? mul(g, take(weight + c, n)) : g;
  };
  const auto normed = [&](int c, int n) { return mul(sub(take(x + c, n), m), s); };
  Vec plain = zero();
  Vec along = zero();
  for (int c = 0; c < width; c += lanes) {
    const int n = least(lanes, width - c);
    const Vec g = gradient(c, n);
    if constexpr (centred) plain = add(plain, g);
    along = fma(g, normed(c, n), along);
  }
  const Vec meanOfG = splat(centred ? hsum(plain) / count : 0);
  const Vec share = splat(hsum(along) / count);
  for (int c = 0; c < width; c += lanes) {
    const int n = least(lanes, width - c);
    Vec v = gradient(c, n);
    if constexpr (centred) v = sub(v, meanOfG);
    v = mul(sub(v, mul(normed(c, n), share)), s);
    if (residual != nullptr) v = add(take(residual + c, n), v);
    put(out + c, v, n);
  }
  stats[0] = mean;
  stats[1] = scale;
}

static void normBackward(const Call& call) {
  const int width = NormBackward::width(call.op);
  const int heads = NormBackward::heads(call.op);
  const int headDim = NormBackward::headDim(call.op);
  const float eps = NormBackward::eps(call.op);
  const bool centred = NormBackward::centred(call.op) != 0;
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++) {
    const float* x = row(NormBackward::x(call.op), r, width);
    const float* dy = row(NormBackward::dy(call.op), r, width);
    const float* residual = row(NormBackward::residual(call.op), r, width);
    float* out = row(NormBackward::out(call.op), r, width);
    for (int h = 0; h < heads; h++) {
      const int at = h * headDim;
      const float* weight = row(NormBackward::weight(call.op), h, headDim);
      const float* kept = residual != nullptr ? residual + at : nullptr;
      float* stats = NormBackward::stats(call.op) + 2 * (static_cast<size_t>(r) * static_cast<size_t>(heads) + static_cast<size_t>(h));
      if (centred) normRunBackward<true>(x + at, weight, dy + at, kept, out + at, stats, eps, headDim);
      else normRunBackward<false>(x + at, weight, dy + at, kept, out + at, stats, eps, headDim);
    }
    for (int c = heads * headDim; c < width; c++) out[c] = (residual != nullptr ? residual[c] : 0) + dy[c];
  }
}

static void normGradient(const Call& call) {
  const int width = NormGradient::width(call.op);
  const int heads = NormGradient::heads(call.op);
  const int headDim = NormGradient::headDim(call.op);
  const float* x = NormGradient::x(call.op);
  const float* dy = NormGradient::dy(call.op);
  const float* stats = NormGradient::stats(call.op);
  float* weight = NormGradient::weight(call.op);
  float* bias = NormGradient::bias(call.op);
  const int first = share(heads * headDim, 16, call.thread, call.threads);
  const int last = share(heads * headDim, 16, call.thread + 1, call.threads);
  for (int h = 0; h < heads; h++) {
    const int from = most(first, h * headDim);
    const int to = least(last, (h + 1) * headDim);
    if (from >= to) continue;
    if (weight != nullptr)
      addColumnSums(weight, call.rows, from, to, [&](int r, int c, int n) {
        const float* of = row(stats, r, 2 * heads) + 2 * h;
        const Vec d = sub(take(row(x, r, width) + c, n), splat(of[0]));
        return mul(take(row(dy, r, width) + c, n), mul(d, splat(of[1])));
      });
    if (bias != nullptr)
      addColumnSums(bias, call.rows, from, to, [&](int r, int c, int n) { return take(row(dy, r, width) + c, n); });
  }
}

}  // namespace relufy::RELUFY_ISA
