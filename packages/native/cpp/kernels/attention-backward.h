// The gradients of attention: of queries over the KV cache, of keys and values over the rows of the step. Both work on
// blocks of `tileColumns` rows of one slot, which are the lanes; what they meet passes by as rows of outer.h's tile.
//
//   attentionBackwardQuery, for a block of queries and a head (units of both are split across the threads), over keys p:
//     s[p][q] = scale * (k[p] . q + keyBias[p]);  t[p][q] = v[p] . dy[q]
//     e = exp(s - max s) where p is seen, else 0;  share = e / sum e;  along = (sum over p of e t) / sum e
//     dq[q] = scale * sum over p, in order, of (share (t - along))[p][q] k[p];  stats = max s + ln(sum e), along
//
//   attentionBackwardKeyValue, for a block of keys and a kv head, over chunks of the slot's rows q, over its heads:
//     share[q][p] = exp(scale * (q . k[p] + keyBias[p]) - logSum[q]) where p is seen, else 0;  t[q][p] = dy[q] . v[p]
//     dv[p] += sum over q of share[q][p] dy[q];  dk[p] += sum over q of scale (share (t - along[q]))[q][p] q
//
// Blocks and chunks follow from the rows of the step alone, so bits do not depend on how they are split.
#pragma once
#include <cmath>

#include "exp.h"
#include "outer.h"

namespace relufy::RELUFY_ISA {

/** Rows of a slot that pass a block of keys together. */
constexpr int chunkRows = (64 + outerRows - 1) / outerRows * outerRows;
/** What is subtracted from scores that are not seen. */
constexpr float unseen = 3e38f;

/** Rows [first, last) are of one slot. */
struct RowBlock {
  int first;
  int last;
  RELUFY_INLINE int count() const { return last - first; }
};

/** The block that begins at a row: up to `tileColumns` rows of its slot. */
static inline RowBlock blockAt(const int32_t* slots, int first, int rows) {
  int last = first + 1;
  while (last < rows && last - first < tileColumns && slots[last] == slots[first]) last++;
  return {first, last};
}

/** to[d][lane] = from[block row][d], zeros beyond the block. */
static inline void packLanes(const float* from, size_t stride, RowBlock block, int headDim, float* to) {
  for (int lane = 0; lane < tileColumns; lane++) {
    const float* x = from + static_cast<size_t>(block.first + lane) * stride;
    const bool inside = lane < block.count();
    for (int d = 0; d < headDim; d++) to[d * tileColumns + lane] = inside ? x[d] : 0;
  }
}

/** Positions as f32, for lanes; beyond the block -1. */
static inline void packPositions(const int32_t* positions, RowBlock block, float* to) {
  for (int lane = 0; lane < tileColumns; lane++)
    to[lane] = lane < block.count() ? static_cast<float>(positions[block.first + lane]) : -1;
}

/** Numbers of a row of a head, in whole vectors. */
RELUFY_INLINE static int paddedHead(int headDim) { return (headDim + lanes - 1) / lanes * lanes; }

/** out [tileColumns][padded] = the transpose of weights [count][tileColumns] times rows [count][stride]; added where not fresh. */
static inline void mixRows(
    const float* weights, const float* rows, size_t stride, int count, int headDim, bool fresh, float* out) {
  const size_t padded = static_cast<size_t>(paddedHead(headDim));
  const auto mix = [&](auto tile, int i) {
    float* to = out + static_cast<size_t>(i) * padded;
    const Lines<const float> kept = {fresh ? nullptr : to, padded};
    tile({weights + i, tileColumns}, {rows, stride}, count, kept, {to, padded}, headDim);
  };
  constexpr int rest = tileColumns % outerRows;
  for (int i = 0; i + outerRows <= tileColumns; i += outerRows) mix(outerRun<outerRows, false>, i);
  if constexpr (rest > 0) mix(outerRun<rest, false>, tileColumns - rest);
}

// ---- queries

struct SeenKeys {
  int first;
  int last;
};

/** Keys that some row of a block sees. */
static inline SeenKeys keysOf(const int32_t* positions, RowBlock block, int window) {
  SeenKeys keys = {positions[block.first], positions[block.first]};
  for (int r = block.first + 1; r < block.last; r++) {
    keys.first = least(keys.first, positions[r]);
    keys.last = most(keys.last, positions[r]);
  }
  keys.first = window > 0 ? most(0, keys.first - window + 1) : 0;
  return keys;
}

/**
 * out[p][lane] = x[p] . block[lane] for keys `keys`, x and block of the cache and of packLanes. Rows of the last tile that
 * are not in the cache are taken from `spare`.
 */
static inline void dotKeys(
    const float* x, SeenKeys keys, int capacity, int headDim, const float* block, float* spare, float* out) {
  const size_t stride = static_cast<size_t>(headDim);
  for (int p = keys.first; p <= keys.last; p += outerRows, out += outerRows * tileColumns) {
    const float* from = x + static_cast<size_t>(p) * stride;
    if (p + outerRows > capacity) {
      memset(spare, 0, stride * outerRows * sizeof(float));
      memcpy(spare, from, static_cast<size_t>(capacity - p) * stride * sizeof(float));
      from = spare;
    }
    outerTile<outerRows, outerVectors, true>({from, stride}, {block, tileColumns}, headDim, {}, {out, tileColumns});
  }
}

struct LaneSums {
  float logSum[tileColumns];
  float along[tileColumns];
};

/** What a query sees of the keys, and how: biases of keys and positions of queries, where there are some. */
struct Seeing {
  SeenKeys keys;
  const float* bias;
  const float* positions;
  int window;
  float scale;
};

/** scores -> share * (slopes - along), in place, for the keys of a vector of lanes. */
static inline void softmaxSlopes(float* scores, const float* slopes, const Seeing& seeing, LaneSums& sums, int lane) {
  const auto& [keys, bias, positions, window, scale] = seeing;
  const Vec factor = splat(scale);
  const Vec own = load(positions + lane);
  const Vec lastBefore = window > 0 ? sub(own, splat(static_cast<float>(window))) : splat(-2.0f);
  const int count = keys.last - keys.first + 1;
  Vec top = splat(-INFINITY);
  for (int i = 0; i < count; i++) {
    const Vec p = splat(static_cast<float>(keys.first + i));
    float* at = scores + i * tileColumns + lane;
    const Vec raw = bias != nullptr ? add(load(at), splat(bias[keys.first + i])) : load(at);
    // what is not seen may be anything, NaN included
    const Vec visible = whereGreater(p, lastBefore, whereGreater(add(own, splat(1.0f)), p, splat(1.0f)));
    const Vec s = sub(whereNonZero(visible, mul(factor, raw)), mul(sub(splat(1.0f), visible), splat(unseen)));
    store(at, s);
    top = max(s, top);
  }
  Vec total = zero();
  Vec along = zero();
  for (int i = 0; i < count; i++) {
    float* at = scores + i * tileColumns + lane;
    const Vec e = exp(sub(load(at), top));
    store(at, e);
    total = add(total, e);
    along = add(along, whereNonZero(e, mul(e, load(slopes + i * tileColumns + lane))));
  }
  const Vec inverse = div(splat(1.0f), total);
  along = mul(along, inverse);
  for (int i = 0; i < count; i++) {
    float* at = scores + i * tileColumns + lane;
    const Vec e = load(at);
    store(at, whereNonZero(e, mul(mul(e, inverse), sub(load(slopes + i * tileColumns + lane), along))));
  }
  float tops[lanes];
  float totals[lanes];
  store(tops, top);
  store(totals, total);
  store(sums.along + lane, along);
  for (int l = 0; l < lanes; l++)
    sums.logSum[lane + l] = static_cast<float>(static_cast<double>(tops[l]) + ln(static_cast<double>(totals[l])));
}

RELUFY_INLINE static int keyRows(int capacity) { return (capacity + outerRows - 1) / outerRows * outerRows + outerRows; }

static inline size_t attentionBackwardQueryScratch(Record op) {
  const int headDim = AttentionBackwardQuery::headDim(op);
  const int floats = 2 * tileColumns * headDim + outerRows * headDim + tileColumns * paddedHead(headDim) + tileColumns;
  const size_t keys = 2 * static_cast<size_t>(keyRows(AttentionBackwardQuery::capacity(op))) * tileColumns;
  return (static_cast<size_t>(floats) + keys) * sizeof(float);
}

static void attentionBackwardQuery(const Call& call) {
  const Record op = call.op;
  const int heads = AttentionBackwardQuery::heads(op);
  const int headDim = AttentionBackwardQuery::headDim(op);
  const int kvHeads = AttentionBackwardQuery::kvHeads(op);
  const int capacity = AttentionBackwardQuery::capacity(op);
  const int window = AttentionBackwardQuery::window(op);
  const float scale = AttentionBackwardQuery::scale(op);
  const int32_t* positions = AttentionBackwardQuery::positions(op);
  const int32_t* slots = AttentionBackwardQuery::slots(op);
  const size_t width = static_cast<size_t>(AttentionBackwardQuery::width(op));
  const size_t given = static_cast<size_t>(heads * headDim);
  float* queries = reinterpret_cast<float*>(call.scratch);
  float* gradients = queries + tileColumns * headDim;
  float* spare = gradients + tileColumns * headDim;
  float* mixed = spare + outerRows * headDim;
  float* places = mixed + tileColumns * paddedHead(headDim);
  float* scores = places + tileColumns;
  float* slopes = scores + static_cast<size_t>(keyRows(capacity)) * tileColumns;
  int unit = 0;
  for (int first = 0; first < call.rows;) {
    const RowBlock block = blockAt(slots, first, call.rows);
    first = block.last;
    const SeenKeys keys = keysOf(positions, block, window);
    packPositions(positions, block, places);
    for (int h = 0; h < heads; h++, unit++) {
      if (unit % call.threads != call.thread) continue;
      const int head = (slots[block.first] * AttentionBackwardQuery::layers(op) + AttentionBackwardQuery::layer(op)) * kvHeads +
                       h / (heads / kvHeads);
      const size_t cache = static_cast<size_t>(head) * static_cast<size_t>(capacity) * static_cast<size_t>(headDim);
      const float* k = AttentionBackwardQuery::k(op) + cache;
      const float* bias = row(AttentionBackwardQuery::keyBias(op), h, capacity);
      packLanes(AttentionBackwardQuery::x(op) + h * headDim, width, block, headDim, queries);
      packLanes(AttentionBackwardQuery::dy(op) + h * headDim, given, block, headDim, gradients);
      dotKeys(k, keys, capacity, headDim, queries, spare, scores);
      dotKeys(AttentionBackwardQuery::v(op) + cache, keys, capacity, headDim, gradients, spare, slopes);
      LaneSums sums;
      for (int lane = 0; lane < tileColumns; lane += lanes)
        softmaxSlopes(scores, slopes, {keys, bias, places, window, scale}, sums, lane);
      mixRows(
          scores, k + static_cast<size_t>(keys.first) * static_cast<size_t>(headDim), static_cast<size_t>(headDim),
          keys.last - keys.first + 1, headDim, true, mixed);
      for (int i = 0; i < block.count(); i++) {
        const size_t r = static_cast<size_t>(block.first + i);
        float* out = AttentionBackwardQuery::out(op) + r * width + static_cast<size_t>(h * headDim);
        for (int d = 0; d < headDim; d++) out[d] = scale * mixed[i * paddedHead(headDim) + d];
        float* stats = AttentionBackwardQuery::stats(op) + 2 * (r * static_cast<size_t>(heads) + static_cast<size_t>(h));
        stats[0] = sums.logSum[i];
        stats[1] = sums.along[i];
      }
    }
  }
}

// ---- keys and values

/** Some rows of a slot. */
struct Chunk {
  int rows[chunkRows];
  int count;
};

/** The next rows, from `from` on, that may see a block of keys; gives where to go on. */
static inline int nextChunk(const Call& call, RowBlock keys, int from, Chunk& chunk) {
  const int32_t* positions = AttentionBackwardKeyValue::positions(call.op);
  const int32_t* slots = AttentionBackwardKeyValue::slots(call.op);
  const int window = AttentionBackwardKeyValue::window(call.op);
  int lowest = positions[keys.first];
  int highest = lowest;
  for (int r = keys.first + 1; r < keys.last; r++) {
    lowest = least(lowest, positions[r]);
    highest = most(highest, positions[r]);
  }
  chunk.count = 0;
  for (; from < call.rows && chunk.count < chunkRows; from++) {
    const bool near = positions[from] >= lowest && (window == 0 || positions[from] < highest + window);
    if (slots[from] == slots[keys.first] && near) chunk.rows[chunk.count++] = from;
  }
  return from;
}

/** [chunkRows][padded], zeros where there is no row. */
static inline void copyChunk(const Chunk& chunk, const float* from, size_t stride, int headDim, float* to) {
  const size_t padded = static_cast<size_t>(paddedHead(headDim));
  const size_t bytes = static_cast<size_t>(headDim) * sizeof(float);
  for (int i = 0; i < chunkRows; i++, to += padded)
    if (i < chunk.count) memcpy(to, from + static_cast<size_t>(chunk.rows[i]) * stride, bytes);
    else memset(to, 0, bytes);
}

/** What the rows of a chunk saw of a block of keys: shares, and scale * shares * (slopes - along), in place of dots and slopes. */
static inline void sharesOf(
    const Call& call, const Chunk& chunk, int h, const float* places, const float* bias, float* dots, float* slopes) {
  const Record op = call.op;
  const int heads = AttentionBackwardKeyValue::heads(op);
  const int window = AttentionBackwardKeyValue::window(op);
  const Vec scale = splat(AttentionBackwardKeyValue::scale(op));
  for (int i = 0; i < chunkRows; i++) {
    const bool inside = i < chunk.count;
    const size_t r = static_cast<size_t>(chunk.rows[inside ? i : 0]);
    const float* stats = AttentionBackwardKeyValue::stats(op) + 2 * (r * static_cast<size_t>(heads) + static_cast<size_t>(h));
    const float own = inside ? static_cast<float>(AttentionBackwardKeyValue::positions(op)[r]) : -1;
    const Vec next = splat(own + 1);
    const Vec lastBefore = splat(window > 0 ? own - static_cast<float>(window) : -2);
    const Vec logSum = splat(stats[0]);
    const Vec along = splat(stats[1]);
    for (int lane = 0; lane < tileColumns; lane += lanes) {
      float* dot = dots + i * tileColumns + lane;
      float* slope = slopes + i * tileColumns + lane;
      const Vec p = load(places + lane);
      const Vec raw = bias != nullptr ? add(load(dot), load(bias + lane)) : load(dot);
      const Vec share = whereGreater(p, lastBefore, whereGreater(next, p, exp(sub(mul(scale, raw), logSum))));
      store(dot, share);
      store(slope, whereNonZero(share, mul(scale, mul(share, sub(load(slope), along)))));
    }
  }
}

static inline size_t attentionBackwardKeyValueScratch(Record op) {
  const int headDim = AttentionBackwardKeyValue::headDim(op);
  const int padded = paddedHead(headDim);
  const int floats = 2 * tileColumns * headDim + 2 * chunkRows * padded + 2 * chunkRows * tileColumns +
                     2 * tileColumns * padded + 2 * tileColumns;
  return static_cast<size_t>(floats) * sizeof(float);
}

static void attentionBackwardKeyValue(const Call& call) {
  const Record op = call.op;
  const int heads = AttentionBackwardKeyValue::heads(op);
  const int kvHeads = AttentionBackwardKeyValue::kvHeads(op);
  const int headDim = AttentionBackwardKeyValue::headDim(op);
  const int padded = paddedHead(headDim);
  const int group = heads / kvHeads;
  const int capacity = AttentionBackwardKeyValue::capacity(op);
  const int32_t* positions = AttentionBackwardKeyValue::positions(op);
  const int32_t* slots = AttentionBackwardKeyValue::slots(op);
  const size_t width = static_cast<size_t>(AttentionBackwardKeyValue::width(op));
  const size_t given = static_cast<size_t>(heads * headDim);
  const float* x = AttentionBackwardKeyValue::x(op);
  float* keys = reinterpret_cast<float*>(call.scratch);
  float* values = keys + tileColumns * headDim;
  float* queries = values + tileColumns * headDim;
  float* gradients = queries + chunkRows * padded;
  float* dots = gradients + chunkRows * padded;
  float* slopes = dots + chunkRows * tileColumns;
  float* dk = slopes + chunkRows * tileColumns;
  float* dv = dk + tileColumns * padded;
  float* places = dv + tileColumns * padded;
  float* bias = places + tileColumns;
  int unit = 0;
  for (int first = 0; first < call.rows;) {
    const RowBlock block = blockAt(slots, first, call.rows);
    first = block.last;
    packPositions(positions, block, places);
    for (int g = 0; g < kvHeads; g++, unit++) {
      if (unit % call.threads != call.thread) continue;
      const int key = AttentionBackwardKeyValue::firstKey(op) + g * headDim;
      const int value = AttentionBackwardKeyValue::firstValue(op) + g * headDim;
      packLanes(x + key, width, block, headDim, keys);
      packLanes(x + value, width, block, headDim, values);
      bool fresh = true;
      Chunk chunk;
      for (int from = 0; from < call.rows;) {
        from = nextChunk(call, block, from, chunk);
        if (chunk.count == 0) break;
        for (int h = g * group; h < (g + 1) * group; h++) {
          copyChunk(chunk, x + h * headDim, width, headDim, queries);
          copyChunk(chunk, AttentionBackwardKeyValue::dy(op) + h * headDim, given, headDim, gradients);
          const size_t stride = static_cast<size_t>(padded);
          for (int i = 0; i < chunkRows; i += outerRows) {
            outerTile<outerRows, outerVectors, true>(
                {queries + i * padded, stride}, {keys, tileColumns}, headDim, {}, {dots + i * tileColumns, tileColumns});
            outerTile<outerRows, outerVectors, true>(
                {gradients + i * padded, stride}, {values, tileColumns}, headDim, {}, {slopes + i * tileColumns, tileColumns});
          }
          const float* biases = row(AttentionBackwardKeyValue::keyBias(op), h, capacity);
          for (int i = 0; biases != nullptr && i < tileColumns; i++)
            bias[i] = i < block.count() ? biases[positions[block.first + i]] : 0;
          sharesOf(call, chunk, h, places, biases != nullptr ? bias : nullptr, dots, slopes);
          mixRows(dots, gradients, stride, chunkRows, headDim, fresh, dv);
          mixRows(slopes, queries, stride, chunkRows, headDim, fresh, dk);
          fresh = false;
        }
      }
      for (int i = 0; i < block.count(); i++) {
        float* out = AttentionBackwardKeyValue::out(op) + static_cast<size_t>(block.first + i) * width;
        memcpy(out + key, dk + i * padded, static_cast<size_t>(headDim) * sizeof(float));
        memcpy(out + value, dv + i * padded, static_cast<size_t>(headDim) * sizeof(float));
      }
    }
  }
}

}  // namespace relufy::RELUFY_ISA
