// The best approximation of a matrix by one of small rank, by subspace iteration: W's largest singular directions, found by
// multiplying with W and its transpose in turn. Plain loops in f64; ranks are small. Does not own where it stands in for a
// weight (methods.ts).
import { Random } from '@relufy/train';
import type { Matrix } from './linear-weight.js';

/** Directions beyond the rank, which make the last ones converge. */
const spare = 8;
const mostRounds = 60;
/** Of the squared singular values' sum. */
const tolerance = 1e-9;

export interface LowRankFactors {
  readonly rank: number;
  /** U S: [rows, rank]. */
  readonly left: Float32Array;
  /** V^T: [rank, columns]. */
  readonly right: Float32Array;
}

/** `rank` is cut to what the matrix has. Deterministic. `rounds`: at most so many, where a beginning is enough. */
export function lowRankFactors({ rows, columns, values }: Matrix, wanted: number, rounds = mostRounds): LowRankFactors {
  const rank = Math.min(wanted, rows, columns);
  const width = Math.min(rank + spare, rows, columns);
  const random = new Random(rows, columns);
  /** Directions as rows. */
  let right = orthogonal(
    Array.from({ length: width }, () => Float64Array.from({ length: columns }, () => random.normal())),
  );
  let energy = 0;
  for (let round = 0; round < rounds; round++) {
    const left = orthogonal(right.map((direction) => times(values, rows, columns, direction)));
    right = left.map((direction) => timesTransposed(values, rows, columns, direction));
    const before = energy;
    // the squared lengths of W^T u over an orthogonal basis
    energy = right
      .map(squared)
      .sort((a, b) => b - a)
      .slice(0, rank)
      .reduce((sum, one) => sum + one, 0);
    right = orthogonal(right);
    if (Math.abs(energy - before) <= tolerance * energy) break;
  }
  const images = right.map((direction) => times(values, rows, columns, direction));
  const products = images.map((one) => images.map((other) => dot(one, other)));
  const { vectors } = symmetricEigen(products);
  const left = new Float32Array(rows * rank);
  const turned = new Float32Array(rank * columns);
  for (let r = 0; r < rank; r++) {
    const mix = vectors[r] as Float64Array;
    for (let i = 0; i < width; i++) {
      const [weight, image, direction] = [mix[i]!, images[i]!, right[i]!];
      for (let row = 0; row < rows; row++) left[row * rank + r]! += weight * image[row]!;
      for (let column = 0; column < columns; column++) turned[r * columns + column]! += weight * direction[column]!;
    }
  }
  return { rank, left, right: turned };
}

/** Eigenvectors of a symmetric matrix as rows, largest eigenvalue first (cyclic Jacobi rotations). */
export function symmetricEigen(matrix: readonly ArrayLike<number>[]): {
  readonly values: number[];
  readonly vectors: Float64Array[];
} {
  const size = matrix.length;
  const a = matrix.map((row) => Float64Array.from(row));
  const vectors = a.map((_, i) => Float64Array.from({ length: size }, (_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    let all = 0;
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) {
        all += a[i]![j]! ** 2;
        if (i !== j) off += a[i]![j]! ** 2;
      }
    if (off <= 1e-28 * all) break;
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) rotate(a, vectors, p, q);
  }
  const order = a.map((_, i) => i).sort((i, j) => a[j]![j]! - a[i]![i]!);
  return { values: order.map((i) => a[i]![i]!), vectors: order.map((i) => vectors[i]!) };
}

/** Makes a[p][q] zero. */
function rotate(a: Float64Array[], vectors: Float64Array[], p: number, q: number): void {
  const apq = a[p]![q]!;
  if (apq === 0) return;
  const theta = (a[q]![q]! - a[p]![p]!) / (2 * apq);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (const row of a) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
  for (const rows of [a, vectors]) {
    const [first, second] = [rows[p]!, rows[q]!];
    for (let i = 0; i < first.length; i++)
      [first[i], second[i]] = [c * first[i]! - s * second[i]!, s * first[i]! + c * second[i]!];
  }
}

/** Gram-Schmidt, twice for accuracy. A direction that the others span becomes zero. */
function orthogonal(directions: readonly Float64Array[]): Float64Array[] {
  const out: Float64Array[] = [];
  for (const direction of directions) {
    const own = Float64Array.from(direction);
    const before = Math.sqrt(squared(own));
    for (let pass = 0; pass < 2; pass++)
      for (const other of out) {
        const along = dot(own, other);
        for (let i = 0; i < own.length; i++) own[i]! -= along * other[i]!;
      }
    const length = Math.sqrt(squared(own));
    const scale = length > 1e-12 * before ? 1 / length : 0;
    out.push(own.map((value) => value * scale));
  }
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

const squared = (a: Float64Array): number => dot(a, a);

function times(values: Float32Array, rows: number, columns: number, x: Float64Array): Float64Array {
  const out = new Float64Array(rows);
  for (let row = 0, at = 0; row < rows; row++) {
    let sum = 0;
    for (let column = 0; column < columns; column++, at++) sum += values[at]! * x[column]!;
    out[row] = sum;
  }
  return out;
}

function timesTransposed(values: Float32Array, rows: number, columns: number, x: Float64Array): Float64Array {
  const out = new Float64Array(columns);
  for (let row = 0, at = 0; row < rows; row++) {
    const weight = x[row]!;
    for (let column = 0; column < columns; column++, at++) out[column]! += weight * values[at]!;
  }
  return out;
}
