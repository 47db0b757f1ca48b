import { expect, test } from 'vitest';
import { compareRuns, mcnemar, quantile } from './compare.js';
import type { FinishedRun } from './result-files.js';

const run = (values: readonly number[], hash = 'same'): FinishedRun =>
  ({
    folder: 'run',
    scores: { format: 1, model: 'm', tasks: { t: { hash, metrics: { acc: [...values] } } } },
    results: { results: {}, configs: {}, higher_is_better: {}, model_name: 'm', relufy: { requests_per_second: 1 } },
  }) as FinishedRun;

test("McNemar's exact test", () => {
  expect(mcnemar(0, 0)).toBe(1);
  expect(mcnemar(3, 3)).toBe(1);
  // scipy.stats.binomtest(1, 10).pvalue, (2, 30), (400, 1000)
  expect(mcnemar(1, 9)).toBeCloseTo(0.021484375, 12);
  expect(mcnemar(28, 2)).toBeCloseTo(8.679926395416e-7, 15);
  expect(mcnemar(400, 600)).toBeCloseTo(2.7e-10, 11);
});

test('a difference has an interval and a p', () => {
  const a = Array.from({ length: 100 }, (_, i) => Number(i % 2 === 0));
  const b = a.map((value, i) => (i < 20 ? 1 : value));
  const [found] = compareRuns(run(a), run(b));
  expect(found).toMatchObject({ a: 0.5, b: 0.6, onlyA: 0, onlyB: 10 });
  expect(found?.difference).toBeCloseTo(0.1, 12);
  expect(found?.interval[0]).toBeGreaterThan(0.03);
  expect(found?.interval[1]).toBeLessThan(0.17);
  expect(found?.p).toBeCloseTo(2 * 0.5 ** 10, 12);
});

test('other questions are not compared', () => {
  expect(() => compareRuns(run([1]), run([1], 'other'))).toThrow('expected the same questions');
});

test('quantiles lie between neighbours', () => {
  expect(quantile([0, 1, 2, 3], 0.5)).toBe(1.5);
  expect(quantile([5], 0.9)).toBe(5);
});
