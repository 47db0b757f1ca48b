// storeKv and attention over the KV cache [slot][layer][kvHead][capacity][headDim], of f32 or f16 (`K`).
//
//   attention, for each (row, head):
//     s[p] = scale * (q . k[p] + keyBias[p])      p = first .. position of the row; dots as in dot.h
//     e[p] = exp(s[p] - max s);  out = (sum over p, in order, of e[p] * v[p]) / sum e
//   scores that leave f32 are computed again in f64, less their maximum
//
// Heads are split across the threads, turned by one each row so that what does not divide evenly evens out. Heads outside,
// rows inside: the keys and values of a head stay in cache while the rows of a prefill pass.
// Scratch: capacity + 16 floats of scores; they are padded with -infinity to a multiple of the lanes.
#pragma once
#include <cmath>
#include <limits>

#include "dot.h"
#include "exp.h"

namespace relufy::RELUFY_ISA {

template <class K>
static void storeKvOf(const Call& call) {
  const int kvHeads = StoreKv::kvHeads(call.op);
  const int headDim = StoreKv::headDim(call.op);
  const int units = call.rows * kvHeads;
  const int last = share(units, 1, call.thread + 1, call.threads);
  for (int unit = share(units, 1, call.thread, call.threads); unit < last; unit++) {
    const int r = unit / kvHeads;
    const int h = unit - r * kvHeads;
    const int slot = StoreKv::slots(call.op)[r];
    const size_t head = static_cast<size_t>((slot * StoreKv::layers(call.op) + StoreKv::layer(call.op)) * kvHeads + h);
    const size_t place = head * static_cast<size_t>(StoreKv::capacity(call.op)) +
                         static_cast<size_t>(StoreKv::positions(call.op)[r]);
    const size_t to = place * static_cast<size_t>(headDim);
    const float* x = row(StoreKv::x(call.op), r, StoreKv::width(call.op)) + h * headDim;
    K* k = reinterpret_cast<K*>(StoreKv::k(call.op)) + to;
    K* v = reinterpret_cast<K*>(StoreKv::v(call.op)) + to;
    for (int i = 0; i < headDim; i++) narrow(x[StoreKv::firstKey(call.op) + i], k[i]);
    for (int i = 0; i < headDim; i++) narrow(x[StoreKv::firstValue(call.op) + i], v[i]);
  }
}

static void storeKv(const Call& call) {
  StoreKv::dtype(call.op) == dtypeF16 ? storeKvOf<f16>(call) : storeKvOf<float>(call);
}

/** scores[i] = scale * (q . k[i] + bias[i]) for i < count. */
template <class K>
RELUFY_LOOP void scoreKeys(
    float* scores, const float* q, const K* k, const float* bias, int headDim, int count, float scale) {
  for (int i = 0; i < count; i += dotBlock) {
    const int n = least(dotBlock, count - i);
    const K* keys[dotBlock];
    for (int j = 0; j < dotBlock; j++) keys[j] = row(k, i + least(j, n - 1), headDim);
    float sums[dotBlock];
    dotRows<dotBlock>(q, headDim, keys, sums);
    for (int j = 0; j < n; j++) scores[i + j] = scale * (sums[j] + (bias != nullptr ? bias[i + j] : 0));
  }
}

/** One number, widened. */
template <class K>
static inline float numberAt(const K* at) {
  float lane[lanes];
  store(lane, loadFirst(at, 1));
  return lane[0];
}

/** scores[i] = scale * (q . k[i] + bias[i]) - the largest of them, in f64. */
template <class K>
static void wideScores(
    float* scores, const float* q, const K* k, const float* bias, int headDim, int count, float scale) {
  double top = std::numeric_limits<double>::lowest();
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < count; i++) {
      const K* key = row(k, i, headDim);
      double sum = bias != nullptr ? static_cast<double>(bias[i]) : 0;
      for (int d = 0; d < headDim; d++) sum += static_cast<double>(q[d]) * static_cast<double>(numberAt(key + d));
      const double score = static_cast<double>(scale) * sum;
      // written so that NaN becomes the largest
      if (pass == 0) top = score <= top ? top : score;
      else scores[i] = static_cast<float>(score - top);
    }
}

/** scores -> exp(scores - max), in place; gives their sum. */
static inline float expScores(float* scores, int count) {
  const int end = (count + lanes - 1) / lanes * lanes;
  for (int i = count; i < end; i++) scores[i] = -INFINITY;
  Vec top = splat(-INFINITY);
  for (int i = 0; i < end; i += lanes) top = max(top, load(scores + i));
  top = splat(hmax(top));
  Vec sum = zero();
  for (int i = 0; i < end; i += lanes) {
    const Vec e = exp(sub(load(scores + i), top));
    store(scores + i, e);
    sum = add(sum, e);
  }
  return hsum(sum);
}

/** `vectors` vectors of out from column d on = (sum over i of e[i] * v[i]) / total. */
template <int vectors, class K>
RELUFY_LOOP void mixColumns(float* out, const float* e, const K* v, int headDim, int count, Vec total) {
  Vec s[vectors];
#pragma GCC unroll 8
  for (int j = 0; j < vectors; j++) s[j] = zero();
  for (int i = 0; i < count; i++, v += headDim) {
    const Vec scale = splat(e[i]);
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) s[j] = fma(load(v + j * lanes), scale, s[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < vectors; j++) store(out + j * lanes, div(s[j], total));
}

template <class K>
static inline void mixValues(float* out, const float* e, const K* v, int headDim, int count, float total) {
  const Vec t = splat(total);
  int d = 0;
  for (; d + 8 * lanes <= headDim; d += 8 * lanes) mixColumns<8>(out + d, e, v + d, headDim, count, t);
  for (; d + 4 * lanes <= headDim; d += 4 * lanes) mixColumns<4>(out + d, e, v + d, headDim, count, t);
  for (; d + lanes <= headDim; d += lanes) mixColumns<1>(out + d, e, v + d, headDim, count, t);
  if (d < headDim) {
    const int n = headDim - d;
    Vec s = zero();
    for (int i = 0; i < count; i++) s = fma(loadFirst(row(v, i, headDim) + d, n), splat(e[i]), s);
    storeFirst(out + d, div(s, t), n);
  }
}

template <class K>
static void attentionOf(const Call& call) {
  const int heads = Attention::heads(call.op);
  const int headDim = Attention::headDim(call.op);
  const int kvHeads = Attention::kvHeads(call.op);
  const int capacity = Attention::capacity(call.op);
  const int window = Attention::window(call.op);
  const float* keyBias = Attention::keyBias(call.op);
  const K* k = reinterpret_cast<const K*>(Attention::k(call.op));
  const K* v = reinterpret_cast<const K*>(Attention::v(call.op));
  const int group = heads / kvHeads;
  float* scores = reinterpret_cast<float*>(call.scratch);
  for (int h = 0; h < heads; h++) {
    const int owner = h * call.threads / heads;
    for (int r = 0; r < call.rows; r++) {
      if ((owner + r) % call.threads != call.thread) continue;
      const int last = Attention::positions(call.op)[r];
      const int first = window > 0 ? most(0, last - window + 1) : 0;
      const int count = last - first + 1;
      const int slot = Attention::slots(call.op)[r];
      const int kvHead = (slot * Attention::layers(call.op) + Attention::layer(call.op)) * kvHeads + h / group;
      const size_t cache = static_cast<size_t>(headDim) *
                           (static_cast<size_t>(kvHead) * static_cast<size_t>(capacity) + static_cast<size_t>(first));
      const float* bias = keyBias != nullptr ? row(keyBias, h, capacity) + first : nullptr;
      const float* q = row(Attention::x(call.op), r, Attention::width(call.op)) + h * headDim;
      const float scale = Attention::scale(call.op);
      scoreKeys(scores, q, k + cache, bias, headDim, count, scale);
      float total = expScores(scores, count);
      if (!(total <= std::numeric_limits<float>::max())) {
        wideScores(scores, q, k + cache, bias, headDim, count, scale);
        total = expScores(scores, count);
      }
      mixValues(
          row(Attention::out(call.op), r * heads + h, headDim), scores, v + cache, headDim, count, total);
    }
  }
}

static void attention(const Call& call) {
  Attention::dtype(call.op) == dtypeF16 ? attentionOf<f16>(call) : attentionOf<float>(call);
}

static inline size_t attentionScratch(Record op) {
  return static_cast<size_t>(Attention::capacity(op) + 16) * sizeof(float);
}

}  // namespace relufy::RELUFY_ISA
