// A product as its kernels see it, whatever op it belongs to.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

struct Product {
  const float* x;
  const float* bias;
  const float* residual;
  float* out;
  int rows;
  int inWidth;
  int outWidth;
};

/** Outputs are split across the threads in these units: row-major weights, and columns of transposed ones. */
constexpr int outputUnit = 16;
constexpr int columnUnit = 64;

/** Outputs, or vectors of outputs, of one register tile (with tileRows of simd-*.h). */
constexpr int tileOutputs = 4;

}  // namespace relufy::RELUFY_ISA
