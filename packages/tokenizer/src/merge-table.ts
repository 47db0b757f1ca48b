// The merge rules of a BPE model and the loop that applies them: always the rule of lowest rank, leftmost first.
//   while some neighbouring pair has a rule: take the pair of lowest (rank, position); replace it by its product
// A binary heap of (rank, position) and a doubly linked list of symbols make it O(n log n) for n symbols.
// Which symbols a text starts from is bpe.ts.
import { show } from '@relufy/tensor';
import { malformed, type Source } from './json.js';

const DEAD = -1;
// Drawn anew in each process, so that no file can choose merges that all fall into one slot.
const seed = (): number => Math.floor(Math.random() * 2 ** 32);
const SEED_A = seed();
const SEED_B = seed();

/** An open-addressing hash table from a pair of ids to (rank, product), in four flat arrays. */
export class MergeTable {
  readonly #mask: number;
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #rank: Int32Array;
  readonly #product: Int32Array;

  /** `prefixLength`: UTF-16 units of the continuing-subword prefix that a right part loses when it is joined. */
  constructor(
    merges: readonly (readonly [string, string])[],
    vocab: ReadonlyMap<string, number>,
    prefixLength: number,
    source: Source,
  ) {
    const slots = 2 ** Math.ceil(Math.log2(merges.length * 2 + 2));
    this.#mask = slots - 1;
    this.#left = new Int32Array(slots).fill(DEAD);
    this.#right = new Int32Array(slots);
    this.#rank = new Int32Array(slots);
    this.#product = new Int32Array(slots);
    const idOf = (token: string, rank: number): number => {
      const id = vocab.get(token);
      if (id !== undefined) return id;
      throw malformed(source, `merge ${rank} ${show(merges[rank])}: ${show(token)} is not in the vocabulary`);
    };
    merges.forEach(([left, right], rank) => {
      const a = idOf(left, rank);
      const b = idOf(right, rank);
      const product = idOf(left + right.slice(prefixLength), rank);
      const slot = this.#find(a, b);
      if (this.#left[slot] !== DEAD) {
        throw malformed(source, `merge ${rank} ${show([left, right])} repeats merge ${this.#rank[slot]}`);
      }
      this.#left[slot] = a;
      this.#right[slot] = b;
      this.#rank[slot] = rank;
      this.#product[slot] = product;
    });
  }

  /** The slot of the pair, or the free slot where it would go. */
  #find(a: number, b: number): number {
    let hash = Math.imul(a ^ SEED_A, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ SEED_B ^ b, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
    let slot = hash & this.#mask;
    while (this.#left[slot] !== DEAD && (this.#left[slot] !== a || this.#right[slot] !== b)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  /** Applies the rules to `symbols`, which is overwritten and returned. */
  apply(symbols: number[]): number[] {
    const length = symbols.length;
    if (length < 2) return symbols;
    const next = new Int32Array(length);
    const previous = new Int32Array(length);
    const heap = new PairHeap();
    const offer = (at: number, after: number): void => {
      const slot = this.#find(symbols[at]!, symbols[after]!);
      if (this.#left[slot] !== DEAD) heap.push(this.#rank[slot]!, at);
    };
    for (let i = 0; i < length; i++) {
      previous[i] = i - 1;
      next[i] = i + 1 < length ? i + 1 : DEAD;
    }
    for (let i = 0; i + 1 < length; i++) offer(i, i + 1);
    while (heap.size > 0) {
      const key = heap.pop();
      const at = key % PairHeap.POSITIONS;
      const after = next[at]!;
      if (symbols[at] === DEAD || after === DEAD) continue;
      const slot = this.#find(symbols[at]!, symbols[after]!);
      // A stale entry: one of the two has been merged since. Ranks are unique, so this tells.
      if (this.#left[slot] === DEAD || this.#rank[slot] !== (key - at) / PairHeap.POSITIONS) continue;
      symbols[at] = this.#product[slot]!;
      symbols[after] = DEAD;
      const following = next[after]!;
      next[at] = following;
      if (following !== DEAD) {
        previous[following] = at;
        offer(at, following);
      }
      const before = previous[at]!;
      if (before !== DEAD) offer(before, at);
    }
    let kept = 0;
    for (let i = 0; i !== DEAD; i = next[i]!) symbols[kept++] = symbols[i]!;
    symbols.length = kept;
    return symbols;
  }
}

/** A binary min-heap of rank * 2^31 + position: one double orders by rank, then from left to right. */
class PairHeap {
  static readonly POSITIONS = 2 ** 31;
  readonly #keys: number[] = [];

  get size(): number {
    return this.#keys.length;
  }

  push(rank: number, position: number): void {
    const keys = this.#keys;
    const key = rank * PairHeap.POSITIONS + position;
    let at = keys.length;
    keys.push(key);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  pop(): number {
    const keys = this.#keys;
    const top = keys[0]!;
    const last = keys.pop()!;
    const size = keys.length;
    if (size === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= last) break;
      keys[at] = keys[child]!;
      at = child;
    }
    keys[at] = last;
    return top;
  }
}
