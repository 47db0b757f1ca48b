// The mean over tokens of each token's quantiles (sparse RWKV, arXiv 2501.16337): what is not above it is about the same share
// of every token, whatever the token's scale. One pass and memory for one row, since a mean of interpolated quantiles is what
// is interpolated between means. Does not own where the rows come from.

export class OrderStatistics {
  /** A number came that is none, or infinite. */
  isBroken = false;
  readonly #sums: Float64Array;
  readonly #row: Float32Array;
  #rows = 0;

  constructor(width: number) {
    this.#sums = new Float64Array(width);
    this.#row = new Float32Array(width);
  }

  /** [rows, width] numbers, whose magnitudes count. */
  add(values: Float32Array): void {
    const width = this.#row.length;
    for (let at = 0; at < values.length; at += width, this.#rows++) {
      for (let i = 0; i < width; i++) this.#row[i] = Math.abs(values[at + i]!);
      this.#row.sort();
      // NaN comes last, behind infinity
      this.isBroken ||= !Number.isFinite(this.#row[width - 1]);
      for (let i = 0; i < width; i++) this.#sums[i]! += this.#row[i]!;
    }
  }

  /** Linear between neighbours, as `torch.quantile` has it. */
  quantile(share: number): number {
    const last = this.#sums.length - 1;
    const place = Math.min(1, Math.max(0, share)) * last;
    const below = Math.floor(place);
    const low = this.#sums[below]!;
    const high = this.#sums[Math.min(last, below + 1)]!;
    return (low + (place - below) * (high - low)) / Math.max(1, this.#rows);
  }
}
