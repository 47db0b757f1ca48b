import { expect, test } from 'vitest';
import { bytes, duration, percent, rate } from './format.js';

test('numbers as people read them', () => {
  expect([0, 999, 1000, 17_842_560, 999_600, 2 ** 32].map(bytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 KB',
    '17.8 MB',
    '1.00 MB',
    '4.29 GB',
  ]);
  expect([0.077, 0.5, 1].map(percent)).toEqual(['7.7 %', '50 %', '100 %']);
  expect([0.2, 42.26, 512.4].map(rate)).toEqual(['0.2', '42.3', '512']);
  expect([0, 59.2, 125, 3700].map(duration)).toEqual(['1 s', '1 min 0 s', '2 min 5 s', '1 h 1 min']);
});
