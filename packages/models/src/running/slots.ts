// What the slots hold: per slot, the token ids whose keys and values, or whose recurrent state, lie there, so that a prompt
// that begins with them need not be computed again. Does not own the memory (a session's state buffers) nor where in it a
// slot lies (slot-layout.ts).
import { pendingOf, type Session } from '@relufy/tensor';
import { commonPrefix } from './parked-slots.js';
import type { SlotLayout } from './slot-layout.js';

export class SlotCache {
  readonly #ids: number[][];
  /** Slot -> from where on it was computed by some of the neurons. */
  readonly #partial = new Map<number, number>();
  readonly #layout: SlotLayout;

  constructor(slots: number, layout: SlotLayout) {
    this.#ids = Array.from({ length: slots }, () => []);
    this.#layout = layout;
  }

  get slots(): number {
    return this.#ids.length;
  }

  get contextLength(): number {
    return this.#layout.contextLength;
  }

  /** A slot can go on from any of its positions; else from its last one alone. */
  get keepsPrefixes(): boolean {
    return this.#layout.keepsPrefixes;
  }

  length(slot: number): number {
    return this.#slot(slot).length;
  }

  /** The ids that the slot holds. */
  ids(slot: number): readonly number[] {
    return this.#slot(slot);
  }

  /** Positions of the slot from which `ids` can be gone on with, since they begin with them as anybody would compute it. */
  commonPrefix(slot: number, ids: readonly number[]): number {
    const held = this.#slot(slot);
    const common = Math.min(commonPrefix(held, ids), this.#partial.get(slot) ?? ids.length);
    return this.keepsPrefixes || common === held.length ? common : 0;
  }

  /** What comes from there on is of use to whoever computes it alone: some of the neurons give other keys and values. */
  keepFromOthers(slot: number, from: number): void {
    this.#partial.set(slot, from);
  }

  /**
   * Forgets what lies at and behind `length`, and all of a recurrent state that is of later tokens. Call it before a step
   * overwrites positions. Gives how many tokens the slot then holds.
   */
  truncate(slot: number, length: number): number {
    const cached = this.#slot(slot);
    if (length < cached.length) cached.length = this.keepsPrefixes ? length : 0;
    if (cached.length <= (this.#partial.get(slot) ?? -1)) this.#partial.delete(slot);
    return cached.length;
  }

  /** A step has computed these ids, right behind what was there. */
  append(slot: number, ids: Iterable<number>): void {
    const cached = this.#slot(slot);
    for (const id of ids) cached.push(id);
  }

  /**
   * Copies the first `length` tokens of one slot to another, in every layer: of a recurrent state none or all. A promise
   * where copying takes its time.
   */
  fork(session: Session, from: number, to: number, length: number): Promise<unknown> | undefined {
    if (!this.keepsPrefixes && length > 0 && length !== this.length(from))
      throw new Error(`internal: a recurrent state of ${this.length(from)} tokens cannot be forked at ${length}`);
    const targets = this.#layout.runs(to, length);
    const copies = this.#layout
      .runs(from, length)
      .map((run, i) => session.copy(run, targets[i] as (typeof targets)[number]));
    const ids = this.#slot(from).slice(0, length);
    const target = this.#slot(to);
    target.length = 0;
    // one by one: arguments lie on the stack, which a context of 100,000 ids overflows
    for (const id of ids) target.push(id);
    return pendingOf(copies);
  }

  #slot(slot: number): number[] {
    const found = this.#ids[slot];
    if (found === undefined) throw new Error(`internal: no slot ${slot}`);
    return found;
  }
}
