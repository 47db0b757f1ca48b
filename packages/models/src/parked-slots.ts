// Conversations that had to leave the chat's slot: copies of their keys and values, as long as they are and outside the
// session, so that who comes back computes only what is new. The least recently used go when their bytes exceed a budget.
// Copying costs a memory move for each token; computing it again would read every weight of the model.
// Does not own the slots of the session (slots.ts) nor the decision who leaves (steps.ts).
import { type BufferView, elementsOf, pendingOf, type Session } from '@relufy/tensor';

/** Where a slot's keys and values lie in `kCache` and `vCache`: [slots, heads, contextLength, headDim]. */
export interface SlotShape {
  /** Of all layers together. */
  readonly heads: number;
  readonly headDim: number;
  readonly contextLength: number;
}

interface Parked {
  readonly ids: readonly number[];
  /** By buffer, a head each: [ids.length, headDim]. */
  readonly values: ReadonlyMap<string, readonly BufferView[]>;
  readonly bytes: number;
}

const cacheBuffers = ['kCache', 'vCache'];

/** Conversations at most: each prompt is compared with all of them. */
const mostParked = 64;

export class ParkedSlots {
  readonly #shape: SlotShape;
  readonly #budget: number;
  /** The least recently used first. */
  #parked: Parked[] = [];

  constructor(shape: SlotShape, budgetBytes: number) {
    this.#shape = shape;
    this.#budget = budgetBytes;
  }

  get bytes(): number {
    return this.#parked.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** How many tokens the best of them has in common with `ids`. */
  longestPrefix(ids: readonly number[]): number {
    return Math.max(0, ...this.#parked.map((parked) => commonPrefix(parked.ids, ids)));
  }

  /** Copies the slot out. Of two that begin alike, where one is the beginning of the other, the longer one stays. */
  async park(session: Session, slot: number, ids: readonly number[]): Promise<void> {
    if (ids.length === 0 || this.#budget === 0) return;
    const longer = this.#parked.find((parked) => commonPrefix(parked.ids, ids) === ids.length);
    if (longer !== undefined) {
      this.#parked = [...this.#parked.filter((parked) => parked !== longer), longer];
      return;
    }
    this.#parked = this.#parked.filter((parked) => commonPrefix(parked.ids, ids) < parked.ids.length);
    const { heads, headDim } = this.#shape;
    const size = heads * ids.length * headDim;
    const { BYTES_PER_ELEMENT: each } = await elementsOf(session, 'kCache', 0, 0);
    const bytes = cacheBuffers.length * size * each;
    if (bytes > this.#budget) return;
    while (this.#parked.length >= mostParked || this.bytes + bytes > this.#budget) this.#parked.shift();
    const values = new Map<string, readonly BufferView[]>();
    try {
      for (const name of cacheBuffers)
        values.set(
          name,
          await Promise.all(this.#heads(slot).map((place) => session.read(name, place, place + ids.length * headDim))),
        );
    } catch (error) {
      if (error instanceof RangeError) return; // no memory for it: it will be computed again
      throw error;
    }
    this.#parked.push({ ids: [...ids], values, bytes });
  }

  /** Copies the longest prefix of `ids` into the slot; gives the ids that it then holds. */
  async restore(session: Session, slot: number, ids: readonly number[]): Promise<readonly number[]> {
    const common = this.longestPrefix(ids);
    const found = this.#parked.find((parked) => commonPrefix(parked.ids, ids) === common);
    if (common === 0 || found === undefined) return [];
    const places = this.#heads(slot);
    const count = common * this.#shape.headDim;
    for (const [name, values] of found.values)
      await pendingOf(values.map((head, i) => session.write(name, head.subarray(0, count), places[i])));
    const others = this.#parked.filter((parked) => parked !== found);
    // one that goes on is in the slot from here on; one that has a beginning in common with it waits on
    this.#parked = common === found.ids.length ? others : [...others, found];
    return found.ids.slice(0, common);
  }

  clear(): void {
    this.#parked = [];
  }

  /** Where each head of a slot begins. */
  #heads(slot: number): number[] {
    const { heads, headDim, contextLength } = this.#shape;
    return Array.from({ length: heads }, (_, head) => (slot * heads + head) * contextLength * headDim);
  }
}

export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
