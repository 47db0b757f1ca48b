// Which rows of stored weights lie in memory: slots that the neurons of all layers share, one a neuron, who has one and
// who loses one. This is the definition that every backend follows, so that tables, counters and hits are the same.
// Does not own reading rows (stored-rows.ts) nor the op's operands (op-table.ts).
//
//   a listed neuron that has a slot:  uses = min(uses + 1, 3)
//   one that has none takes the slot at the hand: who was used in this op is passed by; who has uses left loses one and is
//   passed by; the next loses its slot. A new neuron begins with no uses.
//
// So a neuron stays for one turn of the hand after its last use, which is the sliding window of LLM in a Flash (arXiv
// 2312.11514, 3.1) in as many tokens as the slots hold, and up to three turns more where it was used often. What a long
// prompt reads once is the first to go.

// Where a list is known before its turn (a predictor that looks a layer ahead), `announceRows` says so while other ops run:
// a backend that can have its file read ahead does so for listed neurons without a slot. It changes neither slots nor tables.

/** Words of a slot: owner (layer x neurons + neuron + 1; 0: none), uses, and the op that last used it. */
export const slotFields = 3;
const [owner, uses, usedBy] = [0, 1, 2];
const mostUses = 3;

/** Words of the counters, and what each counts. */
export const fetchCounters = 8;
export const fetchCounter = {
  /** The slot that is looked at next. */
  hand: 0,
  /** Ops so far. */
  op: 1,
  /** Neurons that were listed, each once an op, and those of them that were read. The host takes them, and begins anew. */
  wanted: 2,
  read: 3,
  /** Neurons that the op running now reads. */
  missing: 4,
  /** 0: all was read. Else the system's error number, or -1: the file ended before; -2: a scale of a block is not finite. */
  failure: 5,
} as const;

/** The state of fetched rows over a session's memory; see `fetchRows` in the op table for the shapes. */
export class SlotCacheState {
  readonly #table: Int32Array;
  readonly #slots: Int32Array;
  readonly #counters: Int32Array;
  readonly #missing: Int32Array;

  constructor(table: Int32Array, slots: Int32Array, counters: Int32Array, missing: Int32Array) {
    this.#table = table;
    this.#slots = slots;
    this.#counters = counters;
    this.#missing = missing;
  }

  /** Gives every listed neuron a slot; the ids of those whose rows have to be read are in `missing`: how many. */
  admit(lists: readonly ArrayLike<number>[], layer: number): number {
    const counters = this.#counters;
    const first = layer * this.#table.length + 1;
    const op = (counters[fetchCounter.op] as number) + 1;
    counters[fetchCounter.op] = op;
    let wanted = 0;
    for (const list of lists)
      for (let i = 0; i < list.length; i++) {
        const at = slotFields * (this.#table[list[i] as number] as number);
        const slots = this.#slots;
        if (slots[at + owner] !== first + (list[i] as number) || slots[at + usedBy] === op) continue;
        slots[at + usedBy] = op;
        slots[at + uses] = Math.min((slots[at + uses] as number) + 1, mostUses);
        wanted++;
      }
    let missing = 0;
    for (const list of lists)
      for (let i = 0; i < list.length; i++) {
        const n = list[i] as number;
        if (this.#slots[slotFields * (this.#table[n] as number) + owner] === first + n) continue;
        this.#table[n] = this.#takeSlot(first + n, op);
        this.#missing[missing++] = n;
      }
    counters[fetchCounter.wanted]! += wanted + missing;
    counters[fetchCounter.read]! += missing;
    counters[fetchCounter.missing] = missing;
    return missing;
  }

  /** No neuron has a slot from now on. */
  forget(): void {
    this.#slots.fill(0);
  }

  #takeSlot(id: number, op: number): number {
    const [slots, counters] = [this.#slots, this.#counters];
    for (;;) {
      const slot = counters[fetchCounter.hand] as number;
      counters[fetchCounter.hand] = slotFields * (slot + 1) === slots.length ? 0 : slot + 1;
      const at = slotFields * slot;
      if (slots[at + usedBy] === op) continue;
      if ((slots[at + uses] as number) > 0) {
        slots[at + uses]!--;
        continue;
      }
      slots[at + owner] = id;
      slots[at + usedBy] = op;
      return slot;
    }
  }
}
