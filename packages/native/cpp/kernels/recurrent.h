// tokenShift and wkv: what the tokens of a slot leave for the next one; mix, which weighs a token and the one before.
//
//   for each row r: s = state[slots[r]], or what a sequence begins with where positions[r] is 0; out[r] = f(s, x[r]); state = g(s, x[r])
//
// Columns are split across the threads in cache lines, since rows may be of one slot; each thread takes the rows of its
// columns one after the other. The last columns go through the same lanes (padded with zeros).
#pragma once
#include "exp.h"

namespace relufy::RELUFY_ISA {

static void tokenShift(const Call& call) {
  const int width = TokenShift::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const size_t bytes = static_cast<size_t>(share(width, 16, call.thread + 1, call.threads) - first) * sizeof(float);
  if (bytes == 0) return;
  for (int r = 0; r < call.rows; r++) {
    float* state = row(TokenShift::state(call.op), TokenShift::slots(call.op)[r], width) + first;
    float* out = row(TokenShift::out(call.op), r, width) + first;
    if (TokenShift::positions(call.op)[r] == 0) memset(out, 0, bytes);
    else memcpy(out, state, bytes);
    memcpy(state, row(TokenShift::x(call.op), r, width) + first, bytes);
  }
}

static void mix(const Call& call) {
  const int width = Mix::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  for (int r = 0; r < call.rows; r++) {
    const float* a = row(Mix::a(call.op), r, width);
    const float* b = row(Mix::b(call.op), r, width);
    float* out = row(Mix::out(call.op), r, width);
    for (int c = first; c < last; c += lanes) {
      const int n = least(lanes, last - c);
      const Vec weight = take(Mix::weight(call.op) + c, n);
      // two products and a sum, each rounded: the numbers of the definition
      put(out + c, add(mul(take(a + c, n), weight), mul(take(b + c, n), sub(splat(1.0f), weight))), n);
    }
  }
}

// A state is three runs of width: a, b and p, the sums of exp(k) v and of exp(k) times exp(-p), decayed, and p itself.
static void wkv(const Call& call) {
  const int width = Wkv::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  for (int c = first; c < last; c += lanes) {
    const int n = least(lanes, last - c);
    const Vec rate = exp(take(Wkv::decay(call.op) + c, n));
    const Vec bonus = take(Wkv::first(call.op) + c, n);
    for (int r = 0; r < call.rows; r++) {
      float* state = row(Wkv::state(call.op), Wkv::slots(call.op)[r], 3 * width) + c;
      const bool begins = Wkv::positions(call.op)[r] == 0;
      const Vec a = begins ? zero() : take(state, n);
      const Vec b = begins ? zero() : take(state + width, n);
      const Vec p = begins ? splat(-1e38f) : take(state + 2 * width, n);
      const Vec k = take(row(Wkv::k(call.op), r, width) + c, n);
      const Vec v = take(row(Wkv::v(call.op), r, width) + c, n);

      const Vec now = add(bonus, k);
      const Vec largest = max(p, now);
      const Vec past = exp(sub(p, largest));
      const Vec added = exp(sub(now, largest));
      const Vec sum = fma(past, a, mul(added, v));
      put(row(Wkv::out(call.op), r, width) + c, div(sum, fma(past, b, added)), n);

      const Vec decayed = sub(p, rate);
      const Vec next = max(decayed, k);
      const Vec kept = exp(sub(decayed, next));
      const Vec gained = exp(sub(k, next));
      put(state, fma(kept, a, mul(gained, v)), n);
      put(state + width, fma(kept, b, gained), n);
      put(state + 2 * width, next, n);
    }
  }
}

}  // namespace relufy::RELUFY_ISA
