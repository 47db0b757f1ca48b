// crossEntropy: the loss, and the logits turned into their gradient, a row at a time; rows are split across the threads.
//
//   e = exp(logits - max), in place;  q = e / sum e;  loss = max + ln(sum e) - logits[target]
//   logits = weight (q - onehot(target)) + pull (q - p)
//
// p of the tokens that the teacher lists is the teacher's, of the others `restShare` q: those come in the pass over the
// row, the listed and the target are put right after it. Sums of e are those of logprob.h. The listed logits are -infinity
// meanwhile, so that the rest is a sum and not a difference of two sums that are nearly equal.
// Scratch: of each listed token its logit and its e.
#pragma once
#include "column-sums.h"
#include "logprob.h"

namespace relufy::RELUFY_ISA {

/** exp(x - top) in place; gives their sum: per lane in f32 over 256 vectors at most, those in f64. */
static inline double expInPlace(float* x, int width, float top) {
  const Vec t = splat(top);
  double total = 0;
  for (int i = 0; i < width;) {
    const int end = least(width, i + 256 * lanes);
    Vec sum = zero();
    for (; i + lanes <= end; i += lanes) {
      const Vec e = exp(sub(load(x + i), t));
      store(x + i, e);
      sum = add(sum, e);
    }
    float lane[lanes];
    store(lane, sum);
    for (int l = 0; l < lanes; l++) total += static_cast<double>(lane[l]);
    if (i < end) {
      const int n = end - i;
      store(lane, exp(sub(loadFirst(x + i, n), t)));
      for (int l = 0; l < n; l++, i++) total += static_cast<double>(x[i] = lane[l]);
    }
  }
  return total;
}

/** What a row's teacher adds to the gradient. */
struct Teaching {
  float pull = 0;
  /** p / q of the tokens that are not listed. */
  float restShare = 0;
};

/** Writes the divergence. `listed` holds the logits of the listed tokens; `ownRest` is q of all others. */
static inline Teaching teach(const Call& call, int r, double logSum, double ownRest, const float* listed) {
  const int count = CrossEntropy::teacherCount(call.op);
  const float* logprobs = row(CrossEntropy::teacherLogprobs(call.op), r, count);
  double divergence = 0;
  double teacherRest = 1;
  for (int i = 0; i < count; i++) {
    const double logP = static_cast<double>(logprobs[i]);
    const double logQ = static_cast<double>(listed[i]) - logSum;
    const double p = std::exp(logP);
    divergence += p * (logP - logQ);
    teacherRest -= p;
  }
  // rounding must not make a share negative, nor divide by it
  if (teacherRest < 0 || count == CrossEntropy::width(call.op)) teacherRest = 0;
  if (ownRest < 1e-30) ownRest = 1e-30;
  if (teacherRest > 0) divergence += teacherRest * std::log(teacherRest / ownRest);
  CrossEntropy::divergence(call.op)[r] = static_cast<float>(divergence);
  return {CrossEntropy::teacherWeight(call.op)[r], static_cast<float>(teacherRest / ownRest)};
}

static void crossEntropy(const Call& call) {
  const int width = CrossEntropy::width(call.op);
  const int count = CrossEntropy::teacherCount(call.op);
  float* listed = reinterpret_cast<float*>(call.scratch);
  float* listedExp = listed + count;
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++) {
    float* x = row(CrossEntropy::logits(call.op), r, width);
    const int32_t* ids = row(CrossEntropy::teacherIds(call.op), r, count);
    const int target = CrossEntropy::target(call.op)[r];
    const float weight = CrossEntropy::weight(call.op)[r];
    const float top = largest(x, width);
    const double targetLogit = static_cast<double>(x[target]);
    for (int i = 0; i < count; i++) {
      listed[i] = x[ids[i]];
      x[ids[i]] = -INFINITY;
    }
    const double rest = expInPlace(x, width, top);
    double sum = rest;
    for (int i = 0; i < count; i++) {
      float lane[lanes];
      store(lane, exp(splat(listed[i] - top)));
      sum += static_cast<double>(listedExp[i] = lane[0]);
    }
    const double logSum = static_cast<double>(top) + ln(sum);
    CrossEntropy::loss(call.op)[r] = static_cast<float>(logSum - targetLogit);
    const Teaching taught = count > 0 ? teach(call, r, logSum, rest / sum, listed) : Teaching{};
    const float inverse = static_cast<float>(1 / sum);
    const auto gradient = [&](float e, float p) {
      const float q = e * inverse;
      return weight * q + (taught.pull != 0 ? taught.pull * (q - p) : 0);
    };
    const Vec scale = splat(inverse);
    const Vec both = splat(weight + taught.pull * (1 - taught.restShare));
    for (int c = 0; c < width; c += lanes) {
      const int n = least(lanes, width - c);
      put(x + c, mul(both, mul(take(x + c, n), scale)), n);
    }
    for (int i = 0; i < count; i++)
      x[ids[i]] = gradient(listedExp[i], static_cast<float>(std::exp(static_cast<double>(row(CrossEntropy::teacherLogprobs(call.op), r, count)[i]))));
    x[target] -= weight;
  }
}

static inline size_t crossEntropyScratch(Record op) {
  return 2 * static_cast<size_t>(CrossEntropy::teacherCount(op)) * sizeof(float);
}

}  // namespace relufy::RELUFY_ISA
