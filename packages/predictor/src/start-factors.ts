// Where the fit of a low-rank predictor begins, and what a fitted one is at smaller ranks. A ReLU's neuron is active where
// its row of the gate (of `up` in a plain FFN) times x is above the threshold, so the best factors of that matrix, over
// inputs as large as they are, already tell most of it. Does not own the fit (layer-fit.ts).
import { Random } from '@relufy/train';
import type { LayerSamples } from './capture.js';
import type { Factors } from './layer-fit.js';
import type { Matrix } from './linear-weight.js';
import { lowRankFactors } from './low-rank.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** Logits of a neuron spread so far at the start. */
const startSpread = 2;
/** Multiplications that a layer's factors may take. */
const factorWork = 1e10;

export interface StartOptions {
  /** What decides on a neuron: [neurons, hidden]. */
  readonly judged: Matrix;
  /** Added to judged x before it is compared with 0: bias less the activation's threshold. */
  readonly offset: (neuron: number) => number;
  readonly rank: number;
  /** Half of the directions for each sign of z, so that b ReLU(a x) is what b a x was. */
  readonly relu: boolean;
  readonly seed: number;
}

/** Mean and root mean square of each input channel: [hidden]. */
export function inputSizes(
  { x }: Pick<LayerSamples, 'x'>,
  hidden: number,
): { readonly mean: Float64Array; readonly rms: Float64Array } {
  const [mean, square] = [new Float64Array(hidden), new Float64Array(hidden)];
  for (let at = 0; at < x.length; at += hidden)
    for (let i = 0; i < hidden; i++) {
      mean[i]! += x[at + i]!;
      square[i]! += x[at + i]! ** 2;
    }
  const tokens = x.length / hidden;
  return { mean: mean.map((sum) => sum / tokens), rms: square.map((sum) => Math.sqrt(sum / tokens + 1e-12)) };
}

export function startFactors(
  sizes: ReturnType<typeof inputSizes>,
  { judged, offset, rank, relu, seed }: StartOptions,
): Factors {
  const { rows: neurons, columns: hidden, values } = judged;
  const { mean, rms } = sizes;
  const scaled = values.map((value, at) => value * rms[at % hidden]!);
  const own = relu ? Math.max(1, Math.floor(rank / 2)) : rank;
  const rounds = Math.max(1, Math.min(8, Math.floor(factorWork / (4 * (own + 8) * values.length))));
  const { rank: found, left, right } = lowRankFactors({ rows: neurons, columns: hidden, values: scaled }, own, rounds);
  const gain = startSpread / Math.sqrt(scaled.reduce((sum, value) => sum + value * value, 0) / neurons + 1e-30);
  const random = new Random(seed, rank, hidden);
  // directions that the matrix does not have begin small
  const a = Float32Array.from({ length: rank * hidden }, () => 1e-3 * random.normal());
  const b = new Float32Array(neurons * rank);
  for (let r = 0; r < found; r++)
    for (const [at, sign] of relu && rank > 1
      ? ([
          [2 * r, 1],
          [2 * r + 1, -1],
        ] as const)
      : ([[r, 1]] as const)) {
      for (let i = 0; i < hidden; i++) a[at * hidden + i] = (sign * right[r * hidden + i]!) / rms[i]!;
      for (let n = 0; n < neurons; n++) b[n * rank + at] = sign * gain * left[n * found + r]!;
    }
  // what the factors leave out of the mean input, exactly
  const inner = Float64Array.from({ length: found }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < hidden; i++) sum += (right[r * hidden + i]! / rms[i]!) * mean[i]!;
    return sum;
  });
  const bias = Float32Array.from({ length: neurons }, (_, n) => {
    let sum = offset(n);
    for (let i = 0; i < hidden; i++) sum += values[n * hidden + i]! * mean[i]!;
    for (let r = 0; r < found; r++) sum -= left[n * found + r]! * inner[r]!;
    return gain * sum;
  });
  return { rank, a, b, bias };
}

/**
 * The same scores with directions in order of what they add over inputs of these sizes, so that the first r of them are the
 * best predictor of rank r that these factors have in them.
 */
export function ordered({ rank, a, b, bias }: Factors, { rms }: ReturnType<typeof inputSizes>): Factors {
  const hidden = a.length / rank;
  const neurons = b.length / rank;
  // a a' over the inputs' sizes: a = root turned, with orthogonal rows behind it
  const { values, vectors } = symmetricEigen(
    gram(rank, (r, s) => {
      let sum = 0;
      for (let i = 0; i < hidden; i++) sum += a[r * hidden + i]! * a[s * hidden + i]! * rms[i]! ** 2;
      return sum;
    }),
  );
  const roots = values.map((value) => Math.sqrt(Math.max(value, 1e-12 * values[0]!)));
  const turnedA = mix(a, hidden, vectors, (r) => 1 / roots[r]!);
  const turnedB = mixColumns(b, neurons, vectors, (r) => roots[r]!);
  const second = symmetricEigen(
    gram(rank, (r, s) => {
      let sum = 0;
      for (let n = 0; n < neurons; n++) sum += turnedB[n * rank + r]! * turnedB[n * rank + s]!;
      return sum;
    }),
  );
  return {
    ...{ rank, bias },
    a: mix(turnedA, hidden, second.vectors, () => 1),
    b: mixColumns(turnedB, neurons, second.vectors, () => 1),
  };
}

/** The first directions of ordered factors. */
export function truncated({ rank, a, b, bias }: Factors, to: number): Factors {
  const hidden = a.length / rank;
  const rows = b.length / rank;
  const short = new Float32Array(rows * to);
  for (let row = 0; row < rows; row++) short.set(b.subarray(row * rank, row * rank + to), row * to);
  return { rank: to, a: a.slice(0, to * hidden), b: short, bias };
}

const gram = (size: number, product: (r: number, s: number) => number): Float64Array[] => {
  const rows = Array.from({ length: size }, () => new Float64Array(size));
  for (let r = 0; r < size; r++)
    for (let s = 0; s <= r; s++) {
      const value = product(r, s);
      rows[r]![s] = value;
      rows[s]![r] = value;
    }
  return rows;
};

/** Rows of `matrix` [rank, width] mixed: row r of the result is vectors[r] of them, times a factor. */
function mix(
  matrix: Float32Array,
  width: number,
  vectors: readonly Float64Array[],
  factor: (r: number) => number,
): Float32Array {
  const out = new Float32Array(matrix.length);
  for (const [r, vector] of vectors.entries())
    for (const [s, weight] of vector.entries()) {
      const scaled = weight * factor(r);
      for (let i = 0; i < width; i++) out[r * width + i]! += scaled * matrix[s * width + i]!;
    }
  return out;
}

/** The same of columns: `matrix` is [rows, rank]. */
function mixColumns(
  matrix: Float32Array,
  rows: number,
  vectors: readonly Float64Array[],
  factor: (r: number) => number,
): Float32Array {
  const rank = vectors.length;
  const out = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++)
    for (const [r, vector] of vectors.entries()) {
      let sum = 0;
      for (let s = 0; s < rank; s++) sum += vector[s]! * matrix[row * rank + s]!;
      out[row * rank + r] = sum * factor(r);
    }
  return out;
}
