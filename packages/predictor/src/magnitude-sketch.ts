// How magnitudes are spread, in one pass and bounded memory: exact while they are few, then counted in bins that are a
// relative 2^-12 wide. The same numbers in the same order give the same answers. Does not own where they come from.

/** Magnitudes that are kept one by one: small models and small texts are exact. */
const exactCount = 1 << 16;
/** Bits of an f32 below its bin: 12 bits of mantissa stay. */
const shift = 11;
/** The bins begin at 2^-32 and end at 2^16; what lies outside is counted in the first and the last. */
const [firstExponent, lastExponent] = [-32, 16];
const firstKey = ((firstExponent + 127) << 23) >>> shift;
const bins = ((lastExponent - firstExponent) << 23) >>> shift;
const infinity = 0x7f800000;

const one = new Float32Array(1);
const oneBits = new Uint32Array(one.buffer);

/** The smallest magnitude of a bin. */
function edgeOf(bin: number): number {
  if (bin === 0) return 0;
  oneBits[0] = (bin + firstKey) << shift;
  return one[0] as number;
}

const binOf = (bits: number): number => Math.min(bins - 1, Math.max(0, (bits >>> shift) - firstKey));

export class MagnitudeSketch {
  /** Of all that were added, zeros too. */
  count = 0;
  /** A number came that is none, or infinite. */
  isBroken = false;
  #values: Float32Array | undefined = new Float32Array(256);
  #weights: Float64Array | undefined;
  #counts: Uint32Array | Float64Array | undefined;
  #total = 0;
  readonly #weighted: boolean;

  /** `weighted`: each magnitude counts for so much; else for 1. */
  constructor(weighted = false) {
    this.#weighted = weighted;
    if (weighted) this.#weights = new Float64Array(256);
  }

  /** |x| of every number. */
  add(values: Float32Array): void {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    this.count += values.length;
    this.#total += values.length;
    let at = 0;
    for (; at < bits.length && this.#counts === undefined; at++) this.#addExact(bits[at]! & 0x7fffffff, 1);
    const counts = this.#counts;
    if (counts === undefined) return;
    let broken = false;
    for (; at < bits.length; at++) {
      const magnitude = bits[at]! & 0x7fffffff;
      broken ||= magnitude >= infinity;
      counts[binOf(magnitude)]!++;
    }
    this.isBroken ||= broken;
  }

  /** One magnitude that counts for `weight`. */
  addWeighted(value: number, weight: number): void {
    one[0] = Math.abs(value);
    this.count++;
    this.#total += weight;
    if (this.#counts === undefined) this.#addExact(oneBits[0] as number, weight);
    else this.#counts[binOf(oneBits[0] as number)]! += weight;
  }

  #held = 0;

  #addExact(bits: number, weight: number): void {
    if (bits >= infinity) this.isBroken = true;
    if (this.#held === exactCount) {
      this.#spill();
      this.#counts![binOf(bits)]! += weight;
      return;
    }
    if (this.#held === this.#values!.length) this.#grow();
    new Uint32Array(this.#values!.buffer)[this.#held] = bits;
    if (this.#weights) this.#weights[this.#held] = weight;
    this.#held++;
  }

  #grow(): void {
    const values = new Float32Array(this.#values!.length * 2);
    values.set(this.#values!);
    this.#values = values;
    if (this.#weights === undefined) return;
    const weights = new Float64Array(values.length);
    weights.set(this.#weights);
    this.#weights = weights;
  }

  #spill(): void {
    const counts = this.#weighted ? new Float64Array(bins) : new Uint32Array(bins);
    const bits = new Uint32Array(this.#values!.buffer);
    for (let i = 0; i < this.#held; i++) counts[binOf(bits[i]!)]! += this.#weights?.[i] ?? 1;
    this.#counts = counts;
    this.#values = undefined;
    this.#weights = undefined;
  }

  /** The k-th smallest of N, k = floor(N s), counted from 1; 0 for k = 0. Within a bin between its edges. */
  quantile(share: number): number {
    const k = Math.floor(this.count * share + 1e-9);
    if (k === 0) return 0;
    if (this.#values) return this.#values.slice(0, this.#held).sort()[k - 1] as number;
    let below = 0;
    for (let bin = 0; bin < bins; bin++) {
      const here = this.#counts![bin]!;
      if (below + here >= k) return Math.fround(edgeOf(bin) + ((edgeOf(bin + 1) - edgeOf(bin)) * (k - below)) / here);
      below += here;
    }
    return edgeOf(bins);
  }

  /**
   * The largest threshold such that the weights of all magnitudes below it add up to at most `limit`. Weights may be
   * negative: then sums rise and fall, and the last place counts. Infinite where all together are within the limit.
   */
  crossing(limit: number): number {
    let [sum, found] = [0, 0];
    const pass = (magnitude: number, weight: number) => {
      // whatever lies at the threshold is not below it
      if (sum <= limit) found = magnitude;
      sum += weight;
    };
    if (this.#values) {
      const [values, weights] = [this.#values, this.#weights];
      const order = Uint32Array.from({ length: this.#held }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
      for (const i of order) pass(values[i] as number, weights?.[i] ?? 1);
    } else for (let bin = 0; bin < bins; bin++) pass(edgeOf(bin), this.#counts![bin]!);
    return sum <= limit ? Number.POSITIVE_INFINITY : found;
  }

  /** The sum of squares of all magnitudes up to a threshold, over that of all. */
  energyBelow(threshold: number): number {
    let [below, all] = [0, 0];
    const pass = (magnitude: number, count: number) => {
      const energy = magnitude * magnitude * count;
      all += energy;
      if (magnitude <= threshold) below += energy;
    };
    if (this.#values) for (const value of this.#values.subarray(0, this.#held)) pass(value, 1);
    else for (let bin = 0; bin < bins; bin++) pass((edgeOf(bin) + edgeOf(bin + 1)) / 2, this.#counts![bin]!);
    return all > 0 ? below / all : 0;
  }

  /** The sum of all weights. */
  get total(): number {
    return this.#total;
  }
}
