// Statistics that take one value at a time: mean and spread, and a histogram over a fixed range.

export class Running {
  #count = 0;
  #mean = 0;
  #squares = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  add(value: number): void {
    this.#count++;
    const before = value - this.#mean;
    this.#mean += before / this.#count;
    this.#squares += before * (value - this.#mean);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  result(): Spread {
    if (this.#count === 0) return { mean: 0, deviation: 0, min: 0, max: 0 };
    const deviation = this.#count > 1 ? Math.sqrt(this.#squares / (this.#count - 1)) : 0;
    return { mean: this.#mean, deviation, min: this.#min, max: this.#max };
  }
}

export interface Spread {
  readonly mean: number;
  /** Of a sample. */
  readonly deviation: number;
  readonly min: number;
  readonly max: number;
}

/** Equal bins over [low, high); what lies outside is counted in `below` and `above`. */
export class Histogram {
  readonly low: number;
  readonly high: number;
  readonly #bins: Float64Array;
  #below = 0;
  #above = 0;
  #negative = 0;
  #total = 0;

  constructor(low: number, high: number, bins: number) {
    this.low = low;
    this.high = high;
    this.#bins = new Float64Array(bins);
  }

  add(values: Float32Array): void {
    const scale = this.#bins.length / (this.high - this.low);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value <= 0) this.#negative++;
      const at = Math.floor((value - this.low) * scale);
      if (at < 0) this.#below++;
      else if (at >= this.#bins.length) this.#above++;
      else this.#bins[at]!++;
    }
    this.#total += values.length;
  }

  result(): HistogramResult {
    const total = Math.max(1, this.#total);
    return {
      low: this.low,
      high: this.high,
      bins: Array.from(this.#bins, (count) => count / total),
      below: this.#below / total,
      above: this.#above / total,
      notPositive: this.#negative / total,
    };
  }
}

/** Shares of all values. */
export interface HistogramResult {
  readonly low: number;
  readonly high: number;
  readonly bins: readonly number[];
  readonly below: number;
  readonly above: number;
  /** What a ReLU would make zero. */
  readonly notPositive: number;
}
