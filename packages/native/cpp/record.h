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
/** Before a loop: what one pass writes no other reads. GCC and clang, which zig's compiler is, spell it in their own ways. */
#ifdef __clang__
#define RELUFY_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define RELUFY_INDEPENDENT _Pragma("GCC ivdep")
#endif

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

/** A key or a value in f16. */
struct f16 {
  uint16_t bits;
};

/** The nearest f16, ties to even; what is too large becomes infinite. */
RELUFY_INLINE static f16 narrow(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) half = 0x7e00;
  else if (magnitude >= 0x477ff000) half = 0x7c00;
  else if (magnitude >= 0x38800000) half = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
  else {
    // subnormal: adding 0.5 leaves units of 2^-24 in the low bits, rounded half to even
    float small;
    memcpy(&small, &magnitude, sizeof small);
    small += 0.5f;
    memcpy(&half, &small, sizeof half);
    half -= 0x3f000000;
  }
  return {static_cast<uint16_t>(sign | half)};
}
RELUFY_INLINE static void narrow(float value, float& to) { to = value; }
RELUFY_INLINE static void narrow(float value, f16& to) { to = narrow(value); }

}  // namespace relufy
