// linearBackward and linearGradient: the two products that a product's gradient is. The order of summation is that of
// outer.h, over outputs n for the gradient of x and over rows r for the gradient of w; of bias that of column-sums.h.
//
//   linearBackward:  out[r][k] = residual[r][k] + sum over n of dy[r][n] w[n][k]
//   linearGradient:  w[n][k] += sum over r of dy[r][n] x[r][k];  bias[n] += sum over r of dy[r][n]
#pragma once
#include "column-sums.h"
#include "outer-product.h"

namespace relufy::RELUFY_ISA {

static void linearBackward(const Call& call) {
  const size_t in = static_cast<size_t>(LinearBackward::inWidth(call.op));
  const size_t out = static_cast<size_t>(LinearBackward::outWidth(call.op));
  const float* w = LinearBackward::w(call.op);
  const bool transposed = LinearBackward::transposed(call.op) != 0;
  const OuterProduct product = {
      {LinearBackward::dy(call.op), out, 1}, transposed ? Strided{w, 1, out} : Strided{w, in, 1},
      LinearBackward::residual(call.op), LinearBackward::out(call.op), static_cast<int>(in), static_cast<int>(out)};
  outerProductShare(call, product, call.rows);
}

static void linearGradient(const Call& call) {
  if (call.rows == 0) return;
  const int inWidth = LinearGradient::inWidth(call.op);
  const int outWidth = LinearGradient::outWidth(call.op);
  const float* dy = LinearGradient::dy(call.op);
  float* w = LinearGradient::w(call.op);
  // [rows of w][rows of the step], and [rows of the step][columns of w]
  const bool transposed = LinearGradient::transposed(call.op) != 0;
  const int rows = transposed ? inWidth : outWidth;
  const int columns = transposed ? outWidth : inWidth;
  const float* left = transposed ? LinearGradient::x(call.op) : dy;
  const float* right = transposed ? dy : LinearGradient::x(call.op);
  const OuterProduct product = {
      {left, 1, static_cast<size_t>(rows)}, {right, static_cast<size_t>(columns), 1}, w, w, columns, call.rows};
  outerProductShare(call, product, rows);
  if (float* bias = LinearGradient::bias(call.op); bias != nullptr) {
    const int first = share(outWidth, 16, call.thread, call.threads);
    const int last = share(outWidth, 16, call.thread + 1, call.threads);
    addColumnSums(bias, call.rows, first, last, [&](int r, int c, int n) { return take(row(dy, r, outWidth) + c, n); });
  }
}

}  // namespace relufy::RELUFY_ISA
