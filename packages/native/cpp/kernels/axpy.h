// Sums over the rows of a transposed weight: the heart of every product over [in, out].
//
//   parts: eight contiguous chunks of inputs, in units of 16 (one part where there are fewer than 1024 inputs)
//   for each part p: sum_p[c] = for k of the part, in order: fma(x[k], w[k][c], sum_p[c]), from +0
//   out[c] = ((sum_0 + sum_1) + (sum_2 + sum_3)) + ((sum_4 + sum_5) + (sum_6 + sum_7))
//   in blocks: fma(q[k][c], x[k] * scale, sum_p[c]); with minima: fma(x[k], fma(q[k][c], scale, minimum), sum_p[c])
//
// This order is the contract of transposed weights: dense and sparse products give an output these bits, since a skipped
// k would add x[k] = 0 times a finite weight, and a sum that began at +0 does not change. The parts do not depend on the
// number of threads, so threads may own parts: then each reads whole rows, where a share of the columns would be a
// piece of a kilobyte of every row (two threads, 2048 columns of int8: 36 of 70 GB/s). A part's rows lie together: of
// parts of runs of 16 rows, round robin, reads reach 69 % of peak bandwidth, 84 to 91 % over contiguous chunks.
//
// addRows is one pass over a list of rows: eight at a time, so that sums are loaded and stored once for eight
// multiply-adds. While eight are added, the lines of the next eight are asked for in turn. int8, one thread, 2 KB a row,
// 10 to 100 % of the rows: 21 to 24 GB/s (the arithmetic alone: 26); asking for one row after the other: 13 to 24; not
// asking: 9 to 13; in bursts: 16 to 19.
// Long rows of blocks (those of 5632 columns of int8) are asked for a kilobyte ahead, eight in turn: 13.1 to 14.1 GB/s on a
// Xeon of 2023, one thread, half of the rows; rows of 2048 that way 12.1 to 11.8, and of int4 at 10 % 8.7 to 7.7.
#pragma once
#include "block-format.h"

namespace relufy::RELUFY_ISA {

/** Rows a pass. */
constexpr int axpyBlock = 8;
constexpr int parts = 8;
constexpr int partUnit = 16;
constexpr int leastInputsForParts = 1024;

RELUFY_INLINE static int partsOf(int inWidth) { return inWidth < leastInputsForParts ? 1 : parts; }

/** The first input of a part; its end is the next one's. */
RELUFY_INLINE static int partStart(int inWidth, int part) { return share(inWidth, partUnit, part, partsOf(inWidth)); }

/** Some inputs, in ascending order: those of a list, or (null) all of `first` .. `first + count`. */
struct Inputs {
  const int32_t* list;
  int first;
  int count;
  RELUFY_INLINE int operator[](int i) const { return list != nullptr ? list[i] : first + i; }
  /** Those from place i on. */
  RELUFY_INLINE Inputs from(int i) const { return {list != nullptr ? list + i : nullptr, first + i, count - i}; }
  /** How many are less than `end`. */
  RELUFY_INLINE int before(int end) const {
    if (list == nullptr) return most(0, least(count, end - first));
    int low = 0;
    for (int high = count; low < high;) {
      const int middle = (low + high) / 2;
      if (list[middle] < end) low = middle + 1;
      else high = middle;
    }
    return low;
  }
};

/** A matrix of f32 or bf16, by the names of Blocks (block-format.h). */
template <class W>
struct Floats {
  const char* data;
  /** Where row r lies among the rows that are there; null: at r. */
  const int32_t* table;
  size_t rowBytes;

  static constexpr bool inBlocks = false;

  Floats(const char* at, int columns, const int32_t* places = nullptr)
      : data(at), table(places), rowBytes(static_cast<size_t>(columns) * sizeof(W)) {}
  RELUFY_INLINE const char* row(int r) const {
    return data + static_cast<size_t>(table != nullptr ? table[r] : r) * rowBytes;
  }
};

template <class W>
struct MatrixOf {
  using Type = Floats<W>;
};
template <>
struct MatrixOf<Int8> {
  using Type = Blocks<Int8>;
};
template <>
struct MatrixOf<Int4> {
  using Type = Blocks<Int4>;
};
template <>
struct MatrixOf<Uint4> {
  using Type = Blocks<Uint4>;
};
/** A matrix whose rows are of a format. */
template <class W>
using Matrix = typename MatrixOf<W>::Type;

/** From so many bytes on, a row of a block format is asked for by itself, and not a whole pass before it is used. */
constexpr size_t longRow = 4096;
/** How far before its use, of long rows. */
constexpr int longAhead = 1024;

/** The next rows, whose lines are asked for in turn while something else is computed. */
struct Ahead {
  const char* rows[axpyBlock] = {};
  size_t bytes = 0;
  unsigned count = 0;
  /** Rows are long: those of the pass are asked for too, and of the next ones only what the pass cannot ask for. */
  bool isLong = false;

  /** Asks for byte `at` of the pass; for what lies behind its `end`, of the next rows. */
  template <int n>
  RELUFY_INLINE void ask(const char* const* pass, int at, int end) const {
    if (at < end)
#pragma GCC unroll 8
      for (int j = 0; j < n; j++) prefetchFar(pass[j] + at);
    else askNext(at - end);
  }
  RELUFY_INLINE void askNext(int at) const {
    for (unsigned j = 0; j < count; j++) prefetchFar(rows[j] + at);
  }
};

/** How far that is; a local of its user, so that it stays in registers. */
struct Cursor {
  unsigned row = 0;
  size_t at = 0;

  RELUFY_INLINE void fetch(const Ahead& ahead, int lines) {
    for (; lines > 0 && at < ahead.bytes; lines--) {
      prefetchFar(ahead.rows[row % axpyBlock] + at);
      if (++row == ahead.count) {
        row = 0;
        at += 64;
      }
    }
  }
};

/** sums[0 .. columns) += n rows, from column `first` on, times x of each. */
template <int n, class W>
RELUFY_LOOP void addGroup(
    float* sums, const Floats<W>&, int first, int columns, const char* const* from, const float* x, const Ahead& next) {
  const W* rows[n];
  Vec scale[n];
#pragma GCC unroll 8
  for (int j = 0; j < n; j++) {
    rows[j] = reinterpret_cast<const W*>(from[j]) + first;
    scale[j] = splat(x[j]);
  }
  const Ahead ahead = next;
  Cursor cursor;
  int c = 0;
  for (; c + lanes <= columns; c += lanes) {
    cursor.fetch(ahead, most(1, axpyBlock * lanes * static_cast<int>(sizeof(W)) / 64));
    Vec s = load(sums + c);
#pragma GCC unroll 8
    for (int j = 0; j < n; j++) s = fma(load(rows[j] + c), scale[j], s);
    store(sums + c, s);
  }
  if (c < columns) {
    Vec s = loadFirst(sums + c, columns - c);
#pragma GCC unroll 8
    for (int j = 0; j < n; j++) s = fma(loadFirst(rows[j] + c, columns - c), scale[j], s);
    storeFirst(sums + c, s, columns - c);
  }
}

constexpr int blockVectors = blockSize / lanes;

/** What the last vectors of a block are multiplied with, when loadRaw gives more than q there. */
template <class F>
constexpr float highScale = F::blockBytes == 32 ? 1.0f : highNibbleScale;

/** The 32 numbers of a block without scale, those of the last half divided by highScale. */
template <class F>
RELUFY_INLINE static void loadRaw(const char* at, Vec* q) {
  if constexpr (F::blockBytes == 32) loadInt8Block(at, q);
  else loadNibbles<F::hasMinimum ? 0 : 8>(at, q);
}

/** The 32 numbers of a block without scale. */
template <class F>
RELUFY_INLINE static void loadBlock(const char* at, Vec* q) {
  loadRaw<F>(at, q);
  if constexpr (highScale<F> != 1.0f)
    for (int v = blockVectors / 2; v < blockVectors; v++) q[v] = mul(q[v], splat(highScale<F>));
}

/** The 32 weights of a block. */
template <class F>
RELUFY_INLINE static void loadWeights(const Blocks<F>& w, const char* row, int b, Vec* out) {
  const Vec scale = splat(oneHalf(w.scales(row) + b));
  loadBlock<F>(row + b * F::blockBytes, out);
  if constexpr (F::hasMinimum) {
    const Vec minimum = splat(oneHalf(w.minima(row) + b));
    for (int v = 0; v < blockVectors; v++) out[v] = fma(out[v], scale, minimum);
  } else {
    for (int v = 0; v < blockVectors; v++) out[v] = mul(out[v], scale);
  }
}

/** Blocks of columns whose coefficients have fixed places. */
constexpr int passBlocks = 64;

/**
 * The same for a block format: the coefficient x * scale of each row and block is rounded once, and a column costs a
 * conversion and one multiply-add; with minima the coefficient is the scale, and there is one multiply-add more. `first`
 * is a multiple of 32; sums are whole blocks.
 */
template <int n, class F>
RELUFY_LOOP void addGroup(
    float* sums, const Blocks<F>& w, int first, int columns, const char* const* from, const float* x, const Ahead& next) {
  alignas(64) float coefficients[n][passBlocks];
  alignas(64) float highCoefficients[highScale<F> != 1.0f ? n : 1][passBlocks];
  alignas(64) float minima[F::hasMinimum ? n : 1][passBlocks];
  const Ahead ahead = next;
  Cursor cursor;
  const int end = blocksOf(columns);
  const int valueBytes = end * F::blockBytes;
  for (int pass = 0; pass < end; pass += passBlocks) {
    const int blocks = least(passBlocks, end - pass);
    const int offset = first / blockSize + pass;
    const char* rows[n];
#pragma GCC unroll 8
    for (int j = 0; j < n; j++) {
      rows[j] = from[j] + static_cast<size_t>(offset) * F::blockBytes;
      const Vec xj = splat(x[j]);
      const auto halves = [&](const uint16_t* at, int b) {
        const int some = least(lanes, blocks - b);
        return some == lanes ? loadHalf(at + offset + b) : loadHalfFirst(at + offset + b, some);
      };
      for (int b = 0; b < blocks; b += lanes) {
        const Vec scale = halves(w.scales(from[j]), b);
        const Vec c = F::hasMinimum ? scale : mul(xj, scale);
        store(coefficients[j] + b, c);
        if constexpr (F::hasMinimum) store(minima[j] + b, halves(w.minima(from[j]), b));
        if constexpr (highScale<F> != 1.0f) store(highCoefficients[j] + b, mul(c, splat(highScale<F>)));
      }
    }
    float* at = sums + pass * blockSize;
    for (int b = 0; b < blocks; b++, at += blockSize) {
      if (!ahead.isLong) cursor.fetch(ahead, axpyBlock * F::blockBytes / 64 + 1);
      else if (const int done = (pass + b) * F::blockBytes; done % 64 == 0) {
        ahead.ask<n>(from, done + longAhead, valueBytes);
        // the next pass begins with its scales
        if (valueBytes + done < static_cast<int>(w.rowBytes)) ahead.askNext(valueBytes + done);
      }
      Vec s[blockVectors];
#pragma GCC unroll 8
      for (int v = 0; v < blockVectors; v++) s[v] = load(at + v * lanes);
#pragma GCC unroll 8
      for (int j = 0; j < n; j++) {
        Vec q[blockVectors];
        loadRaw<F>(rows[j] + b * F::blockBytes, q);
        const Vec c = splat(coefficients[j][b]);
        const Vec high = highScale<F> != 1.0f ? splat(highCoefficients[j][b]) : c;
#pragma GCC unroll 8
        for (int v = 0; v < blockVectors; v++) {
          const Vec scale = v < blockVectors / 2 ? c : high;
          if constexpr (F::hasMinimum) s[v] = fma(splat(x[j]), fma(q[v], scale, splat(minima[j][b])), s[v]);
          else s[v] = fma(q[v], scale, s[v]);
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < blockVectors; v++) store(at + v * lanes, s[v]);
    }
  }
}

/**
 * sums[0 .. columns) += the rows of the first `count` inputs, from column `first` on, each times its x. With `prefetching`,
 * rows are prefetched, at last those of the inputs that follow.
 */
template <class M>
static inline void addRows(
    float* sums, const M& w, int first, int columns, const float* x, const Inputs& inputs, int count, bool prefetching) {
  for (int i = 0; i < count;) {
    const int left = count - i;
    const int n = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    const char* from[axpyBlock];
    float scale[axpyBlock];
    for (int j = 0; j < n; j++) {
      from[j] = w.row(inputs[i + j]);
      scale[j] = x[inputs[i + j]];
    }
    i += n;
    Ahead ahead;
    ahead.isLong = prefetching && M::inBlocks && w.rowBytes > longRow;
    // only before whole passes: what a short pass would ask for, the one before it has asked for already
    if (prefetching && (n == axpyBlock || i == count || ahead.isLong))
      for (; ahead.count < axpyBlock && i + static_cast<int>(ahead.count) < inputs.count; ahead.count++)
        ahead.rows[ahead.count] = w.row(inputs[i + static_cast<int>(ahead.count)]);
    if (ahead.count > 0) ahead.bytes = w.rowBytes;
    switch (n) {
      case 8: addGroup<8>(sums, w, first, columns, from, scale, ahead); break;
      case 4: addGroup<4>(sums, w, first, columns, from, scale, ahead); break;
      case 2: addGroup<2>(sums, w, first, columns, from, scale, ahead); break;
      default: addGroup<1>(sums, w, first, columns, from, scale, ahead);
    }
  }
}

}  // namespace relufy::RELUFY_ISA
