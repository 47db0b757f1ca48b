// Statistics that take values as they come, in memory that does not grow: mean and spread, a histogram over a fixed range,
// and quantiles of sizes whose range nobody knows before.

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

/** Bits of a float32 below its sign that tell bins apart: 8 of the exponent, 5 of the fraction, so 32 bins an octave. */
const magnitudeBits = 13;
/** Shares that a result names: enough for a curve, and both tails. */
const quantileShares = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];

/** Sizes >= 0 of any order: bins are as wide as 1/32 of what is in them, so a quantile is within 3.2 % of its value. */
export class Magnitudes {
  readonly #bins = new Float64Array(2 ** magnitudeBits);
  #zeros = 0;
  #count = 0;
  #sum = 0;
  #max = 0;

  add(values: Float32Array): void {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value === 0) {
        this.#zeros++;
        continue;
      }
      this.#bins[bits[i]! >>> (31 - magnitudeBits)]!++;
      this.#sum += value;
      if (value > this.#max) this.#max = value;
    }
    this.#count += values.length;
  }

  result(): MagnitudeResult {
    const others = this.#count - this.#zeros;
    return {
      zero: this.#count === 0 ? 0 : this.#zeros / this.#count,
      mean: others === 0 ? 0 : this.#sum / others,
      max: this.#max,
      quantiles: others === 0 ? [] : quantileShares.map((share) => [share, this.#quantile(share * others)]),
    };
  }

  /** The size that `rank` of those that are not zero lie below: a bin's are taken as spread evenly over it. */
  #quantile(rank: number): number {
    let before = 0;
    let bin = 0;
    for (; bin < this.#bins.length - 1 && before + this.#bins[bin]! < rank; bin++) before += this.#bins[bin]!;
    const [low, high] = [edgeOf(bin), edgeOf(bin + 1)];
    return Math.min(this.#max, low + ((rank - before) / Math.max(1, this.#bins[bin]!)) * (high - low));
  }
}

const edgeOf = (bin: number): number => new Float32Array(Uint32Array.of(bin << (31 - magnitudeBits)).buffer)[0]!;

export interface MagnitudeResult {
  /** Share of exact zeros; the rest is over the others. */
  readonly zero: number;
  readonly mean: number;
  readonly max: number;
  readonly quantiles: readonly (readonly [share: number, size: number])[];
}
