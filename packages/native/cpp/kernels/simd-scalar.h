// simd.h in plain C++: four lanes, which compilers turn into whatever the processor has. The fallback, and the build
// that a debugger or a new architecture starts from. Multiply-add is two roundings: a fused one would be a library call.
#pragma once
#include <cmath>
#define RELUFY_ISA scalar

namespace relufy::scalar {

constexpr int lanes = 4;
struct Vec {
  float lane[lanes];
};
/** Rows of a step in one register tile of four outputs, and of one vector of outputs of a block format. */
constexpr int tileRows = 2;
constexpr int blockTileRows = 2;
/** Rows, and vectors of columns, of one register tile of outer products (outer.h): 8 sums. */
constexpr int outerRows = 4;
constexpr int outerVectors = 2;

#define RELUFY_LANES(expression)            \
  Vec out;                                  \
  for (int l = 0; l < lanes; l++) out.lane[l] = (expression); \
  return out

/** Weight rows that one pass over x serves (gemv). */
constexpr int gemvBlock = 4;

RELUFY_INLINE static Vec splat(float value) { RELUFY_LANES(value); }
RELUFY_INLINE static Vec zero() { return splat(0); }
template <class W>
RELUFY_INLINE static Vec load(const W* at) {
  RELUFY_LANES(widen(at[l]));
}
template <class W>
RELUFY_INLINE static Vec loadFirst(const W* at, int n) {
  RELUFY_LANES(l < n ? widen(at[l]) : 0);
}
RELUFY_INLINE static void store(float* at, Vec v) {
  for (int l = 0; l < lanes; l++) at[l] = v.lane[l];
}
RELUFY_INLINE static void storeFirst(float* at, Vec v, int n) {
  for (int l = 0; l < n; l++) at[l] = v.lane[l];
}

RELUFY_INLINE static Vec add(Vec a, Vec b) { RELUFY_LANES(a.lane[l] + b.lane[l]); }
RELUFY_INLINE static Vec sub(Vec a, Vec b) { RELUFY_LANES(a.lane[l] - b.lane[l]); }
RELUFY_INLINE static Vec mul(Vec a, Vec b) { RELUFY_LANES(a.lane[l] * b.lane[l]); }
RELUFY_INLINE static Vec div(Vec a, Vec b) { RELUFY_LANES(a.lane[l] / b.lane[l]); }
RELUFY_INLINE static Vec fma(Vec a, Vec b, Vec c) { RELUFY_LANES(c.lane[l] + a.lane[l] * b.lane[l]); }
RELUFY_INLINE static Vec max(Vec a, Vec b) { RELUFY_LANES(a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]); }
RELUFY_INLINE static Vec min(Vec a, Vec b) { RELUFY_LANES(a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l]); }
RELUFY_INLINE static Vec absolute(Vec a) { RELUFY_LANES(a.lane[l] < 0 ? -a.lane[l] : a.lane[l]); }
RELUFY_INLINE static Vec squareRoot(Vec a) { RELUFY_LANES(std::sqrt(a.lane[l])); }

RELUFY_INLINE static float hsum(Vec v) { return (v.lane[0] + v.lane[2]) + (v.lane[1] + v.lane[3]); }
RELUFY_INLINE static Vec hsums(const Vec* v, int stride) { RELUFY_LANES(hsum(v[l * stride])); }
RELUFY_INLINE static float hmax(Vec v) {
  const float a = v.lane[0] > v.lane[2] ? v.lane[0] : v.lane[2];
  const float b = v.lane[1] > v.lane[3] ? v.lane[1] : v.lane[3];
  return a > b ? a : b;
}

RELUFY_INLINE static Vec whereGreater(Vec a, Vec b, Vec v) { RELUFY_LANES(a.lane[l] > b.lane[l] ? v.lane[l] : 0); }
RELUFY_INLINE static Vec whereNonZero(Vec a, Vec v) { RELUFY_LANES(a.lane[l] != 0 ? v.lane[l] : 0); }
RELUFY_INLINE static Vec whereAtMost(Vec a, Vec b, Vec v) { RELUFY_LANES(a.lane[l] <= b.lane[l] ? v.lane[l] : 0); }
RELUFY_INLINE static Vec whereNotAtMost(Vec a, Vec b, Vec v) { RELUFY_LANES(a.lane[l] <= b.lane[l] ? 0 : v.lane[l]); }
RELUFY_INLINE static Vec whereNotLess(Vec a, Vec b, Vec v) { RELUFY_LANES(a.lane[l] < b.lane[l] ? 0 : v.lane[l]); }
RELUFY_INLINE static Vec chooseNegative(Vec x, Vec a, Vec b) { RELUFY_LANES(x.lane[l] < 0 ? a.lane[l] : b.lane[l]); }
RELUFY_INLINE static uint32_t nonZeroBits(Vec v) {
  uint32_t bits = 0;
  for (int l = 0; l < lanes; l++) bits |= (v.lane[l] != 0 ? 1u : 0u) << l;
  return bits;
}
RELUFY_INLINE static Vec pow2(Vec n) {
  Vec out;
  for (int l = 0; l < lanes; l++) {
    const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(n.lane[l]) + 127) << 23;
    memcpy(&out.lane[l], &bits, sizeof bits);
  }
  return out;
}

// ---- integers and block formats

struct Int {
  int32_t lane[lanes];
};
constexpr int int8BiasShift = -1;
constexpr int nibbleGroup = 1;

RELUFY_INLINE static Int splatInt(int32_t value) { return {{value, value, value, value}}; }
RELUFY_INLINE static Int loadIntFirst(const int32_t* at, int n) {
  Int out = splatInt(0);
  for (int l = 0; l < n; l++) out.lane[l] = at[l];
  return out;
}
RELUFY_INLINE static Int loadInt(const int32_t* at) { return loadIntFirst(at, lanes); }
RELUFY_INLINE static void storeInt(int32_t* at, Int v) { memcpy(at, v.lane, sizeof v.lane); }
RELUFY_INLINE static Int subInt(Int a, Int b) {
  for (int l = 0; l < lanes; l++) a.lane[l] -= b.lane[l];
  return a;
}
template <int bits>
RELUFY_INLINE static Int shiftLeft(Int v) {
  for (int l = 0; l < lanes; l++) v.lane[l] *= 1 << bits;
  return v;
}
RELUFY_INLINE static Vec toFloat(Int v) { RELUFY_LANES(static_cast<float>(v.lane[l])); }
/** Half to even: adding 1.5 * 2^23 leaves the nearest integer in the low bits. */
RELUFY_INLINE static Int toInt(Vec v) {
  Int out;
  for (int l = 0; l < lanes; l++) out.lane[l] = static_cast<int32_t>(v.lane[l] + 12582912.0f - 12582912.0f);
  return out;
}

RELUFY_INLINE static float widenHalf(uint16_t half) {
  // exponent and fraction moved into an f32, then scaled by what the exponents' biases differ: exact, subnormals too
  const uint32_t bits = static_cast<uint32_t>(half & 0x7fff) << 13;
  float value;
  memcpy(&value, &bits, sizeof value);
  if (bits > 0x0f800000) value = NAN;
  else value = bits == 0x0f800000 ? INFINITY : value * 5.192296858534828e33f;  // 2^112
  return half & 0x8000 ? -value : value;
}
RELUFY_INLINE static Vec loadHalf(const uint16_t* at) { RELUFY_LANES(widenHalf(at[l])); }
RELUFY_INLINE static Vec loadHalfFirst(const uint16_t* at, int n) { RELUFY_LANES(l < n ? widenHalf(at[l]) : 0); }

/** Dots of 4 (or the first n) blocks of 32 bytes. */
template <bool whole>
RELUFY_INLINE static Int dotsInt8(const int8_t* w, const int8_t* x, int n) {
  Int out = splatInt(0);
  for (int b = 0; b < (whole ? lanes : n); b++)
    for (int i = 0; i < 32; i++) out.lane[b] += w[32 * b + i] * x[32 * b + i];
  return out;
}

/** Dots of 4 (or the first n) blocks of 16 bytes, of the nibbles as they are. */
template <bool whole>
RELUFY_INLINE static Int dotsNibbles(const uint8_t* w, const int8_t* x, int n) {
  Int out = splatInt(0);
  for (int b = 0; b < (whole ? lanes : n); b++)
    for (int i = 0; i < 16; i++)
      out.lane[b] += (w[16 * b + i] & 15) * x[32 * b + i] + (w[16 * b + i] >> 4) * x[32 * b + i + 16];
  return out;
}

/** Units of 128 codes of two bits that a vector takes (two-bits.h). */
constexpr int codeUnits = 1;
/** The sum of codes times x. */
RELUFY_INLINE static int32_t dotCodes(const uint8_t* codes, const int8_t* x, int units) {
  int32_t sum = 0;
  for (int u = 0; u < units; u++)
    for (int k = 0; k < 4; k++)
      for (int j = 0; j < 32; j++) sum += (codes[32 * u + j] >> 2 * k & 3) * x[128 * u + 32 * k + j];
  return sum;
}

/** out[j] lane l = 32-bit word j of the 16 bytes at rows[l] + offset. */
RELUFY_INLINE static void transposeRows(const char* const* rows, size_t offset, Int* out) {
  for (int l = 0; l < lanes; l++)
    for (int j = 0; j < 4; j++) memcpy(&out[j].lane[l], rows[l] + offset + 4 * j, 4);
}
/** f16 in the low half of each lane. */
RELUFY_INLINE static Vec fromHalves(Int v) { RELUFY_LANES(widenHalf(static_cast<uint16_t>(v.lane[l] & 0xffff))); }
RELUFY_INLINE static Int highHalves(Int v) {
  for (int l = 0; l < lanes; l++) v.lane[l] = static_cast<int32_t>(static_cast<uint32_t>(v.lane[l]) >> 16);
  return v;
}
RELUFY_INLINE static Int flipBytes(Int v, int bits) {
  for (int l = 0; l < lanes; l++) v.lane[l] ^= static_cast<int32_t>(static_cast<uint32_t>(bits) * 0x01010101u);
  return v;
}
RELUFY_INLINE static Int lowNibbles(Int v) {
  for (int l = 0; l < lanes; l++) v.lane[l] &= 0x0f0f0f0f;
  return v;
}
RELUFY_INLINE static Int highNibbles(Int v) {
  for (int l = 0; l < lanes; l++) v.lane[l] = static_cast<int32_t>(static_cast<uint32_t>(v.lane[l]) >> 4 & 0x0f0f0f0fu);
  return v;
}

/** acc + the four byte products of each lane: panel holds 4 weights (biased as in dots) a lane, x the same 4 for all. */
template <class F>
RELUFY_INLINE static Int maddPanel(Int acc, const uint8_t* panel, int32_t x) {
  int8_t bytes[4];
  memcpy(bytes, &x, 4);
  for (int l = 0; l < lanes; l++)
    for (int i = 0; i < 4; i++) acc.lane[l] += static_cast<int8_t>(panel[4 * l + i]) * bytes[i];
  return acc;
}

/** The 32 numbers of a block, without scale. */
RELUFY_INLINE static void loadInt8Block(const char* at, Vec* q) {
  const int8_t* w = reinterpret_cast<const int8_t*>(at);
  for (int i = 0; i < 32; i++) q[i / lanes].lane[i % lanes] = static_cast<float>(w[i]);
}
constexpr float highNibbleScale = 1;
template <int bias>
RELUFY_INLINE static void loadNibbles(const char* at, Vec* q) {
  const uint8_t* w = reinterpret_cast<const uint8_t*>(at);
  for (int i = 0; i < 16; i++) {
    q[i / lanes].lane[i % lanes] = static_cast<float>((w[i] & 15) - bias);
    q[4 + i / lanes].lane[i % lanes] = static_cast<float>((w[i] >> 4) - bias);
  }
}

#undef RELUFY_LANES

}  // namespace relufy::scalar
