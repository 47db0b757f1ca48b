// What the KV cache holds: per slot, the token ids whose keys and values are valid, so that a prompt's common prefix
// with them need not be computed again. Does not own the memory (a session's state buffers).
import { type MaybePromise, pendingOf, type Session } from '@relufy/tensor';
import { commonPrefix, type SlotShape } from './parked-slots.js';

export class SlotCache {
  readonly #ids: number[][];
  /** Slot -> from where on it was computed by some of the neurons. */
  readonly #partial = new Map<number, number>();
  readonly #shape: SlotShape;

  constructor(slots: number, shape: SlotShape) {
    this.#ids = Array.from({ length: slots }, () => []);
    this.#shape = shape;
  }

  get slots(): number {
    return this.#ids.length;
  }

  get contextLength(): number {
    return this.#shape.contextLength;
  }

  length(slot: number): number {
    return this.#slot(slot).length;
  }

  /** The ids that the slot holds. */
  ids(slot: number): readonly number[] {
    return this.#slot(slot);
  }

  /** Positions of the slot that already hold the beginning of `ids`, as anybody would compute it. */
  commonPrefix(slot: number, ids: readonly number[]): number {
    return Math.min(commonPrefix(this.#slot(slot), ids), this.#partial.get(slot) ?? ids.length);
  }

  /** What comes from there on is of use to whoever computes it alone: some of the neurons give other keys and values. */
  keepFromOthers(slot: number, from: number): void {
    this.#partial.set(slot, from);
  }

  /** Forgets what lies at and behind `length`. Call it before a step overwrites positions. */
  truncate(slot: number, length: number): void {
    const cached = this.#slot(slot);
    if (length < cached.length) cached.length = length;
    if (length <= (this.#partial.get(slot) ?? -1)) this.#partial.delete(slot);
  }

  /** A step has computed these ids, right behind what was there. */
  append(slot: number, ids: Iterable<number>): void {
    this.#slot(slot).push(...ids);
  }

  /** Copies the first `length` positions of one slot to another, in every layer. A promise where copying takes its time. */
  fork(session: Session, from: number, to: number, length: number): Promise<unknown> | undefined {
    const { heads, headDim, contextLength } = this.#shape;
    const headSize = contextLength * headDim;
    const copies: MaybePromise<void>[] = [];
    for (const buffer of ['kCache', 'vCache'])
      for (let head = 0; head < heads; head++)
        copies.push(
          session.copy(
            { buffer, at: (from * heads + head) * headSize, count: length * headDim },
            { buffer, at: (to * heads + head) * headSize },
          ),
        );
    const ids = this.#slot(from).slice(0, length);
    this.#slot(to).splice(0, Number.POSITIVE_INFINITY, ...ids);
    return pendingOf(copies);
  }

  #slot(slot: number): number[] {
    const found = this.#ids[slot];
    if (found === undefined) throw new Error(`internal: no slot ${slot}`);
    return found;
  }
}
