import { expect, test } from 'vitest';
import { fitsWildcard } from './wildcard.js';

test.each([
  ['mmlu_*', ['mmlu_', 'mmlu_law'], ['mmlu', 'a mmlu_law']],
  ['*_en', ['_en', 'x_en', 'x_en_en'], ['_en_', 'en']],
  ['a*b*c', ['abc', 'a1b2c', 'abbcc', 'abcbc'], ['ac', 'acb', 'abcd', 'bac']],
  ['*', ['', 'anything'], []],
  ['a*a', ['aa', 'aba'], ['a']],
  ['**x**', ['x', 'axa'], ['', 'a']],
  ['a.c*', ['a.c', 'a.cd'], ['abc']],
  ['plain', ['plain'], ['plain ', 'plai']],
])('%s', (wildcard, fitting, others) => {
  for (const name of fitting) expect(fitsWildcard(wildcard, name), name).toBe(true);
  for (const name of others) expect(fitsWildcard(wildcard, name), name).toBe(false);
});

test('many stars take no longer than few', () => {
  const began = process.cpuUsage();
  expect(fitsWildcard(`${'*a'.repeat(200)}*b`, 'a'.repeat(100_000))).toBe(false);
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(1);
});
