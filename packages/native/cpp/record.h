// How a record of an encoded program is read: 32 words an op, operands as offsets in units of 64 bytes from the
// session's base (0 = absent). The accessors by name are generated (generated/ops.h).
//
// Everything here is inlined for certain: these files are compiled once an instruction set, and a function that the
// linker merged could carry AVX-512 into code for a processor without it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#define RELUFY_INLINE __attribute__((always_inline)) inline
/**
 * A hot loop is compiled by itself: inlined into a larger function it was up to a third slower (spilled registers). Its body
 * is inlined: a call a weight row costs a sixth.
 */
#define RELUFY_LOOP __attribute__((noinline)) static

namespace relufy {

struct Record {
  const uint32_t* words;
  char* base;
};

RELUFY_INLINE static char* address(Record r, int word) {
  return r.words[word] == 0 ? nullptr : r.base + (static_cast<size_t>(r.words[word]) << 6);
}

RELUFY_INLINE static float number(Record r, int word) {
  float value;
  memcpy(&value, r.words + word, sizeof value);
  return value;
}

/** A weight in bf16: the high half of an f32. */
struct bf16 {
  uint16_t bits;
};

RELUFY_INLINE static float widen(bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float wide;
  memcpy(&wide, &bits, sizeof wide);
  return wide;
}
RELUFY_INLINE static float widen(float value) { return value; }

}  // namespace relufy
