// gather: rows of an embedding table, widened to f32, plus a residual (the token's embedding, for learned positions).
//
//   for each row r: for my columns c: out[r][c] = residual[r][c] + table[index[r]][c]
#pragma once
#include "block-linear.h"

namespace relufy::RELUFY_ISA {

template <class W>
static inline void gatherRows(const Call& call) {
  const int width = Gather::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  for (int r = 0; r < call.rows; r++) {
    const W* entry = row(reinterpret_cast<const W*>(Gather::table(call.op)), Gather::index(call.op)[r], width);
    const float* residual = row(Gather::residual(call.op), r, width);
    float* out = row(Gather::out(call.op), r, width);
    for (int c = first; c < last; c += lanes) {
      const int n = least(lanes, last - c);
      Vec v = n == lanes ? load(entry + c) : loadFirst(entry + c, n);
      if (residual != nullptr) v = add(n == lanes ? load(residual + c) : loadFirst(residual + c, n), v);
      if (n == lanes) store(out + c, v);
      else storeFirst(out + c, v, n);
    }
  }
}

template <class F>
static inline void gatherBlocks(const Call& call) {
  const int width = Gather::width(call.op);
  const int first = share(width, 16, call.thread, call.threads);
  const int last = share(width, 16, call.thread + 1, call.threads);
  const Blocks<F> table(Gather::table(call.op), width);
  for (int r = 0; r < call.rows; r++)
    widenRow(
        table, Gather::index(call.op)[r], row(Gather::residual(call.op), r, width), row(Gather::out(call.op), r, width),
        first, last);
}

static void gather(const Call& call) {
  switch (Gather::dtype(call.op)) {
    case dtypeF32: return gatherRows<float>(call);
    case dtypeBf16: return gatherRows<bf16>(call);
    case dtypeInt8: return gatherBlocks<Int8>(call);
    case dtypeInt4: return gatherBlocks<Int4>(call);
    case dtypeUint4: return gatherBlocks<Uint4>(call);
    default: __builtin_trap();
  }
}

}  // namespace relufy::RELUFY_ISA
