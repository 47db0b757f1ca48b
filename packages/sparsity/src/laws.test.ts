import { expect, test } from 'vitest';
import { activationLaws, activationRatioAfter, proSparseSparsity } from './laws.js';

test.each([
  ['relu', '0.8B', 1, 0.1024],
  ['relu', '0.8B', 10, 0.1002],
  ['relu', '0.8B', 100, 0.0853],
  ['relu', '2.4B', 300, 0.0768],
  ['relu', '2.4B', 800, 0.0652],
  ['relu', '0.1B', 1, 0.1016],
  ['relu', '0.1B', 10, 0.0788],
  ['relu', '0.1B', 40, 0.0709],
  ['silu', '0.1B', 1, 0.307],
  ['silu', '0.1B', 10, 0.375],
  ['silu', '0.1B', 40, 0.392],
] as const)('%s %s after %d billion tokens', (activation, size, billions, ratio) => {
  const law = activationLaws[activation][size];
  if (law === undefined) throw new Error(size);
  expect(Math.abs(activationRatioAfter(billions * 1e9, law) - ratio)).toBeLessThan(0.0006);
});

test.each([
  [0.01, 0.789],
  [0.05, 0.84],
  [0.1, 0.864],
  [0.2, 0.8893],
  [0.5, 0.922],
])('an L1 factor of %d', (factor, sparsity) => {
  expect(proSparseSparsity(factor)).toBeCloseTo(sparsity, 3);
});
