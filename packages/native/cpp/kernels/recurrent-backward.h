// tokenShiftBackward, mixBackward, mixGradient and wkvBackward: the gradients of recurrent.h.
//
// Rows of tokenShiftBackward are split across the threads, of mixBackward rows too, columns of the others; each thread takes the rows
// of its columns one after the other, first forwards for the sums, then backwards. Sums of mixGradient are those of column-sums.h;
// those of wkvBackward run from the last row to the first.
#pragma once
#include "column-sums.h"
#include "exp.h"

namespace relufy::RELUFY_ISA {

/** The row of the same slot that follows, or -1 for the last of a sequence. */
static inline int nextRow(const int32_t* positions, const int32_t* slots, int r, int rows) {
  for (int q = r + 1; q < rows; q++)
    if (slots[q] == slots[r]) return positions[q] == 0 ? -1 : q;
  return -1;
}

/** The row of the same slot that it follows, or -1 for the first of a sequence. */
static inline int rowBefore(const int32_t* positions, const int32_t* slots, int r) {
  if (positions[r] == 0) return -1;
  for (int p = r - 1; p >= 0; p--)
    if (slots[p] == slots[r]) return p;
  return -1;
}

static void tokenShiftBackward(const Call& call) {
  const int width = TokenShiftBackward::width(call.op);
  const float* residual = TokenShiftBackward::residual(call.op);
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++) {
    const int next = nextRow(TokenShiftBackward::positions(call.op), TokenShiftBackward::slots(call.op), r, call.rows);
    const float* dy = row(TokenShiftBackward::dy(call.op), next < 0 ? 0 : next, width);
    float* out = row(TokenShiftBackward::out(call.op), r, width);
    for (int c = 0; c < width; c += lanes) {
      const int n = least(lanes, width - c);
      const Vec kept = residual != nullptr ? take(row(residual, r, width) + c, n) : zero();
      put(out + c, next < 0 ? kept : add(kept, take(dy + c, n)), n);
    }
  }
}

static void mixBackward(const Call& call) {
  const int width = MixBackward::width(call.op);
  const bool isOther = MixBackward::part(call.op) != 0;
  const float* residual = MixBackward::residual(call.op);
  const int last = share(call.rows, 1, call.thread + 1, call.threads);
  for (int r = share(call.rows, 1, call.thread, call.threads); r < last; r++)
    for (int c = 0; c < width; c += lanes) {
      const int n = least(lanes, width - c);
      const Vec own = take(MixBackward::weight(call.op) + c, n);
      const Vec gradient = mul(take(row(MixBackward::dy(call.op), r, width) + c, n), isOther ? sub(splat(1.0f), own) : own);
      put(
          row(MixBackward::out(call.op), r, width) + c,
          residual != nullptr ? add(take(row(residual, r, width) + c, n), gradient) : gradient, n
      );
    }
}

static void mixGradient(const Call& call) {
  const int width = MixGradient::width(call.op);
  const float* dy = MixGradient::dy(call.op);
  const float* a = MixGradient::a(call.op);
  const float* b = MixGradient::b(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  addColumnSums(MixGradient::weight(call.op), call.rows, first, last, [&](int r, int c, int n) {
    return mul(take(row(dy, r, width) + c, n), sub(take(row(a, r, width) + c, n), take(row(b, r, width) + c, n)));
  });
}

// A row of `states` is three runs of width. With A = a exp(p) and B = b exp(p), y = (A + exp(first + k) v) / (B + exp(first + k)); the
// gradients of A and B behind a row are ga exp(-g) and gb exp(-g), g so small that no exponent is above 0.
static void wkvBackward(const Call& call) {
  const int width = WkvBackward::width(call.op);
  const int32_t* positions = WkvBackward::positions(call.op);
  const int32_t* slots = WkvBackward::slots(call.op);
  float* states = WkvBackward::states(call.op);
  float* decayGradient = WkvBackward::decayGradient(call.op);
  float* firstGradient = WkvBackward::firstGradient(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  for (int c = first; c < last; c += lanes) {
    const int n = least(lanes, last - c);
    const Vec rate = exp(take(WkvBackward::decay(call.op) + c, n));
    const Vec bonus = take(WkvBackward::first(call.op) + c, n);
    for (int r = 0; r < call.rows; r++) {
      const int before = rowBefore(positions, slots, r);
      float* state = row(states, r, 3 * width) + c;
      if (before < 0) {
        put(state, zero(), n);
        put(state + width, zero(), n);
        put(state + 2 * width, splat(-1e38f), n);
        continue;
      }
      const float* left = row(states, before, 3 * width) + c;
      const Vec k = take(row(WkvBackward::k(call.op), before, width) + c, n);
      const Vec v = take(row(WkvBackward::v(call.op), before, width) + c, n);
      const Vec decayed = sub(take(left + 2 * width, n), rate);
      const Vec next = max(decayed, k);
      const Vec kept = exp(sub(decayed, next));
      const Vec added = exp(sub(k, next));
      put(state, fma(kept, take(left, n), mul(added, v)), n);
      put(state + width, fma(kept, take(left + width, n), added), n);
      put(state + 2 * width, next, n);
    }
    Vec decaySum = zero();
    Vec firstSum = zero();
    for (int r = call.rows - 1; r >= 0; r--) {
      float* state = row(states, r, 3 * width) + c;
      const Vec a = take(state, n);
      const Vec b = take(state + width, n);
      const Vec p = take(state + 2 * width, n);
      const int next = nextRow(positions, slots, r, call.rows);
      const float* behind = row(states, next < 0 ? 0 : next, 3 * width) + c;
      const Vec ga = next < 0 ? zero() : take(behind, n);
      const Vec gb = next < 0 ? zero() : take(behind + width, n);
      const Vec g = next < 0 ? splat(1e38f) : take(behind + 2 * width, n);
      const Vec k = take(row(WkvBackward::k(call.op), r, width) + c, n);
      const Vec v = take(row(WkvBackward::v(call.op), r, width) + c, n);

      const Vec now = add(bonus, k);
      const Vec largest = max(p, now);
      const Vec past = exp(sub(p, largest));
      const Vec own = exp(sub(now, largest));
      const Vec divisor = fma(past, b, own);
      const Vec y = div(fma(past, a, mul(own, v)), divisor);
      const Vec slope = div(take(row(WkvBackward::dy(call.op), r, width) + c, n), divisor);
      const Vec bonusSlope = mul(mul(own, sub(v, y)), slope);
      const Vec gained = exp(sub(k, g));
      put(row(WkvBackward::dv(call.op), r, width) + c, fma(own, slope, mul(gained, ga)), n);
      put(row(WkvBackward::dk(call.op), r, width) + c, fma(gained, fma(v, ga, gb), bonusSlope), n);
      firstSum = add(firstSum, bonusSlope);
      const Vec carried = exp(sub(sub(p, rate), g));
      decaySum = sub(decaySum, mul(mul(rate, carried), fma(a, ga, mul(b, gb))));

      const Vec reached = add(g, rate);
      const Vec before = min(largest, reached);
      const Vec here = mul(slope, exp(sub(before, largest)));
      const Vec later = exp(sub(before, reached));
      put(state, fma(ga, later, here), n);
      put(state + width, sub(mul(gb, later), mul(here, y)), n);
      put(state + 2 * width, before, n);
    }
    if (decayGradient != nullptr) put(decayGradient + c, add(take(decayGradient + c, n), decaySum), n);
    if (firstGradient != nullptr) put(firstGradient + c, add(take(firstGradient + c, n), firstSum), n);
  }
}

}  // namespace relufy::RELUFY_ISA
