// keepTop: the k best of every stretch of a row, the others +0. What competes are groups of neighbouring columns.
//
//   for each stretch: score of a group = sum of |x[c]| * scale[c], rounded to f32 at each step, in order
//     threshold = the k-th largest score; out[c] = x[c] where its group is above the threshold, or on it and among the first that
//     make k; else +0
//
// Scores are turned into integers of the same order (NaN above all, -0 = 0), so that the threshold is found by counting their
// digits, in three passes whatever the numbers. Where a stretch has few groups, each is ranked against the others instead, in
// 16 stretches at once. Stretches are split across the threads; where there are fewer, every thread finds the threshold of each,
// and writes its share of the columns: not when out = x.
#pragma once
#include <cmath>

#include "simd.h"

namespace relufy::RELUFY_ISA {

/** Values of one digit. */
constexpr int digitBins = 2048;
/** So many scores or fewer are compared with each other. */
constexpr int fewScores = 16;

/** The integer of a score's order. */
RELUFY_INLINE static int32_t orderOf(float score) {
  int32_t bits;
  memcpy(&bits, &score, sizeof bits);
  const int32_t order = bits < 0 ? -(bits & 0x7fffffff) : bits;
  return score != score ? 0x7fffffff : order;
}

/** Writes the orders of all groups of a stretch. */
RELUFY_LOOP void writeOrders(const float* x, const float* scale, int groups, int groupSize, int32_t* orders) {
  if (groupSize == 1) {
    if (scale == nullptr)
      for (int g = 0; g < groups; g++) orders[g] = orderOf(std::fabs(x[g]));
    else
      for (int g = 0; g < groups; g++) orders[g] = orderOf(std::fabs(x[g]) * scale[g]);
    return;
  }
  for (int g = 0, c = 0; g < groups; g++) {
    float sum = 0;
    for (const int end = c + groupSize; c < end; c++) sum += scale == nullptr ? std::fabs(x[c]) : std::fabs(x[c]) * scale[c];
    orders[g] = orderOf(sum);
  }
}

/** How many are above the threshold, and how many on it. */
struct Standing {
  int above;
  int on;
};
RELUFY_INLINE static Standing standingOf(const int32_t* orders, int groups, int32_t bar) {
  Standing s = {0, 0};
  for (int g = 0; g < groups; g++) {
    s.above += orders[g] > bar;
    s.on += orders[g] == bar;
  }
  return s;
}

/** The order of the k-th best, and how many on it are kept. */
struct Bar {
  int32_t order;
  int kept;
};

/** Among the orders that begin with `prefix`: the prefix of the k-th best, `bits` bits longer; k becomes its place there. */
RELUFY_INLINE static uint32_t nextDigit(
    const int32_t* orders, int groups, int32_t* bins, int shift, int bits, uint32_t prefix, int& k) {
  const uint32_t mask = (1u << bits) - 1;
  const bool all = shift + bits == 32;
  memset(bins, 0, digitBins * sizeof(int32_t));
  for (int g = 0; g < groups; g++) {
    const uint32_t order = static_cast<uint32_t>(orders[g]) ^ 0x80000000u;
    if (all || order >> (shift + bits) == prefix) bins[order >> shift & mask]++;
  }
  uint32_t digit = mask;
  for (; k > bins[digit]; digit--) k -= bins[digit];
  return prefix << bits | digit;
}

RELUFY_LOOP Bar findBar(const int32_t* orders, int groups, int k, int32_t* bins) {
  if (groups <= fewScores)
    for (int g = 0; g < groups; g++) {
      const Standing s = standingOf(orders, groups, orders[g]);
      if (s.above < k && k <= s.above + s.on) return {orders[g], k - s.above};
    }
  const uint32_t high = nextDigit(orders, groups, bins, 21, 11, 0, k);
  const uint32_t middle = nextDigit(orders, groups, bins, 10, 11, high, k);
  const uint32_t order = nextDigit(orders, groups, bins, 0, 10, middle, k);
  return {static_cast<int32_t>(order ^ 0x80000000u), k};
}

/** The groups whose order is the threshold at least. */
RELUFY_LOOP void writeFrom(const float* x, float* out, const int32_t* orders, int groups, int groupSize, int32_t bar) {
  if (groupSize == 1) {
    for (int g = 0; g < groups; g++) out[g] = orders[g] >= bar ? x[g] : 0.0f;
    return;
  }
  const size_t size = static_cast<size_t>(groupSize);
  for (int g = 0; g < groups; g++, x += size, out += size)
    if (orders[g] < bar) memset(out, 0, size * sizeof(float));
    else if (out != x) memcpy(out, x, size * sizeof(float));
}

/** What is ranked: groups of as many numbers each, by their sizes times scales, where there are some. */
struct Stretch {
  const float* x;
  const float* scale;
  int groups;
  int groupSize;
};

/** The groups [first, last) of a stretch. `orders` has room for all of it. */
static inline void keepBest(
    const Stretch& stretch, float* out, int k, int first, int last, int32_t* bins, int32_t* orders) {
  const auto& [x, scale, groups, groupSize] = stretch;
  writeOrders(x, scale, groups, groupSize, orders);
  const Bar bar = findBar(orders, groups, k, bins);
  // up to the last that is kept on the threshold, the threshold is enough; after it, it is not
  int kept = bar.kept - standingOf(orders, first, bar.order).on;
  int middle = first;
  for (; middle < last && kept > 0; middle++) kept -= orders[middle] == bar.order;
  const auto write = [&](int from, int to, int32_t least) {
    const int at = from * groupSize;
    writeFrom(x + at, out + at, orders + from, to - from, groupSize, least);
  };
  write(first, middle, bar.order);
  // nothing is above the largest order there is
  if (bar.order != 0x7fffffff) write(middle, last, bar.order + 1);
  else if (middle < last)
    memset(out + middle * groupSize, 0, static_cast<size_t>((last - middle) * groupSize) * sizeof(float));
}

/** Stretches that are ranked side by side, and how many groups they have at most. */
constexpr int sideBySide = 16;
constexpr int fewGroups = 32;

/** ranks[g][s] = how many groups of stretch s come before g: those above it, and those as good that stand before it. */
RELUFY_LOOP void rankGroups(const int32_t* orders, int groups, int32_t* ranks) {
  memset(ranks, 0, static_cast<size_t>(groups * sideBySide) * sizeof(int32_t));
  for (int g = 0; g < groups; g++) {
    const int32_t* own = orders + g * sideBySide;
    int32_t* rank = ranks + g * sideBySide;
    int32_t mine[sideBySide] = {};
    for (int other = g + 1; other < groups; other++)
      RELUFY_INDEPENDENT
      for (int s = 0; s < sideBySide; s++) {
        const int32_t above = orders[other * sideBySide + s] > own[s];
        mine[s] += above;
        ranks[other * sideBySide + s] += 1 - above;
      }
    for (int s = 0; s < sideBySide; s++) rank[s] += mine[s];
  }
}

/** `count` stretches of few groups, one after the other from x on: each group is ranked against the others of its own. */
RELUFY_LOOP void keepBestOfFew(
    const float* x, const float* scale, float* out, int k, int count, int groups, int groupSize, int32_t* scratch) {
  int32_t* orders = scratch;
  int32_t* ranks = orders + fewGroups * sideBySide;
  const int stretch = groups * groupSize;
  for (int first = 0; first < count; first += sideBySide) {
    const int some = least(sideBySide, count - first);
    for (int s = 0; s < some; s++) {
      int32_t own[fewGroups];
      const int at = (first + s) * stretch;
      writeOrders(x + at, scale == nullptr ? nullptr : scale + at, groups, groupSize, own);
      for (int g = 0; g < groups; g++) orders[g * sideBySide + s] = own[g];
    }
    rankGroups(orders, groups, ranks);
    for (int s = 0, c = first * stretch; s < some; s++)
      for (int g = 0; g < groups; g++)
        for (const int end = c + groupSize; c < end; c++) out[c] = ranks[g * sideBySide + s] < k ? x[c] : 0.0f;
  }
}

static void keepTop(const Call& call) {
  const int width = KeepTop::width(call.op);
  const int groupSize = KeepTop::groupSize(call.op);
  const int stretch = KeepTop::within(call.op) == 0 ? width : KeepTop::within(call.op);
  const int groups = stretch / groupSize;
  const int k = KeepTop::k(call.op);
  const int perRow = width / stretch;
  const int total = call.rows * perRow;
  const bool whole = total >= call.threads || KeepTop::x(call.op) == KeepTop::out(call.op);
  const int first = whole ? 0 : share(groups, 16, call.thread, call.threads);
  const int last = whole ? groups : share(groups, 16, call.thread + 1, call.threads);
  if (first == last) return;
  int32_t* bins = reinterpret_cast<int32_t*>(call.scratch);
  const int end = whole ? share(total, 1, call.thread + 1, call.threads) : total;
  const bool few = whole && groups <= fewGroups;
  for (int i = whole ? share(total, 1, call.thread, call.threads) : 0; i < end;) {
    const int r = i / perRow;
    const int column = (i - r * perRow) * stretch;
    // of few groups, all stretches of a row at once
    const int count = few ? least(end, (r + 1) * perRow) - i : 1;
    const float* x = row(KeepTop::x(call.op), r, width) + column;
    float* out = row(KeepTop::out(call.op), r, width) + column;
    const float* scale = KeepTop::scale(call.op) == nullptr ? nullptr : KeepTop::scale(call.op) + column;
    const float* strength = KeepTop::strength(call.op);
    const int numbers = few ? count * stretch : (last - first) * groupSize;
    const size_t bytes = static_cast<size_t>(numbers) * sizeof(float);
    if (k >= groups || (strength != nullptr && strength[r] == 0))
      memmove(out + first * groupSize, x + first * groupSize, bytes);
    else if (k == 0) memset(out + first * groupSize, 0, bytes);
    else if (few) keepBestOfFew(x, scale, out, k, count, groups, groupSize, bins);
    else keepBest({x, scale, groups, groupSize}, out, k, first, last, bins, bins + digitBins);
    i += count;
  }
}

static inline size_t keepTopScratch(Record op) {
  const int stretch = KeepTop::within(op) == 0 ? KeepTop::width(op) : KeepTop::within(op);
  return static_cast<size_t>(digitBins + stretch / KeepTop::groupSize(op)) * sizeof(int32_t);
}

}  // namespace relufy::RELUFY_ISA
