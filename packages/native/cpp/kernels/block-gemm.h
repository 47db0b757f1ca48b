// Products of many rows of quantised activations with row-major weights in a block format: integer dot products with an
// output a lane. Owns packing and the tile; block-linear.h chooses it. The order of summation is that of block-dot.h.
//
//   panel = `lanes` weight rows as [block][8][lanes][4 bytes] (biased as in dots()), and their scales as [block][lanes]
//   for each tile of rows, for each block b: acc_r = -bias * xSum_r;  8 times: acc_r += 4 products a lane
//                                            chain_r (b mod lanes) = fma(acc_r, wScale_b * xScale_r, chain)
//   out_r = the chains, added as hsum adds lanes
//
// The chains lie in L1: a load and a store for eight integer products and two multiplications.
#pragma once
#include "block-dot.h"
#include "finish.h"

namespace relufy::RELUFY_ISA {

/** A product with a block format: x, xScales and xSums are whole matrices. */
struct QuantizedProduct {
  const int8_t* x;
  const float* xScales;
  const int32_t* xSums;
  const float* bias;
  const float* residual;
  float* out;
  int rows;
  int inWidth;
  int outWidth;

  RELUFY_INLINE QuantizedRow rowOf(int r, int blocks) const {
    return {
        relufy::RELUFY_ISA::row(x, r, blocks * blockSize), relufy::RELUFY_ISA::row(xScales, r, blocks),
        relufy::RELUFY_ISA::row(xSums, r, blocks)};
  }
};

RELUFY_INLINE static size_t blockPanelBytes(int inWidth) {
  return static_cast<size_t>(blocksOf(inWidth)) * lanes * (blockSize + sizeof(float)) + 64;
}

/** The 32 bytes of a block as dots() multiplies them. */
template <class F>
RELUFY_INLINE static void biasedBytes(const char* block, uint8_t* bytes) {
  if constexpr (F::blockBytes == 32) {
    for (int i = 0; i < 32; i++)
      bytes[i] = static_cast<uint8_t>(block[i]) ^ static_cast<uint8_t>(F::biasShift < 0 ? 0 : 1 << (F::biasShift & 7));
  } else {
    for (int i = 0; i < 16; i++) {
      bytes[i] = static_cast<uint8_t>(block[i]) & 15;
      bytes[i + 16] = static_cast<uint8_t>(block[i]) >> 4;
    }
  }
}

/** Rows n .. n + count of w, padded to `lanes` rows with zeros. */
template <class F>
static inline void packPanel(const Blocks<F>& w, int n, int count, uint8_t* panel, float* scales) {
  if (count < lanes) {
    memset(panel, 0, static_cast<size_t>(w.blocks) * lanes * blockSize);
    memset(scales, 0, static_cast<size_t>(w.blocks) * lanes * sizeof(float));
  }
  for (int i = 0; i < count; i++) {
    const char* from = w.row(n + i);
    for (int b = 0; b < w.blocks; b++) {
      uint8_t bytes[blockSize];
      biasedBytes<F>(from + b * F::blockBytes, bytes);
      uint8_t* to = panel + b * lanes * blockSize + 4 * i;
      for (int k = 0; k < 8; k++) memcpy(to + k * lanes * 4, bytes + 4 * k, 4);
    }
    for (int b = 0; b < w.blocks; b += lanes) {
      const int some = least(lanes, w.blocks - b);
      float wide[lanes];
      store(wide, some == lanes ? loadHalf(w.scales(from) + b) : loadHalfFirst(w.scales(from) + b, some));
      for (int j = 0; j < some; j++) scales[(b + j) * lanes + i] = wide[j];
    }
  }
}

/** sums[rows][lanes] = panel times `rows` rows of x. */
template <class F, int rows>
static inline void tilePanel(const uint8_t* panel, const float* scales, int blocks, const QuantizedRow& x, float* sums) {
  Vec chains[lanes][rows];
  for (int c = 0; c < lanes; c++)
    for (int r = 0; r < rows; r++) chains[c][r] = zero();
  const size_t stride = static_cast<size_t>(blocks) * blockSize;
  for (int b = 0; b < blocks; b++, panel += lanes * blockSize) {
    Int acc[rows];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
      acc[r] = splatInt(F::biasShift < 0 ? 0 : -(x.sums[r * blocks + b] * (1 << (F::biasShift & 7))));
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++)
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++) {
        int32_t four;
        memcpy(&four, x.values + static_cast<size_t>(r) * stride + static_cast<size_t>(b * blockSize + 4 * k), 4);
        acc[r] = maddPanel<F>(acc[r], panel + k * lanes * 4, four);
      }
    const Vec ws = load(scales + b * lanes);
    Vec* chain = chains[b % lanes];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
      chain[r] = fma(toFloat(acc[r]), mul(ws, splat(x.scales[r * blocks + b])), chain[r]);
  }
  for (int half = lanes / 2; half >= 1; half /= 2)
    for (int c = 0; c < half; c++)
      for (int r = 0; r < rows; r++) chains[c][r] = add(chains[c][r], chains[c + half][r]);
  for (int r = 0; r < rows; r++) store(sums + r * lanes, chains[0][r]);
}

template <class F, int rows>
static inline void lastTilePanel(
    int left, const uint8_t* panel, const float* scales, int blocks, const QuantizedRow& x, float* sums) {
  if constexpr (rows > 0) {
    if (left == rows) tilePanel<F, rows>(panel, scales, blocks, x, sums);
    else lastTilePanel<F, rows - 1>(left, panel, scales, blocks, x, sums);
  }
}

/** Outputs [first, last) of every row. */
template <class F>
static inline void gemmBlocks(const QuantizedProduct& p, const Blocks<F>& w, int first, int last, char* scratch) {
  float* scales = reinterpret_cast<float*>(scratch);
  uint8_t* panel = reinterpret_cast<uint8_t*>(scales + w.blocks * lanes);
  float sums[blockTileRows * lanes];
  for (int n = first; n < last; n += lanes) {
    const int count = least(lanes, last - n);
    packPanel(w, n, count, panel, scales);
    for (int r = 0; r < p.rows; r += blockTileRows) {
      const int rows = least(blockTileRows, p.rows - r);
      lastTilePanel<F, blockTileRows>(rows, panel, scales, w.blocks, p.rowOf(r, w.blocks), sums);
      for (int i = 0; i < rows; i++)
        finishRun(
            row(p.out, r + i, p.outWidth), row(p.residual, r + i, p.outWidth), p.bias, sums + i * lanes, n, count);
    }
  }
}

}  // namespace relufy::RELUFY_ISA
