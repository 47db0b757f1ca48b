// A kernel that only measures: how fast the team reads memory. Not in the op table; its records are made by streaming.ts of
// @relufy/tensor.
//
//   streamRead: every thread reads its share of a buffer once, four vectors at a time, and stores their sum
//   record: 1 buffer, in units; 2 its length, in units; 3 where the sums go, in units (a unit a thread); 4 how many
//   sums there are: those of threads that take no part become zero
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

static void stream(const Call& call) {
  const uint64_t units = call.op.words[2];
  const float* at = reinterpret_cast<const float*>(address(call.op, 1));
  const uint64_t threads = static_cast<uint64_t>(call.threads);
  const float* end = at + units * static_cast<uint64_t>(call.thread + 1) / threads * 16;
  at += units * static_cast<uint64_t>(call.thread) / threads * 16;
  Vec s[4] = {zero(), zero(), zero(), zero()};
  for (; at + 4 * lanes <= end; at += 4 * lanes)
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) s[j] = add(s[j], load(at + j * lanes));
  float* sums = reinterpret_cast<float*>(address(call.op, 3)) + call.thread * 16;
  float rest = 0;
  for (; at < end; at++) rest += *at;
  *sums = hsum(add(add(s[0], s[1]), add(s[2], s[3]))) + rest;
  const int slots = static_cast<int>(call.op.words[4]);
  for (int other = call.thread + call.threads; other < slots; other += call.threads)
    sums[static_cast<ptrdiff_t>(other - call.thread) * 16] = 0;
}

}  // namespace relufy::RELUFY_ISA
