// How many rows of prompts go beside answers, by times that a formula gives.
import { expect, test } from 'vitest';
import { StepBudget } from './step-budget.js';

/** Steps of 10 ms, by themselves and then beside a prompt whose rows take so long: those with rows of it. */
function run(
  msOf: (rows: number) => number,
  steps: number,
  noise: () => number = () => 1,
): { readonly rows: number; readonly ms: number }[] {
  const budget = new StepBudget();
  for (let i = 0; i < 8; i++) budget.took(10 * noise(), 1, 0);
  return Array.from({ length: steps }, () => {
    const rows = budget.promptRows(1);
    const ms = (rows === 0 ? 10 : 10 + msOf(rows)) * noise();
    budget.took(ms, 1, rows);
    return { rows, ms };
  }).filter(({ rows }) => rows > 0);
}

/** [0, 1), the same ones each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
const share = (values: readonly number[], is: (value: number) => boolean) => values.filter(is).length / values.length;

test('a step comes to twice the time of one without a prompt and more, and not to three times', () => {
  for (const each of [0.02, 0.1, 0.5, 2, 5]) {
    const found = run((rows) => rows * each, 600).map(({ ms }) => ms);
    expect(median(found.slice(300))).toBeGreaterThanOrEqual(20);
    expect(Math.max(...found)).toBeLessThan(30);
  }
});

test('no fewer than one row, however long it takes', () => {
  expect(
    new Set(
      run((rows) => rows * 50, 100)
        .map(({ rows }) => rows)
        .slice(5),
    ),
  ).toEqual(new Set([1]));
});

test('where rows become dear all at once, no step takes in many more than the one before, and few are long', () => {
  const found = run((rows) => (rows < 12 ? rows / 2 : 20 + rows), 600);
  for (const [i, { rows }] of found.entries())
    if (i > 0) expect(rows).toBeLessThanOrEqual(1.25 * (found[i - 1]?.rows as number) + 1);
  expect(
    share(
      found.map(({ ms }) => ms),
      (ms) => ms > 30,
    ),
  ).toBeLessThan(0.06);
});

test('on a machine that holds steps up, about one in a hundred takes three times as long as one without', () => {
  const random = numbers(5);
  // a tenth to each side, and one in two hundred up to three times as long
  const noise = () => (0.9 + 0.2 * random()) * (random() < 0.005 ? 1 + 2 * random() : 1);
  const found = run((rows) => rows * 2, 2000, noise);
  expect(
    share(
      found.map(({ ms }) => ms),
      (ms) => ms > 30,
    ),
  ).toBeLessThan(0.012);
  expect(median(found.map(({ rows }) => rows))).toBeGreaterThanOrEqual(5);
  // where more are held up, rows give way
  const worse = run(
    (rows) => rows * 2,
    2000,
    () => noise() * (random() < 0.05 ? 1.5 : 1),
  );
  expect(median(worse.map(({ rows }) => rows))).toBeLessThan(median(found.map(({ rows }) => rows)));
});

test('one step that the machine held up takes away a fifth of the rows, for a while', () => {
  const budget = new StepBudget();
  const step = () => budget.took(10 + budget.promptRows(1) / 2, 1, budget.promptRows(1));
  budget.took(10, 1, 0);
  for (let i = 0; i < 20; i++) step();
  const before = budget.promptRows(1);
  expect(before).toBeGreaterThan(20);
  budget.took(400, 1, before);
  expect(budget.promptRows(1)).toBeLessThan(before);
  expect(budget.promptRows(1)).toBeGreaterThan(0.75 * before);
  for (let i = 0; i < 8; i++) step();
  expect(budget.promptRows(1)).toBeGreaterThan(0.75 * before);
  for (let i = 0; i < 150; i++) step();
  expect(budget.promptRows(1)).toBeGreaterThan(0.95 * before);
});

test('the last rows of a prompt, fewer than asked for, do not make more of them', () => {
  const budget = new StepBudget();
  budget.took(10, 1, 0);
  for (let i = 0; i < 20; i++) budget.took(10 + budget.promptRows(1), 1, budget.promptRows(1));
  const before = budget.promptRows(1);
  for (let i = 0; i < 5; i++) budget.took(11, 1, 1);
  expect(budget.promptRows(1)).toBe(before);
});

test('now and then a step without a prompt says what that takes now', () => {
  const budget = new StepBudget();
  budget.took(10, 1, 0);
  const rows = Array.from({ length: 66 }, () => {
    const wanted = budget.promptRows(1);
    budget.took(wanted === 0 ? 20 : 10 + wanted, 1, wanted);
    return wanted;
  });
  expect(rows.flatMap((count, i) => (count === 0 ? [i] : []))).toEqual([32, 65]);
  expect(rows.at(-2)).toBeGreaterThan(rows[30] as number);
});

test('where another number of lanes answers, one step without a prompt says what that takes', () => {
  const budget = new StepBudget();
  budget.took(10, 1, 0);
  budget.took(11, 1, 2);
  expect(budget.promptRows(2)).toBe(0);
  budget.took(14, 2, 0);
  expect(budget.promptRows(2)).toBeGreaterThan(0);
});
