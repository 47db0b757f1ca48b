// Sets of active neurons as bits, and what follows from them token by token: how often each fires, how slowly the union
// grows, how much of a set the next token uses again. One layer each; memory does not grow with the text.

/** Bits of one set: neuron i is bit i % 32 of word i / 32. */
export type Bits = Uint32Array;

export function popcount(bits: Bits): number {
  let count = 0;
  for (let i = 0; i < bits.length; i++) count += bitsOf(bits[i]!);
  return count;
}

function bitsOf(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** What makes a neuron active: |h| * norm >= threshold, and never an exact zero. */
export interface Activity {
  readonly threshold: number;
  readonly norms?: Float32Array;
}

/** Adds a token's active neurons to a set, and to `counts`. Gives how many they are. */
export function markActive(bits: Bits, h: Float32Array, { threshold, norms }: Activity, counts?: Float64Array): number {
  let active = 0;
  for (let i = 0; i < h.length; i++) {
    const size = Math.abs(h[i]!) * (norms?.[i] ?? 1);
    if (size === 0 || size < threshold) continue;
    bits[i >>> 5]! |= 1 << (i & 31);
    if (counts) counts[i]!++;
    active++;
  }
  return active;
}

/** Unions of the last 1..32 tokens. */
export const longestWindow = 32;

export class LayerUse {
  readonly #neurons: number;
  readonly #counts: Float64Array;
  readonly #recent: Bits[];
  readonly #union: Bits;
  readonly #window: Bits;
  readonly #windowSums = new Float64Array(longestWindow);
  readonly #windowCounts = new Float64Array(longestWindow);
  readonly #unusedSums: Float64Array;
  readonly #randomSums: Float64Array;
  readonly #curveCounts: Float64Array;
  #tokens = 0;
  #activeSum = 0;
  /** Of the sequence that runs. */
  #position = 0;
  #randomUnused = 1;
  #overlapSum = 0;
  #overlapCount = 0;

  constructor(neurons: number, longestSequence: number) {
    const words = Math.ceil(neurons / 32);
    this.#neurons = neurons;
    this.#counts = new Float64Array(neurons);
    this.#recent = Array.from({ length: longestWindow }, () => new Uint32Array(words));
    this.#union = new Uint32Array(words);
    this.#window = new Uint32Array(words);
    this.#unusedSums = new Float64Array(longestSequence);
    this.#randomSums = new Float64Array(longestSequence);
    this.#curveCounts = new Float64Array(longestSequence);
  }

  /** A text begins: nothing before it counts as recent. */
  startSequence(): void {
    this.#position = 0;
    this.#randomUnused = 1;
    this.#union.fill(0);
  }

  /** One token. Gives how many neurons are active. */
  add(h: Float32Array, activity: Activity): number {
    const bits = this.#recent[this.#position % longestWindow]!;
    bits.fill(0);
    const active = markActive(bits, h, activity, this.#counts);
    this.#tokens++;
    this.#activeSum += active;
    this.#unite(bits, active);
    this.#slide();
    this.#position++;
    return active;
  }

  #unite(bits: Bits, active: number): void {
    for (let i = 0; i < bits.length; i++) this.#union[i]! |= bits[i]!;
    this.#randomUnused *= 1 - active / this.#neurons;
    const at = this.#position;
    if (at >= this.#unusedSums.length) return;
    this.#unusedSums[at]! += 1 - popcount(this.#union) / this.#neurons;
    this.#randomSums[at]! += this.#randomUnused;
    this.#curveCounts[at]!++;
  }

  #slide(): void {
    const newest = this.#recent[this.#position % longestWindow]!;
    this.#window.set(newest);
    for (let back = 0; back <= Math.min(this.#position, longestWindow - 1); back++) {
      const bits = this.#recent[(this.#position - back) % longestWindow]!;
      for (let i = 0; i < bits.length; i++) this.#window[i]! |= bits[i]!;
      this.#windowSums[back]! += popcount(this.#window) / this.#neurons;
      this.#windowCounts[back]!++;
      if (back !== 1) continue;
      let shared = 0;
      for (let i = 0; i < bits.length; i++) shared += bitsOf(bits[i]! & newest[i]!);
      const now = popcount(newest);
      if (now === 0) continue;
      this.#overlapSum += shared / now;
      this.#overlapCount++;
    }
  }

  /** How often each neuron fired. */
  get counts(): Float64Array {
    return this.#counts;
  }

  result(): LayerUseResult {
    const { tokens, sorted } = { tokens: Math.max(1, this.#tokens), sorted: this.#counts.slice().sort().reverse() };
    const total = this.#activeSum;
    let covered = 0;
    let hot = 0;
    while (hot < sorted.length && covered < 0.8 * total) covered += sorted[hot++]!;
    const density = total / tokens / this.#neurons;
    const length = this.#curveCounts.indexOf(0);
    const curve = (sums: Float64Array) =>
      Array.from(sums.subarray(0, length < 0 ? sums.length : length), (sum, at) => sum / this.#curveCounts[at]!);
    const points = 100;
    return {
      neurons: this.#neurons,
      density,
      dead: this.#counts.filter((count) => count === 0).length,
      rare: this.#counts.filter((count) => count < 0.001 * tokens).length,
      alwaysOn: this.#counts.filter((count) => count === this.#tokens).length,
      hotShare80: total === 0 ? 0 : hot / this.#neurons,
      hotCurve: Array.from({ length: points + 1 }, (_, i) => {
        const end = Math.round((i / points) * sorted.length);
        return total === 0 ? 0 : sorted.subarray(0, end).reduce((sum, count) => sum + count, 0) / total;
      }),
      aggregatedUnused: curve(this.#unusedSums),
      randomUnused: curve(this.#randomSums),
      windowUnion: Array.from(this.#windowSums, (sum, at) => sum / Math.max(1, this.#windowCounts[at]!)),
      reuseNext: this.#overlapCount === 0 ? 0 : this.#overlapSum / this.#overlapCount,
    };
  }
}

/** What a layer's neurons do over a text. Shares of all neurons unless said otherwise. */
export interface LayerUseResult {
  readonly neurons: number;
  readonly density: number;
  /** Neurons that never fired; that fired for less than 0.1 % of tokens; that always fired. */
  readonly dead: number;
  readonly rare: number;
  readonly alwaysOn: number;
  /** The smallest share of neurons that makes 80 % of activations. */
  readonly hotShare80: number;
  /** Share of activations by the hottest 0 %, 1 %, ... 100 % of neurons. */
  readonly hotCurve: readonly number[];
  /** Neurons that none of the first t tokens used, and the same for random sets as large: t = 1, 2, ... */
  readonly aggregatedUnused: readonly number[];
  readonly randomUnused: readonly number[];
  /** Neurons that any of gamma consecutive tokens uses: gamma = 1..32. */
  readonly windowUnion: readonly number[];
  /** Of a token's neurons, those that the token before used too. */
  readonly reuseNext: number;
}
