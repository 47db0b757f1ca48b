// Figures derived from the formulas of ReLU Strikes Back by others.
import { expect, test } from 'vitest';
import { bestGamma, overDenseDecoding, overDenseSpeculation, overSparseDecoding } from './speculative.js';

test('speculative decoding: the figures that the digest derives', () => {
  expect(overDenseSpeculation({ c: 0.02, gamma: 16, unread: 0.2806 })).toBeCloseTo(1.26996, 5);
  const plain = { c: 0.02, unread: 0, acceptance: 0.8 };
  expect(overDenseDecoding({ ...plain, gamma: 11 })).toBeCloseTo(3.81672, 5);
  expect(overDenseDecoding({ ...plain, gamma: 16 })).toBeCloseTo(3.70258, 5);
  expect(overDenseDecoding({ ...plain, gamma: 16, unread: 0.2806 })).toBeCloseTo(4.70215, 5);
});

test.each([
  [0.6, 6, 2.17],
  [0.7, 8, 2.758],
  [0.8, 11, 3.817],
  [0.9, 19, 6.365],
])('with a dense target and %d accepted, %i drafted tokens are best', (acceptance, gamma, speedUp) => {
  const best = bestGamma(new Array(32).fill(0), { c: 0.02, acceptance });
  expect(best.gamma).toBe(gamma);
  expect(best.speedUp).toBeCloseTo(speedUp, 3);
});

test('a target that is sparse for one token only gains less than a dense one, and may lose', () => {
  const options = { c: 0.02, gamma: 4, acceptance: 0.5, unread: 0.1 };
  expect(overSparseDecoding({ ...options, unreadOne: 0 })).toBe(overDenseDecoding(options));
  expect(overSparseDecoding({ ...options, unreadOne: 0.6 })).toBeCloseTo((0.4 * (1 - 0.5 ** 5)) / (0.5 * 0.98), 12);
  expect(overSparseDecoding({ ...options, unreadOne: 0.6 })).toBeLessThan(1);
});
