// sumSquares, clip and adamW: what happens to gradients when a batch is whole. Parts of `partSize` numbers are split across
// the threads, of adamW cache lines; clip is one thread's.
//
//   sumSquares:  lane l of sum_j = squares at (4 i + j) * lanes + l, in order; (sum_0 + sum_1) + (sum_2 + sum_3); hsum
//   adamW:       see the op table; corrections are folded into the rate and the square root
#pragma once
#include <cmath>

#include "column-sums.h"

namespace relufy::RELUFY_ISA {

static void sumSquares(const Call& call) {
  const int size = SumSquares::size(call.op);
  const int count = (size + partSize - 1) / partSize;
  const int last = share(count, 1, call.thread + 1, call.threads);
  for (int part = share(count, 1, call.thread, call.threads); part < last; part++) {
    const float* x = SumSquares::x(call.op) + static_cast<size_t>(part) * partSize;
    const int numbers = least(partSize, size - part * partSize);
    Vec s[4] = {zero(), zero(), zero(), zero()};
    int i = 0;
    for (; i + 4 * lanes <= numbers; i += 4 * lanes)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        const Vec v = load(x + i + j * lanes);
        s[j] = fma(v, v, s[j]);
      }
    for (int j = 0; i < numbers; i += lanes, j++) {
      const Vec v = take(x + i, least(lanes, numbers - i));
      s[j] = fma(v, v, s[j]);
    }
    SumSquares::parts(call.op)[SumSquares::first(call.op) + part] = hsum(add(add(s[0], s[1]), add(s[2], s[3])));
  }
}

static void clip(const Call& call) {
  if (call.thread != 0) return;
  double sum = 0;
  for (int i = 0; i < Clip::size(call.op); i++) sum += static_cast<double>(Clip::parts(call.op)[i]);
  const double norm = std::sqrt(sum);
  const double most = static_cast<double>(Clip::schedule(call.op)[scheduleMaxNorm]);
  const double factor = most > 0 && most < norm + 1e-6 ? most / (norm + 1e-6) : 1;
  Clip::out(call.op)[0] = static_cast<float>(norm);
  Clip::out(call.op)[1] = static_cast<float>(factor);
}

static void adamW(const Call& call) {
  const float* schedule = AdamW::schedule(call.op);
  const auto rest = [](float share) { return splat(static_cast<float>(1 - static_cast<double>(share))); };
  const Vec beta1 = splat(AdamW::beta1(call.op));
  const Vec beta2 = splat(AdamW::beta2(call.op));
  const Vec new1 = rest(AdamW::beta1(call.op));
  const Vec new2 = rest(AdamW::beta2(call.op));
  const double rate = static_cast<double>(schedule[scheduleLearningRate]) * static_cast<double>(AdamW::rate(call.op));
  const Vec step = splat(static_cast<float>(rate / static_cast<double>(schedule[scheduleCorrection1])));
  const Vec root = splat(static_cast<float>(1 / std::sqrt(static_cast<double>(schedule[scheduleCorrection2]))));
  const Vec kept = splat(static_cast<float>(1 - rate * static_cast<double>(AdamW::decay(call.op))));
  const Vec eps = splat(AdamW::eps(call.op));
  const Vec factor = splat(AdamW::clip(call.op)[1]);
  const Vec averageDecay = splat(schedule[scheduleAverageDecay]);
  const Vec newAverage = rest(schedule[scheduleAverageDecay]);
  float* parameter = AdamW::parameter(call.op);
  float* gradient = AdamW::gradient(call.op);
  float* m = AdamW::m(call.op);
  float* v = AdamW::v(call.op);
  float* average = AdamW::average(call.op);
  const int size = AdamW::size(call.op);
  const int last = share(size, 16, call.thread + 1, call.threads);
  for (int i = share(size, 16, call.thread, call.threads); i < last; i += lanes) {
    const int n = least(lanes, last - i);
    const Vec g = mul(take(gradient + i, n), factor);
    const Vec mean = fma(beta1, take(m + i, n), mul(new1, g));
    const Vec square = fma(beta2, take(v + i, n), mul(new2, mul(g, g)));
    const Vec deviation = fma(squareRoot(square), root, eps);
    const Vec next = sub(mul(take(parameter + i, n), kept), div(mul(step, mean), deviation));
    put(parameter + i, next, n);
    put(m + i, mean, n);
    put(v + i, square, n);
    if (average != nullptr)
      put(average + i, fma(averageDecay, take(average + i, n), mul(newAverage, next)), n);
    put(gradient + i, zero(), n);
  }
}

}  // namespace relufy::RELUFY_ISA
