// Conversations that had to leave the chat's slot: copies of their keys and values, or of a recurrent state, as long as they
// are and outside the session, so that who comes back computes only what is new. The least recently used go when their bytes exceed a budget.
// Copying costs a memory move for each token; computing it again would read every weight of the model.
// Does not own the slots of the session (slots.ts) nor the decision who leaves (steps.ts).
import { type BufferView, elementsOf, pendingOf, type Session } from '@relufy/tensor';
import type { SlotLayout, SlotRun } from './slot-layout.js';

interface Parked {
  readonly ids: readonly number[];
  /** What lay in each run of the slot. */
  readonly values: readonly BufferView[];
  readonly bytes: number;
}

/** Conversations at most: each prompt is compared with all of them. */
const mostParked = 64;

export class ParkedSlots {
  readonly #layout: SlotLayout;
  readonly #budget: number;
  /** The least recently used first. */
  #parked: Parked[] = [];

  constructor(layout: SlotLayout, budgetBytes: number) {
    this.#layout = layout;
    this.#budget = budgetBytes;
  }

  get bytes(): number {
    return this.#parked.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** How many tokens of `ids` the best of them saves. */
  longestPrefix(ids: readonly number[]): number {
    return Math.max(0, ...this.#parked.map((parked) => this.#usable(parked, ids)));
  }

  /** Tokens that `ids` begins with: of a recurrent state all of them, or it is of no use. */
  #usable(parked: Parked, ids: readonly number[]): number {
    const common = commonPrefix(parked.ids, ids);
    return this.#layout.keepsPrefixes || common === parked.ids.length ? common : 0;
  }

  /**
   * Copies the slot out. Of two that begin alike, where one is the beginning of the other, the longer one stays: unless
   * that is a recurrent state, which is no state of its beginning.
   */
  async park(session: Session, slot: number, ids: readonly number[]): Promise<void> {
    if (ids.length === 0 || this.#budget === 0) return;
    const { keepsPrefixes } = this.#layout;
    const longer = this.#parked.find(
      (parked) => commonPrefix(parked.ids, ids) === ids.length && (keepsPrefixes || parked.ids.length === ids.length),
    );
    if (longer !== undefined) {
      this.#parked = [...this.#parked.filter((parked) => parked !== longer), longer];
      return;
    }
    if (keepsPrefixes)
      this.#parked = this.#parked.filter((parked) => commonPrefix(parked.ids, ids) < parked.ids.length);
    const runs = this.#layout.runs(slot, ids.length);
    const { BYTES_PER_ELEMENT: each } = await elementsOf(session, (runs[0] as SlotRun).buffer, 0, 0);
    const bytes = runs.reduce((sum, { count }) => sum + count, 0) * each;
    if (bytes > this.#budget) return;
    while (this.#parked.length >= mostParked || this.bytes + bytes > this.#budget) this.#parked.shift();
    let values: readonly BufferView[];
    try {
      values = await Promise.all(runs.map(({ buffer, at, count }) => session.read(buffer, at, at + count)));
    } catch (error) {
      if (error instanceof RangeError) return; // no memory for it: it will be computed again
      throw error;
    }
    this.#parked.push({ ids: [...ids], values, bytes });
  }

  /** Copies the longest prefix of `ids` into the slot; gives the ids that it then holds. */
  async restore(session: Session, slot: number, ids: readonly number[]): Promise<readonly number[]> {
    const common = this.longestPrefix(ids);
    const found = this.#parked.find((parked) => this.#usable(parked, ids) === common);
    if (common === 0 || found === undefined) return [];
    const runs = this.#layout.runs(slot, common);
    await pendingOf(
      runs.map(({ buffer, at, count }, i) =>
        session.write(buffer, (found.values[i] as BufferView).subarray(0, count), at),
      ),
    );
    const others = this.#parked.filter((parked) => parked !== found);
    // one that goes on is in the slot from here on; one that has a beginning in common with it waits on
    this.#parked = common === found.ids.length ? others : [...others, found];
    return found.ids.slice(0, common);
  }

  clear(): void {
    this.#parked = [];
  }
}

/** Of two lists whose first `from` are known to be equal. */
export function commonPrefix(a: readonly number[], b: readonly number[], from = 0): number {
  let n = from;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
