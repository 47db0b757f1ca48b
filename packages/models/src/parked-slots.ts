// Conversations that had to leave the chat's slot: copies of their keys and values, as long as they are and outside the
// session, so that who comes back computes only what is new. The least recently used go when their bytes exceed a budget.
// Copying costs a memory move for each token; computing it again would read every weight of the model.
// Does not own the slots of the session (slots.ts) nor the decision who leaves (steps.ts).
import type { BufferView, Session } from '@relufy/tensor';

/** Where a slot's keys and values lie in `kCache` and `vCache`: [slots, heads, contextLength, headDim]. */
export interface SlotShape {
  /** Of all layers together. */
  readonly heads: number;
  readonly headDim: number;
  readonly contextLength: number;
}

interface Parked {
  readonly ids: readonly number[];
  /** By buffer; [heads, ids.length, headDim]. */
  readonly values: ReadonlyMap<string, BufferView>;
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
  park(session: Session, slot: number, ids: readonly number[]): void {
    if (ids.length === 0 || this.#budget === 0) return;
    const longer = this.#parked.find((parked) => commonPrefix(parked.ids, ids) === ids.length);
    if (longer !== undefined) {
      this.#parked = [...this.#parked.filter((parked) => parked !== longer), longer];
      return;
    }
    this.#parked = this.#parked.filter((parked) => commonPrefix(parked.ids, ids) < parked.ids.length);
    const { heads, headDim } = this.#shape;
    const size = heads * ids.length * headDim;
    const bytes = cacheBuffers.length * size * session.view('kCache').BYTES_PER_ELEMENT;
    if (bytes > this.#budget) return;
    while (this.#parked.length >= mostParked || this.bytes + bytes > this.#budget) this.#parked.shift();
    const values = new Map<string, BufferView>();
    for (const name of cacheBuffers) {
      const view = session.view(name);
      const copy = allocate(view, size);
      if (copy === undefined) return; // no memory for it: it will be computed again
      this.#move(ids.length, slot, (head, place, length) =>
        copy.set(view.subarray(place, place + length), head * length),
      );
      values.set(name, copy);
    }
    this.#parked.push({ ids: [...ids], values, bytes });
  }

  /** Copies the longest prefix of `ids` into the slot; gives the ids that it then holds. */
  restore(session: Session, slot: number, ids: readonly number[]): readonly number[] {
    const common = this.longestPrefix(ids);
    const found = this.#parked.find((parked) => commonPrefix(parked.ids, ids) === common);
    if (common === 0 || found === undefined) return [];
    const stride = found.ids.length * this.#shape.headDim;
    for (const [name, values] of found.values) {
      const view = session.view(name);
      this.#move(common, slot, (head, place, length) =>
        view.set(values.subarray(head * stride, head * stride + length), place),
      );
    }
    const others = this.#parked.filter((parked) => parked !== found);
    // one that goes on is in the slot from here on; one that has a beginning in common with it waits on
    this.#parked = common === found.ids.length ? others : [...others, found];
    return found.ids.slice(0, common);
  }

  clear(): void {
    this.#parked = [];
  }

  #move(tokens: number, slot: number, copy: (head: number, place: number, length: number) => void): void {
    const { heads, headDim, contextLength } = this.#shape;
    for (let head = 0; head < heads; head++)
      copy(head, (slot * heads + head) * contextLength * headDim, tokens * headDim);
  }
}

/** Of the same kind, in memory of its own: a session's may be shared with workers, or not be JavaScript's at all. */
function allocate(view: BufferView, length: number): BufferView | undefined {
  try {
    if (view instanceof Float32Array) return new Float32Array(length);
    if (view instanceof Uint16Array) return new Uint16Array(length);
  } catch {
    return undefined;
  }
  throw new Error(`internal: a KV cache of ${view.constructor.name}`);
}

export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
