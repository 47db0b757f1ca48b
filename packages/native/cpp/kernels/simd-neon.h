// simd.h for NEON on 64-bit ARM: four lanes, 32 registers. Compiled twice: plain, and with the dot product instructions
// of ARMv8.2 (`dotprod`).
#pragma once
#include <arm_neon.h>
#if defined(RELUFY_ISA_DOTPROD)
#define RELUFY_ISA dotprod
#else
#define RELUFY_ISA neon
#endif

namespace relufy::RELUFY_ISA {

using Vec = float32x4_t;
constexpr int lanes = 4;
/** Rows of a step in one register tile of four outputs: 20 sums, 4 weights, 5 inputs. */
constexpr int tileRows = 5;
/** Rows in one register tile of a vector of outputs of a block format. */
constexpr int blockTileRows = 8;
/** Rows, and vectors of columns, of one register tile of outer products (outer.h): 24 sums, 3 columns, 1 row. */
constexpr int outerRows = 8;
constexpr int outerVectors = 3;

/** Weight rows that one pass over x serves (gemv). */
constexpr int gemvBlock = 4;

RELUFY_INLINE static Vec zero() { return vdupq_n_f32(0); }
RELUFY_INLINE static Vec splat(float value) { return vdupq_n_f32(value); }
RELUFY_INLINE static Vec load(const float* at) { return vld1q_f32(at); }
RELUFY_INLINE static Vec load(const bf16* at) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(at)), 16));
}
template <class W>
RELUFY_INLINE static Vec loadFirst(const W* at, int n) {
  float some[lanes] = {};
  for (int i = 0; i < n; i++) some[i] = widen(at[i]);
  return load(some);
}
RELUFY_INLINE static void store(float* at, Vec v) { vst1q_f32(at, v); }
RELUFY_INLINE static void storeFirst(float* at, Vec v, int n) {
  float some[lanes];
  store(some, v);
  for (int i = 0; i < n; i++) at[i] = some[i];
}

RELUFY_INLINE static Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
RELUFY_INLINE static Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
RELUFY_INLINE static Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
RELUFY_INLINE static Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
RELUFY_INLINE static Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
RELUFY_INLINE static Vec max(Vec a, Vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
RELUFY_INLINE static Vec min(Vec a, Vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
RELUFY_INLINE static Vec absolute(Vec a) { return vabsq_f32(a); }
RELUFY_INLINE static Vec squareRoot(Vec a) { return vsqrtq_f32(a); }

RELUFY_INLINE static float hsum(Vec v) {
  const float32x2_t pair = vadd_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}
RELUFY_INLINE static Vec hsums(const Vec* v, int stride) {
  const auto halves = [&](int s) { return vadd_f32(vget_low_f32(v[s * stride]), vget_high_f32(v[s * stride])); };
  return vpaddq_f32(vcombine_f32(halves(0), halves(1)), vcombine_f32(halves(2), halves(3)));
}
RELUFY_INLINE static float hmax(Vec v) { return vmaxvq_f32(v); }

RELUFY_INLINE static Vec keep(uint32x4_t mask, Vec v) {
  return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(v)));
}
RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) { return keep(vcgtq_f32(a, b), v); }
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) { return keep(vmvnq_u32(vceqzq_f32(a)), v); }
RELUFY_INLINE static Vec whereAtMost(Vec a, Vec b, Vec v) { return keep(vcleq_f32(a, b), v); }
RELUFY_INLINE static Vec whereNotAtMost(Vec a, Vec b, Vec v) { return keep(vmvnq_u32(vcleq_f32(a, b)), v); }
RELUFY_INLINE static Vec whereNotLess(Vec a, Vec b, Vec v) { return keep(vmvnq_u32(vcltq_f32(a, b)), v); }
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) { return vbslq_f32(vcltzq_f32(x), a, b); }
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) {
  const uint32_t bits[lanes] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vmvnq_u32(vceqzq_f32(v)), vld1q_u32(bits)));
}
RELUFY_INLINE static Vec pow2(Vec n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}

// ---- integers and block formats

using Int = int32x4_t;
constexpr int int8BiasShift = -1;
constexpr int nibbleGroup = 1;

RELUFY_INLINE static Int splatInt(int32_t value) { return vdupq_n_s32(value); }
RELUFY_INLINE static Int loadInt(const int32_t* at) { return vld1q_s32(at); }
RELUFY_INLINE static Int loadIntFirst(const int32_t* at, int n) {
  int32_t some[lanes] = {};
  for (int i = 0; i < n; i++) some[i] = at[i];
  return loadInt(some);
}
RELUFY_INLINE static void storeInt(int32_t* at, Int v) { vst1q_s32(at, v); }
RELUFY_INLINE static Int subInt(Int a, Int b) { return vsubq_s32(a, b); }
template <int bits>
RELUFY_INLINE static Int shiftLeft(Int v) {
  return vshlq_n_s32(v, bits);
}
RELUFY_INLINE static Vec toFloat(Int v) { return vcvtq_f32_s32(v); }
RELUFY_INLINE static Int toInt(Vec v) { return vcvtnq_s32_f32(v); }
RELUFY_INLINE static Vec loadHalf(const uint16_t* at) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at))); }
RELUFY_INLINE static Vec loadHalfFirst(const uint16_t* at, int n) {
  uint16_t some[lanes] = {};
  for (int i = 0; i < n; i++) some[i] = at[i];
  return loadHalf(some);
}

/** acc + the four byte products of each lane. */
RELUFY_INLINE static Int maddBytes(Int acc, int8x16_t w, int8x16_t x) {
#if defined(RELUFY_ISA_DOTPROD)
  return vdotq_s32(acc, w, x);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
  const int16x8_t high = vmull_high_s8(w, x);
  return vpadalq_s16(acc, vpaddq_s16(low, high));
#endif
}
RELUFY_INLINE static int8x16_t lowNibbles(uint8x16_t w) { return vreinterpretq_s8_u8(vandq_u8(w, vdupq_n_u8(15))); }
RELUFY_INLINE static int8x16_t highNibbles(uint8x16_t w) { return vreinterpretq_s8_u8(vshrq_n_u8(w, 4)); }
RELUFY_INLINE static Int addAll(const Int* v) { return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3])); }

/** Dots of 4 (or the first n) blocks of 32 bytes. */
template <bool whole>
RELUFY_INLINE static Int dotsInt8(const int8_t* w, const int8_t* x, int n) {
  Int v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    v[i] = splatInt(0);
    if (!whole && i >= n) continue;
    v[i] = maddBytes(v[i], vld1q_s8(w + 32 * i), vld1q_s8(x + 32 * i));
    v[i] = maddBytes(v[i], vld1q_s8(w + 32 * i + 16), vld1q_s8(x + 32 * i + 16));
  }
  return addAll(v);
}

/** Dots of 4 (or the first n) blocks of 16 bytes, of the nibbles as they are. */
template <bool whole>
RELUFY_INLINE static Int dotsNibbles(const uint8_t* w, const int8_t* x, int n) {
  Int v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    v[i] = splatInt(0);
    if (!whole && i >= n) continue;
    const uint8x16_t wi = vld1q_u8(w + 16 * i);
    v[i] = maddBytes(v[i], lowNibbles(wi), vld1q_s8(x + 32 * i));
    v[i] = maddBytes(v[i], highNibbles(wi), vld1q_s8(x + 32 * i + 16));
  }
  return addAll(v);
}

/** Units of 128 codes of two bits that a vector takes (two-bits.h). */
constexpr int codeUnits = 1;
/** The sum of codes times x. */
RELUFY_INLINE static int32_t dotCodes(const uint8_t* codes, const int8_t* x, int units) {
  const uint8x16_t low = vdupq_n_u8(3);
  Int sum[2] = {splatInt(0), splatInt(0)};
  for (int u = 0; u < units; u++)
    for (int half = 0; half < 2; half++) {
      const uint8x16_t c = vld1q_u8(codes + 32 * u + 16 * half);
      const int8_t* at = x + 128 * u + 16 * half;
      const auto masked = [&](uint8x16_t shifted) { return vreinterpretq_s8_u8(vandq_u8(shifted, low)); };
      sum[0] = maddBytes(sum[0], masked(c), vld1q_s8(at));
      sum[1] = maddBytes(sum[1], masked(vshrq_n_u8(c, 2)), vld1q_s8(at + 32));
      sum[0] = maddBytes(sum[0], masked(vshrq_n_u8(c, 4)), vld1q_s8(at + 64));
      sum[1] = maddBytes(sum[1], masked(vshrq_n_u8(c, 6)), vld1q_s8(at + 96));
    }
  return vaddvq_s32(vaddq_s32(sum[0], sum[1]));
}

/** out[j] lane l = 32-bit word j of the 16 bytes at rows[l] + offset. */
RELUFY_INLINE static void transposeRows(const char* const* rows, size_t offset, Int* out) {
  Int a[4];
  for (int i = 0; i < 4; i++) a[i] = vreinterpretq_s32_s8(vld1q_s8(reinterpret_cast<const int8_t*>(rows[i] + offset)));
  const Int b[4] = {vtrn1q_s32(a[0], a[1]), vtrn2q_s32(a[0], a[1]), vtrn1q_s32(a[2], a[3]), vtrn2q_s32(a[2], a[3])};
  const auto pair = [](Int low, Int high, bool second) {
    const int64x2_t x = vreinterpretq_s64_s32(low);
    const int64x2_t y = vreinterpretq_s64_s32(high);
    return vreinterpretq_s32_s64(second ? vtrn2q_s64(x, y) : vtrn1q_s64(x, y));
  };
  out[0] = pair(b[0], b[2], false);
  out[1] = pair(b[1], b[3], false);
  out[2] = pair(b[0], b[2], true);
  out[3] = pair(b[1], b[3], true);
}
/** f16 in the low half of each lane. */
RELUFY_INLINE static Vec fromHalves(Int v) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(vreinterpretq_u32_s32(v))));
}
RELUFY_INLINE static Int highHalves(Int v) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(v), 16)); }
RELUFY_INLINE static Int flipBytes(Int v, int bits) {
  return vreinterpretq_s32_u8(veorq_u8(vreinterpretq_u8_s32(v), vdupq_n_u8(static_cast<uint8_t>(bits))));
}
RELUFY_INLINE static Int lowNibbles(Int v) { return vreinterpretq_s32_s8(lowNibbles(vreinterpretq_u8_s32(v))); }
RELUFY_INLINE static Int highNibbles(Int v) { return vreinterpretq_s32_s8(highNibbles(vreinterpretq_u8_s32(v))); }

/** acc + the four byte products of each lane: panel holds 4 weights (biased as in dots) a lane, x the same 4 for all. */
template <class F>
RELUFY_INLINE static Int maddPanel(Int acc, const uint8_t* panel, int32_t x) {
  return maddBytes(acc, vreinterpretq_s8_u8(vld1q_u8(panel)), vreinterpretq_s8_s32(splatInt(x)));
}

RELUFY_INLINE static void bytesToFloats(int8x16_t bytes, Vec* q) {
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_high_s8(bytes);
  q[0] = toFloat(vmovl_s16(vget_low_s16(low)));
  q[1] = toFloat(vmovl_high_s16(low));
  q[2] = toFloat(vmovl_s16(vget_low_s16(high)));
  q[3] = toFloat(vmovl_high_s16(high));
}
/** The 32 numbers of a block, without scale. */
RELUFY_INLINE static void loadInt8Block(const char* at, Vec* q) {
  bytesToFloats(vld1q_s8(reinterpret_cast<const int8_t*>(at)), q);
  bytesToFloats(vld1q_s8(reinterpret_cast<const int8_t*>(at) + 16), q + 4);
}
constexpr float highNibbleScale = 1;
template <int bias>
RELUFY_INLINE static void loadNibbles(const char* at, Vec* q) {
  const uint8x16_t w = vld1q_u8(reinterpret_cast<const uint8_t*>(at));
  bytesToFloats(vsubq_s8(lowNibbles(w), vdupq_n_s8(bias)), q);
  bytesToFloats(vsubq_s8(highNibbles(w), vdupq_n_s8(bias)), q + 4);
}

}  // namespace relufy::RELUFY_ISA
