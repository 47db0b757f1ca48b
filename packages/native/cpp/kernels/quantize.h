// quantize: activations to signed bytes in blocks of 32. Blocks are split across the threads.
//
//   scale = max|x| / 127 (0 below 1e-30); values = round(x * (1 / scale)), half to even; sum of values
//   a block with a number that is not finite: scale = NaN, values = 0
//
// Every step is rounded to f32 as the definition in @relufy/tensor is, so the integers are the same on every backend.
#pragma once
#include <cmath>

#include "block-format.h"

namespace relufy::RELUFY_ISA {

static void quantize(const Call& call) {
  const int width = Quantize::width(call.op);
  const int blocks = Quantize::blocks(call.op);
  const int last = share(call.rows * blocks, 2, call.thread + 1, call.threads);
  for (int unit = share(call.rows * blocks, 2, call.thread, call.threads); unit < last; unit++) {
    const int r = unit / blocks;
    const int first = (unit - r * blocks) * blockSize;
    const int count = least(blockSize, width - first);
    float x[blockSize] = {};
    memcpy(x, row(Quantize::x(call.op), r, width) + first, static_cast<size_t>(count) * sizeof(float));
    int8_t* values = Quantize::values(call.op) + static_cast<size_t>(unit) * blockSize;
    Vec top = zero();
    Vec strays = zero();  // x - x: 0, or NaN where x is not finite
    for (int i = 0; i < blockSize; i += lanes) {
      const Vec v = load(x + i);
      top = max(top, absolute(v));
      strays = add(strays, sub(v, v));
    }
    if (nonZeroBits(strays) != 0) {
      memset(values, 0, blockSize);
      Quantize::xScales(call.op)[unit] = NAN;
      Quantize::xSums(call.op)[unit] = 0;
      continue;
    }
    const float largest = hmax(top);
    const bool nothing = static_cast<double>(largest) / 127 < 1e-30;
    const float scale = nothing ? 0 : largest / 127;
    const Vec inverse = splat(nothing ? 0 : 1 / scale);
    int32_t q[blockSize];
    for (int i = 0; i < blockSize; i += lanes) storeInt(q + i, toInt(mul(load(x + i), inverse)));
    int32_t sum = 0;
    for (int i = 0; i < blockSize; i++) {
      values[i] = static_cast<int8_t>(q[i]);
      sum += q[i];
    }
    Quantize::xScales(call.op)[unit] = scale;
    Quantize::xSums(call.op)[unit] = sum;
  }
}

}  // namespace relufy::RELUFY_ISA
