// Block formats of weights as kernels see them: int8 and int4 in blocks of 32 along the stored row, the blocks' f16
// scales behind the values, rows padded to 64 bytes. The definition is block-format.ts of @relufy/tensor.
#pragma once
#include "simd.h"

namespace relufy::RELUFY_ISA {

constexpr int blockSize = 32;

/** value = scale * q, q a signed byte. */
struct Int8 {
  static constexpr int blockBytes = 32;
  /** What dots() adds to each weight, as a power of two; -1: nothing. */
  static constexpr int biasShift = int8BiasShift;
};

/** value = scale * (nibble - 8); byte j holds element j in its low nibble and element j + 16 in its high one. */
struct Int4 {
  static constexpr int blockBytes = 16;
  static constexpr int biasShift = 3;
};

template <class F>
constexpr bool isBlocks = false;
template <>
constexpr bool isBlocks<Int8> = true;
template <>
constexpr bool isBlocks<Int4> = true;

RELUFY_INLINE static int blocksOf(int columns) { return (columns + blockSize - 1) / blockSize; }

/** A matrix in a block format. */
template <class F>
struct Blocks {
  const char* data;
  int blocks;
  size_t rowBytes;

  Blocks(const char* at, int columns)
      : data(at),
        blocks(blocksOf(columns)),
        rowBytes((static_cast<size_t>(blocks) * (F::blockBytes + 2) + 63) & ~size_t{63}) {}

  RELUFY_INLINE const char* row(int r) const { return data + static_cast<size_t>(r) * rowBytes; }
  RELUFY_INLINE const uint16_t* scales(const char* row) const {
    return reinterpret_cast<const uint16_t*>(row + static_cast<size_t>(blocks) * F::blockBytes);
  }
};

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
