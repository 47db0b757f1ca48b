// fetchRows: the rows of listed neurons come from a file into slots. Who has a slot and who loses one is defined in
// fetch-rows.ts of @relufy/tensor, word for word; reading is row-file.h.
//
//   thread 0: gives each listed neuron a slot; lists those whose rows are not there yet
//   all:      read the rows of a share of that list: what lies side by side in the file is one read
//
// announceRows: tells the system which rows a later fetchRows will read, each thread of a share of the list.
//
// A read that fails is noted in the counters, and the step goes on with whatever the slots hold: the host asks afterwards.
#pragma once
#include "../row-file.h"
#include "simd.h"

namespace relufy::RELUFY_ISA {

// words of a slot and of the counters: fetch-rows.ts
enum SlotWord : int { slotOwner, slotUses, slotUsedBy, slotWords };
enum Counter : int { counterHand, counterOp, counterWanted, counterRead, counterMissing, counterFailure };
constexpr int32_t mostUses = 3;

/** Rows that one call of the system reads, at most. */
constexpr int mostPieces = 64;
static constexpr size_t fetchRowsScratch = mostPieces * sizeof(RowPiece);

static inline int32_t takeSlot(const Call& call, int32_t id, int32_t opNumber) {
  int32_t* slots = FetchRows::slots(call.op);
  int32_t* counters = FetchRows::counters(call.op);
  const int count = FetchRows::slotCount(call.op);
  for (;;) {
    const int32_t slot = counters[counterHand];
    counters[counterHand] = slot + 1 == count ? 0 : slot + 1;
    int32_t* at = slots + static_cast<size_t>(slot) * slotWords;
    if (at[slotUsedBy] == opNumber) continue;
    if (at[slotUses] > 0) {
      at[slotUses]--;
      continue;
    }
    at[slotOwner] = id;
    at[slotUsedBy] = opNumber;
    return slot;
  }
}

static inline void admitListed(const Call& call) {
  int32_t* table = FetchRows::table(call.op);
  int32_t* slots = FetchRows::slots(call.op);
  int32_t* counters = FetchRows::counters(call.op);
  int32_t* missing = FetchRows::missing(call.op);
  const int neurons = FetchRows::neurons(call.op);
  const int32_t first = FetchRows::layer(call.op) * neurons + 1;
  const int32_t opNumber = ++counters[counterOp];
  const auto slotOf = [&](int32_t n) { return slots + static_cast<size_t>(table[n]) * slotWords; };
  int32_t wanted = 0;
  for (int r = 0; r < call.rows; r++) {
    const int32_t* list = row(FetchRows::active(call.op), r, neurons);
    for (int i = 0; i < FetchRows::activeCount(call.op)[r]; i++) {
      int32_t* at = slotOf(list[i]);
      if (at[slotOwner] != first + list[i] || at[slotUsedBy] == opNumber) continue;
      at[slotUsedBy] = opNumber;
      at[slotUses] = least(at[slotUses] + 1, mostUses);
      wanted++;
    }
  }
  int32_t count = 0;
  for (int r = 0; r < call.rows; r++) {
    const int32_t* list = row(FetchRows::active(call.op), r, neurons);
    for (int i = 0; i < FetchRows::activeCount(call.op)[r]; i++) {
      const int32_t n = list[i];
      if (slotOf(n)[slotOwner] == first + n) continue;
      table[n] = takeSlot(call, first + n, opNumber);
      missing[count++] = n;
    }
  }
  counters[counterWanted] += wanted + count;
  counters[counterRead] += count;
  counters[counterMissing] = count;
}

/** What a neuron has in the file: one row, or several that lie side by side. */
struct Parts {
  const StoredRows* first;
  int count;
  size_t sizes[3];
  char* rows[3];
  size_t bytes;
};

/** Reads what the neurons missing[from .. to) have, each to its slot; neighbours in one call. */
static inline void readMissing(const Call& call, const Parts& parts, int from, int to) {
  const int32_t* missing = FetchRows::missing(call.op);
  const int32_t* table = FetchRows::table(call.op);
  RowPiece* pieces = reinterpret_cast<RowPiece*>(call.scratch);
  const auto stride = static_cast<size_t>(parts.first->stride);
  const int most = stride == parts.bytes ? mostPieces / parts.count : 1;
  for (int i = from; i < to;) {
    const int32_t first = missing[i];
    int count = 0;
    for (; i < to && count < most && missing[i] == first + count; i++, count++)
      for (int part = 0; part < parts.count; part++) {
        const size_t size = parts.sizes[part];
        pieces[count * parts.count + part] = {parts.rows[part] + static_cast<size_t>(table[missing[i]]) * size, size};
      }
    const int failure = readRows(*parts.first, static_cast<size_t>(first) * stride, pieces, count * parts.count);
    if (failure != 0) FetchRows::counters(call.op)[counterFailure] = failure;
  }
}

/** A neuron's rows as they lie in the file: all together where they are bundled, else each by itself; gives how many. */
template <class Op>
static inline int storedParts(Record op, char* const* rows, Parts* all) {
  const char* places[] = {Op::a(op), Op::b(op), Op::c(op)};
  const size_t sizes[] = {
      static_cast<size_t>(Op::aBytes(op)), static_cast<size_t>(Op::bBytes(op)), static_cast<size_t>(Op::cBytes(op))};
  int count = 0;
  for (int i = 0; i < 3; i++) {
    if (places[i] == nullptr) continue;
    const auto* place = reinterpret_cast<const StoredRows*>(places[i]);
    Parts* last = count > 0 ? all + count - 1 : nullptr;
    const bool beside = last != nullptr && place->file == last->first->file && place->stride == last->first->stride &&
                        place->firstByte == last->first->firstByte + static_cast<int64_t>(last->bytes) &&
                        last->bytes + sizes[i] <= static_cast<size_t>(place->stride);
    if (!beside) {
      last = all + count++;
      *last = {place, 0, {}, {}, 0};
    }
    last->sizes[last->count] = sizes[i];
    last->rows[last->count++] = rows[i];
    last->bytes += sizes[i];
  }
  return count;
}

static inline void announceNeuron(const Parts& parts, int32_t n) {
  announceRow(*parts.first, static_cast<size_t>(n) * static_cast<size_t>(parts.first->stride), parts.bytes);
}

static void announceRows(const Call& call) {
  const int neurons = AnnounceRows::neurons(call.op);
  const int32_t first = AnnounceRows::layer(call.op) * neurons + 1;
  const int32_t* table = AnnounceRows::table(call.op);
  const int32_t* slots = AnnounceRows::slots(call.op);
  char* const none[3] = {};
  Parts all[3];
  const int kinds = storedParts<AnnounceRows>(call.op, none, all);
  for (int r = 0; r < call.rows; r++) {
    const int32_t* list = row(AnnounceRows::active(call.op), r, neurons);
    const int count = AnnounceRows::activeCount(call.op)[r];
    const int to = share(count, 1, call.thread + 1, call.threads);
    for (int i = share(count, 1, call.thread, call.threads); i < to; i++) {
      const int32_t n = list[i];
      if (slots[static_cast<size_t>(table[n]) * slotWords + slotOwner] == first + n) continue;
      for (int kind = 0; kind < kinds; kind++) announceNeuron(all[kind], n);
    }
  }
}

static void fetchRows(const Call& call) {
  if (call.thread == 0) admitListed(call);
  call.barrier(call.team);
  const int count = FetchRows::counters(call.op)[counterMissing];
  const int from = share(count, 1, call.thread, call.threads);
  const int to = share(count, 1, call.thread + 1, call.threads);
  if (from == to) return;
  const int32_t* missing = FetchRows::missing(call.op);
  Parts all[3];
  char* const rows[] = {FetchRows::aRows(call.op), FetchRows::bRows(call.op), FetchRows::cRows(call.op)};
  const int kinds = storedParts<FetchRows>(call.op, rows, all);
  // the disk gets all of it at once, and works on many pieces at a time
  for (int kind = 0; kind < kinds; kind++)
    for (int i = from; i < to; i++) announceNeuron(all[kind], missing[i]);
  for (int kind = 0; kind < kinds; kind++) readMissing(call, all[kind], from, to);
}

}  // namespace relufy::RELUFY_ISA
