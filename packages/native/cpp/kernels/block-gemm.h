// Products of many rows of quantised activations with row-major weights in a block format: integer dot products with an
// output a lane. Owns packing and the tile; block-linear.h chooses it. The order of summation is that of block-dot.h.
//
//   panel = `lanes` weight rows as [block][8][lanes][4 bytes] (biased as in dots()), and their scales as [block][lanes],
//           after them the minima in the same way
//   for each tile of rows, for each block b: acc_r = -bias * xSum_r;  8 times: acc_r += 4 products a lane
//                                            chain_r (b mod lanes) = fma(acc_r, wScale_b * xScale_r, chain)
//                                            with minima = fma(xSum_r, wMinimum_b * xScale_r, chain)
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
  return static_cast<size_t>(blocksOf(inWidth)) * lanes * (blockSize + 2 * sizeof(float)) + 64;
}

/**
 * Rows n .. n + count of w; the last stands in for those beyond. Reads up to 14 bytes after a row. Memory is asked for the `ahead` rows
 * after them meanwhile: no prefetcher follows as many rows at once. 8 rows of 576 inputs, int4, AVX-512, one thread, GFLOP/s from memory
 * without and with it 107 and 148, from cache 161; 16 rows 147 and 182.
 */
template <class F>
RELUFY_LOOP void packPanel(const Blocks<F>& w, int n, int count, int ahead, uint8_t* panel, float* scales) {
  const char* rows[lanes];
  for (int l = 0; l < lanes; l++) rows[l] = w.row(n + least(l, count - 1));
  int32_t* to = reinterpret_cast<int32_t*>(panel);
  const char* next = rows[count - 1] + w.rowBytes;
  const char* const end = next + static_cast<size_t>(ahead) * w.rowBytes;
  const size_t each = (static_cast<size_t>(ahead) * w.rowBytes / static_cast<size_t>(w.blocks) + 63) & ~size_t{63};
  for (int b = 0; b < w.blocks; b++, to += 8 * lanes) {
    for (const char* until = next + each; next < until && next < end; next += 64) prefetchFar(next);
    Int words[8];
    const size_t offset = static_cast<size_t>(b) * F::blockBytes;
    transposeRows(rows, offset, words);
    if constexpr (F::blockBytes == 32) {
      transposeRows(rows, offset + 16, words + 4);
      if constexpr (F::biasShift >= 0)
        for (int k = 0; k < 8; k++) words[k] = flipBytes(words[k], 1 << F::biasShift);
    } else {
      for (int k = 0; k < 4; k++) {
        words[k + 4] = highNibbles(words[k]);
        words[k] = lowNibbles(words[k]);
      }
    }
    for (int k = 0; k < 8; k++) storeInt(to + k * lanes, words[k]);
  }
  const size_t scalesAt = static_cast<size_t>(w.blocks) * F::blockBytes;
  const int halves = w.blocks * (F::hasMinimum ? 2 : 1);
  for (int h = 0; h < halves; h += 8) {
    Int words[4];
    transposeRows(rows, scalesAt + 2 * static_cast<size_t>(h), words);
    for (int k = 0; k < least(8, halves - h); k++)
      store(scales + (h + k) * lanes, fromHalves(k % 2 == 0 ? words[k / 2] : highHalves(words[k / 2])));
  }
}

/** sums[rows][lanes] = panel times `rows` rows of x. */
template <class F, int rows>
RELUFY_LOOP void tilePanel(const uint8_t* panel, const float* scales, int blocks, const QuantizedRow& x, float* sums) {
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
    if constexpr (F::hasMinimum) {
      const Vec minima = load(scales + (blocks + b) * lanes);
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++) {
        const Vec xSum = splat(static_cast<float>(x.sums[r * blocks + b]));
        chain[r] = fma(xSum, mul(minima, splat(x.scales[r * blocks + b])), chain[r]);
      }
    }
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
  uint8_t* panel = reinterpret_cast<uint8_t*>(scales + w.blocks * lanes * (F::hasMinimum ? 2 : 1));
  float sums[blockTileRows * lanes];
  for (int n = first; n < last; n += lanes) {
    const int count = least(lanes, last - n);
    packPanel(w, n, count, least(lanes, last - n - count), panel, scales);
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
