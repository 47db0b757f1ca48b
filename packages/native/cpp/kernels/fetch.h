// fetchRows: the rows of listed neurons come from a file into slots. Who has a slot and who loses one is defined in
// fetch-rows.ts of @relufy/tensor, word for word; reading is row-file.h.
//
//   thread 0: gives each listed neuron a slot; lists those whose rows are not there yet
//   all:      read the rows of a share of that list; neighbours in the file are one read
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

/** The rows of missing[from .. to) of one part. */
static inline void readMissing(const Call& call, const char* place, char* rows, size_t bytes, int from, int to) {
  if (place == nullptr) return;
  const auto& file = *reinterpret_cast<const StoredRows*>(place);
  const int32_t* missing = FetchRows::missing(call.op);
  const int32_t* table = FetchRows::table(call.op);
  RowPiece* pieces = reinterpret_cast<RowPiece*>(call.scratch);
  for (int i = from; i < to;) {
    int count = 0;
    const int32_t first = missing[i];
    for (; i < to && count < mostPieces && missing[i] == first + count; i++, count++)
      pieces[count] = {rows + static_cast<size_t>(table[missing[i]]) * bytes, bytes};
    const int failure = readRows(file, static_cast<size_t>(first) * bytes, pieces, count);
    if (failure != 0) FetchRows::counters(call.op)[counterFailure] = failure;
  }
}

static void fetchRows(const Call& call) {
  if (call.thread == 0) admitListed(call);
  call.barrier(call.team);
  const int count = FetchRows::counters(call.op)[counterMissing];
  const int from = share(count, 1, call.thread, call.threads);
  const int to = share(count, 1, call.thread + 1, call.threads);
  if (from == to) return;
  const Record op = call.op;
  const int32_t* missing = FetchRows::missing(op);
  const size_t sizes[] = {
      static_cast<size_t>(FetchRows::aBytes(op)), static_cast<size_t>(FetchRows::bBytes(op)),
      static_cast<size_t>(FetchRows::cBytes(op))};
  const char* places[] = {FetchRows::a(op), FetchRows::b(op), FetchRows::c(op)};
  char* rows[] = {FetchRows::aRows(op), FetchRows::bRows(op), FetchRows::cRows(op)};
  // the disk gets all of it at once, and works on many pieces at a time
  for (int part = 0; part < 3; part++)
    for (int i = from; i < to && places[part] != nullptr; i++)
      announceRow(*reinterpret_cast<const StoredRows*>(places[part]), static_cast<size_t>(missing[i]) * sizes[part], sizes[part]);
  for (int part = 0; part < 3; part++) readMissing(call, places[part], rows[part], sizes[part], from, to);
}

}  // namespace relufy::RELUFY_ISA
