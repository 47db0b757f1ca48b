// fetchRows: the rows of listed neurons come from a file into slots. Who has a slot and who loses one is defined in
// fetch-rows.ts of @relufy/tensor, word for word. WebAssembly reads no files: the host does, on the thread that asks.
//
//   thread 0: gives each listed neuron a slot; lists those whose rows are not there yet
//   all:      read the rows of a share of that list; or thread 0 the rows of all, where it alone has the file
import { FetchRows } from './generated/ops';
import { floats, share } from './simd';
import { barrier } from './team';

/** Words of a slot, as bytes: who has it, uses left, the op that last used it. */
const slotBytes: usize = 12;
const usesAt: usize = 4;
const usedByAt: usize = 8;
const mostUses: i32 = 3;
/** Words of the counters, as bytes. */
const handAt: usize = 0;
const opAt: usize = 4;
const wantedAt: usize = 8;
const readAt: usize = 12;
const missingAt: usize = 16;
const failureAt: usize = 20;

/** Rows missing[from .. end) of what `place` stores, each to its slot; what goes wrong is written to `failure`. */
@external('env', 'readRows') declare function readRows(
  place: usize, to: usize, bytes: i32, table: usize, missing: usize, from: i32, end: i32, failure: usize,
): void;

@inline function slotOf(slots: usize, table: usize, n: i32): usize {
  return slots + <usize>load<i32>(table + floats(n)) * slotBytes;
}

function takeSlot(slots: usize, counters: usize, count: i32, id: i32, opNumber: i32): i32 {
  for (;;) {
    const slot = load<i32>(counters, handAt);
    store<i32>(counters, slot + 1 == count ? 0 : slot + 1, handAt);
    const at = slots + <usize>slot * slotBytes;
    if (load<i32>(at, usedByAt) == opNumber) continue;
    const uses = load<i32>(at, usesAt);
    if (uses > 0) {
      store<i32>(at, uses - 1, usesAt);
      continue;
    }
    store<i32>(at, id);
    store<i32>(at, opNumber, usedByAt);
    return slot;
  }
}

function admitListed(op: usize, rows: i32): void {
  const table = FetchRows.table(op);
  const slots = FetchRows.slots(op);
  const counters = FetchRows.counters(op);
  const missing = FetchRows.missing(op);
  const counts = FetchRows.activeCount(op);
  const neurons = FetchRows.neurons(op);
  const first = FetchRows.layer(op) * neurons + 1;
  const opNumber = load<i32>(counters, opAt) + 1;
  store<i32>(counters, opNumber, opAt);
  let wanted = 0;
  for (let r = 0; r < rows; r++) {
    let list = FetchRows.active(op) + floats(r * neurons);
    for (const end = list + floats(load<i32>(counts + floats(r))); list < end; list += 4) {
      const n = load<i32>(list);
      const at = slotOf(slots, table, n);
      if (load<i32>(at) != first + n || load<i32>(at, usedByAt) == opNumber) continue;
      store<i32>(at, opNumber, usedByAt);
      store<i32>(at, min(load<i32>(at, usesAt) + 1, mostUses), usesAt);
      wanted++;
    }
  }
  let count = 0;
  for (let r = 0; r < rows; r++) {
    let list = FetchRows.active(op) + floats(r * neurons);
    for (const end = list + floats(load<i32>(counts + floats(r))); list < end; list += 4) {
      const n = load<i32>(list);
      if (load<i32>(slotOf(slots, table, n)) == first + n) continue;
      store<i32>(table + floats(n), takeSlot(slots, counters, FetchRows.slotCount(op), first + n, opNumber));
      store<i32>(missing + floats(count++), n);
    }
  }
  store<i32>(counters, load<i32>(counters, wantedAt) + wanted + count, wantedAt);
  store<i32>(counters, load<i32>(counters, readAt) + count, readAt);
  store<i32>(counters, count, missingAt);
}

/** Where the line of a place says that thread 0 alone reads the file (PlaceLine of fetch-rows.ts). */
const byFirstAt: usize = 40;

function readPart(op: usize, place: usize, to: usize, bytes: i32, thread: i32, threads: i32): void {
  if (place == 0) return;
  const count = load<i32>(FetchRows.counters(op), missingAt);
  const byFirst = load<f64>(place, byFirstAt) != 0;
  const from = byFirst ? 0 : share(count, 1, thread, threads);
  const end = byFirst ? (thread == 0 ? count : 0) : share(count, 1, thread + 1, threads);
  if (from < end)
    readRows(place, to, bytes, FetchRows.table(op), FetchRows.missing(op), from, end, FetchRows.counters(op) + failureAt);
}

export function fetchRows(op: usize, rows: i32, thread: i32, threads: i32, sync: usize): void {
  if (thread == 0) admitListed(op, rows);
  barrier(sync, threads);
  readPart(op, FetchRows.a(op), FetchRows.aRows(op), FetchRows.aBytes(op), thread, threads);
  readPart(op, FetchRows.b(op), FetchRows.bRows(op), FetchRows.bBytes(op), thread, threads);
  readPart(op, FetchRows.c(op), FetchRows.cRows(op), FetchRows.cBytes(op), thread, threads);
}
