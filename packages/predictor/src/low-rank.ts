// The best approximation of a matrix by one of smaller rank. A small rank by subspace iteration: W's largest singular directions,
// found by multiplying with W and its transpose in turn; a large one from the eigenvectors of W^T W or W W^T, whichever is
// smaller, which gives all directions at once. Plain loops in f64. Does not own where it stands in for a weight (r-sparse.ts).
import { Random } from '@relufy/train';
import type { Matrix } from './linear-weight.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** Directions beyond the rank, which make the last ones converge. */
const spare = 8;
const mostRounds = 60;
/** Of the squared singular values' sum. */
const tolerance = 1e-9;
/** From this share of all directions on, all of them are found at once. */
const manyRanks = 0.15;

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
  if (rounds === mostRounds && rank > manyRanks * Math.min(rows, columns))
    return fromGram({ rows, columns, values }, rank);
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

function fromGram({ rows, columns, values }: Matrix, rank: number): LowRankFactors {
  const wide = columns > rows;
  const { vectors } = symmetricEigen(wide ? outer(values, rows, columns) : inner(values, rows, columns));
  const left = new Float32Array(rows * rank);
  const right = new Float32Array(rank * columns);
  for (const [r, direction] of vectors.slice(0, rank).entries()) {
    const image = wide ? timesTransposed(values, rows, columns, direction) : times(values, rows, columns, direction);
    // what a direction of the other side is long: the singular value
    const size = wide ? Math.sqrt(squared(image)) : 1;
    const [from, to] = wide ? [direction, image] : [image, direction];
    for (let row = 0; row < rows; row++) left[row * rank + r] = from[row]! * size;
    for (let column = 0; column < columns; column++) right[r * columns + column] = size > 0 ? to[column]! / size : 0;
  }
  return { rank, left, right };
}

/** W^T W. */
function inner(values: Float32Array, rows: number, columns: number): Float64Array[] {
  const sums = Array.from({ length: columns }, () => new Float64Array(columns));
  for (let row = 0; row < rows; row++) {
    const own = Float64Array.from(values.subarray(row * columns, (row + 1) * columns));
    for (let i = 0; i < columns; i++) {
      const [sum, value] = [sums[i]!, own[i]!];
      for (let j = 0; j <= i; j++) sum[j]! += value * own[j]!;
    }
  }
  return mirrored(sums);
}

/** W W^T. */
function outer(values: Float32Array, rows: number, columns: number): Float64Array[] {
  const all = Array.from({ length: rows }, (_, row) =>
    Float64Array.from(values.subarray(row * columns, (row + 1) * columns)),
  );
  return mirrored(all.map((one, i) => Float64Array.from({ length: rows }, (_, j) => (j <= i ? dot(one, all[j]!) : 0))));
}

function mirrored(lower: Float64Array[]): Float64Array[] {
  for (const [i, row] of lower.entries()) for (let j = 0; j < i; j++) lower[j]![i] = row[j]!;
  return lower;
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
