// Differential evolution finds a minimum that is known, group by group, and the same one again; eigenvectors are eigenvectors.
import { expect, test } from 'vitest';
import { evolve } from './evolution.js';
import { symmetricEigen } from './low-rank.js';

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

test('eigenvectors of a symmetric matrix', () => {
  const matrix = [
    [4, 1, -2, 0],
    [1, 3, 0, 1],
    [-2, 0, 5, 2],
    [0, 1, 2, 1],
  ];
  const { values, vectors } = symmetricEigen(matrix);
  expect([...values].sort((a, b) => b - a)).toEqual(values);
  for (const [index, vector] of vectors.entries())
    for (const [row, line] of matrix.entries()) {
      const image = line.reduce((sum, value, i) => sum + value * vector[i]!, 0);
      expect(image).toBeCloseTo(values[index]! * vector[row]!, 12);
    }
});
