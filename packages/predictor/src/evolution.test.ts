// Differential evolution finds a minimum that is known, group by group, and the same one again; eigenvectors are eigenvectors, and
// factors of small rank the best there are, whichever way they are found.
import { expect, test } from 'vitest';
import { evolve, trialsOf } from './evolution.js';
import { lowRankFactors } from './low-rank.js';
import { symmetricEigen } from './symmetric-eigen.js';

const target = [0.9, 0.1, 0.6, 0.35];
const cost = async (vector: readonly number[]) => vector.reduce((sum, value, i) => sum + (value - target[i]!) ** 2, 0);

test('finds a minimum, seeded', async () => {
  const start = [0.5, 0.5, 0.5, 0.5];
  for (const group of [2, 4]) {
    const options = { group, population: 16, generations: 24, seed: 5, spread: 0.5 };
    const found = await evolve(start, cost, options);
    expect(found.cost).toBeLessThan(0.02);
    expect(found.cost).toBe(await cost(found.best));
    expect(await evolve(start, cost, options)).toEqual(found);
  }
});

test('draws from anywhere as R-Sparse does: never worse than the start or a drawn vector, as many trials as it says', async () => {
  const start = [1, 1, 1, 1];
  const options = { group: 2, population: 8, generations: 6, seed: 2, spread: 'anywhere' } as const;
  const seen: (readonly number[])[] = [];
  const counted = async (vector: readonly number[]) => {
    seen.push(vector);
    return cost(vector);
  };
  const found = await evolve(start, counted, options);
  expect(found.trials).toBe(trialsOf(4, options));
  expect(seen).toHaveLength(found.trials);
  expect(seen[0]).toEqual(start);
  expect(found.cost).toBe(Math.min(...(await Promise.all(seen.map(cost)))));
  expect(found.cost).toBeLessThan(0.1);
  // a group changes by itself: behind the two first vectors no two numbers of both groups ever change together
  const first = seen.slice(2, 2 + 7 + 8 * 6);
  expect(new Set(first.map((vector) => vector.slice(2).join())).size).toBe(1);
});

test('is never worse than the start, and stays within 0 and 1', async () => {
  const outside = async (vector: readonly number[]) => {
    for (const value of vector) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    return cost(vector);
  };
  const found = await evolve(target, outside, { population: 6, generations: 3, seed: 1, spread: 1 });
  expect(found.best).toEqual(target);
});

/** Symmetric; of an odd size one row and column are zero. */
function symmetric(size: number): number[][] {
  const at = (i: number, j: number) => (size % 2 === 1 && (i === 1 || j === 1) ? 0 : Math.sin(i * j + i + j));
  return Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => at(i, j)));
}

test.each([1, 2, 3, 8, 41, 90])('eigenvectors of a symmetric matrix of %d rows', (size) => {
  const matrix = symmetric(size);
  const { values, vectors } = symmetricEigen(matrix);
  expect([...values].sort((a, b) => b - a)).toEqual(values);
  expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(
    matrix.reduce((sum, row, i) => sum + row[i]!, 0),
    10,
  );
  for (const [index, vector] of vectors.entries()) {
    for (const [row, line] of matrix.entries()) {
      const image = line.reduce((sum, value, i) => sum + value * vector[i]!, 0);
      expect(image).toBeCloseTo(values[index]! * vector[row]!, 10);
    }
    for (const [other, second] of vectors.entries())
      expect(vector.reduce((sum, value, i) => sum + value * second[i]!, 0)).toBeCloseTo(index === other ? 1 : 0, 10);
  }
});

test.each([
  [12, 40],
  [40, 12],
  [24, 24],
])(
  'a matrix of %d rows and %d columns: few directions by iteration, many at once, all of them the matrix',
  (rows, columns) => {
    const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 7)));
    const errorOf = (rank: number, rounds?: number) => {
      const { left, right, rank: own } = lowRankFactors({ rows, columns, values }, rank, rounds);
      let error = 0;
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          let sum = 0;
          for (let r = 0; r < own; r++) sum += left[row * own + r]! * right[r * columns + column]!;
          error += (values[row * columns + column]! - sum) ** 2;
        }
      return error;
    };
    const whole = Math.min(rows, columns);
    expect(errorOf(whole)).toBeLessThan(1e-6);
    const errors = [2, 4, 6, 8].map((rank) => errorOf(rank));
    expect([...errors].sort((a, b) => b - a)).toEqual(errors);
    // 59 rounds are as good as it gets, and not asked for all directions
    for (const [at, rank] of [2, 4, 6, 8].entries()) expect(errors[at]! / errorOf(rank, 59)).toBeCloseTo(1, 4);
  },
);
