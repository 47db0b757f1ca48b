// CETT, the error that leaving out small neurons makes (ReLU^2 Wins, arXiv 2402.03804; Sparsing Law, arXiv 2411.02335):
// ||sum of left out neurons' outputs|| / ||output||, a mean over tokens. Each token gives the whole curve over
// thresholds: its neurons are added from the smallest on, and the norm is taken at each threshold that is passed. The
// papers' binary search multiplies by W_down some 16 times instead. Does not own where h comes from.

/** Thresholds on a neuron's magnitude |h_i| * ||w_i||: logarithmic, since magnitudes spread over decades. */
const gridSize = 1024;
/** Below this share of the largest magnitude of the first token. */
const decades = 6;

export interface CettPoint {
  readonly threshold: number;
  /** Mean over tokens. */
  readonly cett: number;
  /** Mean share of neurons that the threshold leaves out. */
  readonly sparsity: number;
}

/** ||w_i||, of neuron i's output weights as row i of [neurons, width]. */
export function neuronNorms(down: Float32Array, neurons: number): Float32Array {
  const width = down.length / neurons;
  return Float32Array.from({ length: neurons }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += down[i * width + j]! ** 2;
    return Math.sqrt(sum);
  });
}

/** Neuron i's output weights as row i of [neurons, width]. */
export class CettCurve {
  readonly #down: Float32Array;
  readonly #width: number;
  readonly #neurons: number;
  readonly norms: Float32Array;
  #grid: Float64Array | undefined;
  readonly #errorSums = new Float64Array(gridSize);
  readonly #outSums = new Float64Array(gridSize);
  #zeroSum = 0;
  #tokens = 0;

  constructor(down: Float32Array, neurons: number) {
    this.#down = down;
    this.#neurons = neurons;
    this.#width = down.length / neurons;
    this.norms = neuronNorms(down, neurons);
  }

  /** One token. One whose output is (nearly) zero is skipped: its relative error says nothing. */
  add(h: Float32Array): void {
    const magnitudes = this.norms.map((norm, i) => Math.abs(h[i]!) * norm);
    const order = Uint32Array.from(magnitudes.keys())
      .filter((i) => magnitudes[i]! > 0)
      .sort((a, b) => magnitudes[a]! - magnitudes[b]!);
    const largest = magnitudes[order.at(-1) ?? 0] ?? 0;
    if (!(largest > 0)) return;
    this.#grid ??= Float64Array.from(
      { length: gridSize },
      (_, i) => largest * 4 * 10 ** (-decades * (1 - i / (gridSize - 1))),
    );
    const sum = new Float64Array(this.#width);
    const errors = new Float64Array(gridSize);
    let at = 0;
    for (let point = 0; point < gridSize; point++) {
      const before = at;
      while (at < order.length && magnitudes[order[at]!]! < this.#grid[point]!) this.#accumulate(sum, h, order[at++]!);
      errors[point] = at === before && point > 0 ? errors[point - 1]! : norm(sum);
      this.#outSums[point]! += (this.#neurons - order.length + at) / this.#neurons;
    }
    while (at < order.length) this.#accumulate(sum, h, order[at++]!);
    const whole = norm(sum);
    for (let point = 0; point < gridSize; point++)
      this.#errorSums[point]! += whole > 1e-20 ? errors[point]! / whole : 0;
    this.#zeroSum += (this.#neurons - order.length) / this.#neurons;
    this.#tokens++;
  }

  #accumulate(sum: Float64Array, h: Float32Array, neuron: number): void {
    const from = neuron * this.#width;
    const value = h[neuron]!;
    for (let j = 0; j < sum.length; j++) sum[j]! += value * this.#down[from + j]!;
  }

  points(): CettPoint[] {
    const tokens = Math.max(1, this.#tokens);
    const zero = { threshold: 0, cett: 0, sparsity: this.#zeroSum / tokens };
    return [
      zero,
      ...Array.from(this.#grid ?? [], (threshold, i) => ({
        threshold,
        cett: this.#errorSums[i]! / tokens,
        sparsity: this.#outSums[i]! / tokens,
      })),
    ];
  }

  /** The largest threshold of the grid whose mean CETT is within the target; 0 leaves out exact zeros only. */
  thresholdFor(target: number): CettPoint {
    return this.points().reduce((best, point) => (point.cett <= target ? point : best));
  }
}

function norm(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return Math.sqrt(sum);
}
