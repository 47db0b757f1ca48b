// twoBitScores: products with weights of two bits, by which a predictor ranks neurons. The definition is in @relufy/tensor.
//
//   step = max|x[r]| / 127, q = round(x[r] / step), all in bytes;  out[r][n] = step scales[n] (2 sum of q code[n] - 3 sum of q) + bias[n]
//
// Sums are exact integers, so bits depend on nothing. Neurons are split across the threads, and every thread prepares all
// rows of x, which takes as long as a few neurons: each neuron's codes are read once for all rows. 128 columns are a unit of
// 32 bytes, whose byte j has columns j, j + 32, j + 64 and j + 96: shifted and masked, a vector of codes has the columns of
// x in order. Where a vector takes two units, x is prepared in that order (dotCodes of simd-*.h).
#pragma once
#include <cmath>

#include "block-dot.h"

namespace relufy::RELUFY_ISA {

/** Columns of a unit, and the bytes of their codes. */
constexpr int codeUnitColumns = 128;
constexpr int codeUnitBytes = 32;

RELUFY_INLINE static int codeUnitsOf(int columns) { return (columns + codeUnitColumns - 1) / codeUnitColumns; }

/** A row of x in bytes, whole vectors of units. */
struct PreparedRow {
  float step;
  int32_t sum;
  char unused[56];
};

RELUFY_INLINE static size_t preparedRowBytes(int inWidth) {
  const int vectors = (codeUnitsOf(inWidth) + codeUnits - 1) / codeUnits;
  return sizeof(PreparedRow) + static_cast<size_t>(vectors) * codeUnits * codeUnitColumns;
}

static inline void prepareRow(const float* x, int width, char* to) {
  PreparedRow* head = reinterpret_cast<PreparedRow*>(to);
  int8_t* values = reinterpret_cast<int8_t*>(to + sizeof(PreparedRow));
  memset(to, 0, preparedRowBytes(width));
  Vec top = zero();
  Vec strays = zero();  // x - x: 0, or NaN where x is not finite
  for (int c = 0; c < width; c += lanes) {
    const Vec v = take(x + c, least(lanes, width - c));
    top = max(top, absolute(v));
    strays = add(strays, sub(v, v));
  }
  if (nonZeroBits(strays) != 0) {
    head->step = NAN;
    return;
  }
  const float largest = hmax(top);
  if (static_cast<double>(largest) / 127 < 1e-30) return;
  head->step = largest / 127;
  const Vec inverse = splat(1 / head->step);
  for (int c = 0; c < width; c += 32) {
    // 32 columns lie together; those of the units of one vector are interleaved
    const int unit = c / codeUnitColumns;
    const int part = c % codeUnitColumns / 32;
    int8_t* at = values + (unit / codeUnits * 4 + part) * codeUnits * 32 + unit % codeUnits * 32;
    const int count = least(32, width - c);
    for (int i = 0; i < count; i += lanes) {
      int32_t q[lanes];
      storeInt(q, toInt(mul(take(x + c + i, least(lanes, count - i)), inverse)));
      for (int l = 0; l < least(lanes, count - i); l++) {
        at[i + l] = static_cast<int8_t>(q[l]);
        head->sum += q[l];
      }
    }
  }
}

/** Neurons [first, last) of all rows. */
RELUFY_LOOP void scoreNeurons(const Call& call, const char* prepared, int first, int last) {
  const int inWidth = TwoBitScores::inWidth(call.op);
  const int outWidth = TwoBitScores::outWidth(call.op);
  const int units = codeUnitsOf(inWidth);
  const size_t bytes = static_cast<size_t>(units) * codeUnitBytes;
  const size_t stride = preparedRowBytes(inWidth);
  const auto* codes = reinterpret_cast<const uint8_t*>(TwoBitScores::codes(call.op));
  const float* scales = TwoBitScores::scales(call.op);
  const float* bias = TwoBitScores::bias(call.op);
  for (int n = first; n < last; n++) {
    const uint8_t* at = codes + static_cast<size_t>(n) * bytes;
    for (size_t ahead = 0; ahead < bytes; ahead += 64) prefetchFar(at + streamAhead + ahead);
    for (int r = 0; r < call.rows; r++) {
      const char* x = prepared + static_cast<size_t>(r) * stride;
      const PreparedRow* head = reinterpret_cast<const PreparedRow*>(x);
      const int32_t dot = dotCodes(at, reinterpret_cast<const int8_t*>(x + sizeof(PreparedRow)), units);
      const float scale = head->step * scales[n];
      const float product = scale * static_cast<float>(2 * dot - 3 * head->sum);
      row(TwoBitScores::out(call.op), r, outWidth)[n] = bias != nullptr ? product + bias[n] : product;
    }
  }
}

static inline size_t twoBitScoresScratch(Record op, int maxRows) {
  return static_cast<size_t>(maxRows) * preparedRowBytes(TwoBitScores::inWidth(op));
}

static void twoBitScores(const Call& call) {
  const int inWidth = TwoBitScores::inWidth(call.op);
  const int outWidth = TwoBitScores::outWidth(call.op);
  const int first = share(outWidth, 16, call.thread, call.threads);
  const int last = share(outWidth, 16, call.thread + 1, call.threads);
  if (first == last) return;
  for (int r = 0; r < call.rows; r++)
    prepareRow(row(TwoBitScores::x(call.op), r, inWidth), inWidth, call.scratch + static_cast<size_t>(r) * preparedRowBytes(inWidth));
  scoreNeurons(call, call.scratch, first, last);
}

}  // namespace relufy::RELUFY_ISA
