// Block formats of weights as kernels see them: int8, int4 and uint4 in blocks of 32 along the stored row, the blocks' f16
// scales after the values, then uint4's minima, rows padded to 64 bytes. The definition is block-format.ts of
// @relufy/tensor. What all kernels of a format share is in its struct; isBlocks, MatrixOf (axpy.h), InputOf (sparse.h)
// and the ops' switches over dtypes list the formats.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

constexpr int blockSize = 32;

/** value = scale * q, q a signed byte. */
struct Int8 {
  static constexpr int blockBytes = 32;
  static constexpr bool hasMinimum = false;
  /** What dots() adds to each weight, as a power of two; -1: nothing. */
  static constexpr int biasShift = int8BiasShift;
};

/** value = scale * (nibble - 8); byte j holds element j in its low nibble and element j + 16 in its high one. */
struct Int4 {
  static constexpr int blockBytes = 16;
  static constexpr bool hasMinimum = false;
  static constexpr int biasShift = 3;
};

/** value = scale * nibble + minimum */
struct Uint4 {
  static constexpr int blockBytes = 16;
  static constexpr bool hasMinimum = true;
  static constexpr int biasShift = -1;
};

template <class F>
constexpr bool isBlocks = false;
template <>
constexpr bool isBlocks<Int8> = true;
template <>
constexpr bool isBlocks<Int4> = true;
template <>
constexpr bool isBlocks<Uint4> = true;

RELUFY_INLINE static int blocksOf(int columns) { return (columns + blockSize - 1) / blockSize; }

/** Bytes of a block: its values, its scale and its minimum. */
template <class F>
constexpr int wholeBlockBytes = F::blockBytes + (F::hasMinimum ? 4 : 2);

/** A matrix in a block format. */
template <class F>
struct Blocks {
  static constexpr bool inBlocks = true;
  const char* data;
  /** Where row r lies among the rows that are there; null: at r. */
  const int32_t* table;
  int blocks;
  size_t rowBytes;

  Blocks(const char* at, int columns, const int32_t* places = nullptr)
      : data(at),
        table(places),
        blocks(blocksOf(columns)),
        rowBytes((static_cast<size_t>(blocks) * wholeBlockBytes<F> + 63) & ~size_t{63}) {}

  RELUFY_INLINE const char* row(int r) const {
    return data + static_cast<size_t>(table != nullptr ? table[r] : r) * rowBytes;
  }
  RELUFY_INLINE const uint16_t* scales(const char* row) const {
    return reinterpret_cast<const uint16_t*>(row + static_cast<size_t>(blocks) * F::blockBytes);
  }
  RELUFY_INLINE const uint16_t* minima(const char* row) const { return scales(row) + blocks; }
};

/** One f16 as a number. */
RELUFY_INLINE static float oneHalf(const uint16_t* at) {
  float one[lanes];
  store(one, loadHalfFirst(at, 1));
  return one[0];
}

/** One row of quantised activations: values in the order that dots() wants (prepareX), scales and sums by block. */
struct QuantizedRow {
  const int8_t* values;
  const float* scales;
  const int32_t* sums;
};

/** Dots of weights and x, without what dots() adds to the weights. */
template <class F>
RELUFY_INLINE static Int unbias(Int dots, Int sums) {
  if constexpr (F::biasShift < 0) return dots;
  else return subInt(dots, shiftLeft<F::biasShift>(sums));
}

}  // namespace relufy::RELUFY_ISA
