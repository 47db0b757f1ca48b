// A sample of numbers in bounded memory, the same for the same numbers in the same order: all of them while they are few,
// then every second, every fourth and so on. Does not own where they come from.

/** Numbers that are kept. */
const most = 1 << 18;

export class Margins {
  /** Of all that were added. */
  count = 0;
  #values = new Float32Array(1024);
  #held = 0;
  #stride = 1;

  add(value: number): void {
    if (this.count++ % this.#stride !== 0) return;
    if (this.#held === this.#values.length) this.#makeRoom();
    if ((this.count - 1) % this.#stride === 0) this.#values[this.#held++] = value;
  }

  /** Ascending. */
  sorted(): Float32Array {
    return this.#values.slice(0, this.#held).sort();
  }

  #makeRoom(): void {
    if (this.#values.length < most) {
      const values = new Float32Array(this.#values.length * 4);
      values.set(this.#values);
      this.#values = values;
      return;
    }
    this.#stride *= 2;
    this.#held /= 2;
    for (let at = 0; at < this.#held; at++) this.#values[at] = this.#values[2 * at]!;
  }
}

/** Share of ascending numbers above a threshold. */
export function shareAbove(sorted: Float32Array, threshold: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! > threshold) high = middle;
    else low = middle + 1;
  }
  return sorted.length === 0 ? 0 : (sorted.length - low) / sorted.length;
}

/**
 * The largest threshold that at least `share` of ascending numbers are above, of which `always` more than these are above
 * whatever it is. Just below one of the numbers; -Infinity where there are none.
 */
export function thresholdFor(sorted: Float32Array, share: number, always = 0): number {
  const missed = Math.min(Math.floor((1 - share) * (sorted.length + always) + 1e-9), sorted.length);
  if (sorted.length === 0) return Number.NEGATIVE_INFINITY;
  const least = sorted[Math.min(missed, sorted.length - 1)]!;
  // all may be missed: the threshold is at the largest
  return missed === sorted.length ? least : least - 1e-5 * Math.max(1, Math.abs(least));
}
