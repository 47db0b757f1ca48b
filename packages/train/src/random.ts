// Seeded random numbers: the same on every machine, and cheap to begin anew at any place, so that a run's state is a
// seed and counters. Does not own what is drawn.

/** mulberry32: 32 bits of state. */
export class Random {
  #state: number;

  /** The same seeds give the same numbers; different ones unrelated numbers. */
  constructor(...seeds: readonly number[]) {
    this.#state = 0x9e3779b9;
    for (const seed of seeds) {
      this.#state = (Math.imul(this.#state ^ (seed >>> 0), 0x85ebca6b) + Math.floor(seed / 2 ** 32)) >>> 0;
      this.#state = Math.floor(this.next() * 2 ** 32) >>> 0;
    }
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }
}

/** 0 to count - 1 in an order that the seeds decide (Fisher-Yates). */
export function permutation(count: number, ...seeds: readonly number[]): Uint32Array {
  const random = new Random(...seeds);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}
