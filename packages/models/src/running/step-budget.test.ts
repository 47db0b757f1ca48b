// How many rows of prompts go beside answers, by times that a formula gives.
import { expect, test } from 'vitest';
import { StepBudget } from './step-budget.js';

/** Steps of 10 ms, by themselves and then beside a prompt whose rows take so long: those with rows of it. */
function run(msOf: (rows: number) => number, steps: number): { readonly rows: number; readonly ms: number }[] {
  const budget = new StepBudget();
  for (let i = 0; i < 3; i++) budget.took(10, 1, 0);
  return Array.from({ length: steps }, () => {
    const rows = budget.promptRows(1);
    const ms = rows === 0 ? 10 : 10 + msOf(rows);
    budget.took(ms, 1, rows);
    return { rows, ms };
  }).filter(({ rows }) => rows > 0);
}

test('rows become as many as take as long as the answer beside them', () => {
  for (const each of [0.1, 0.5, 2, 5, 9]) {
    const found = run((rows) => rows * each, 40);
    expect(found.at(-1)?.rows).toBe(Math.round(10 / each));
    expect(Math.max(...found.map(({ ms }) => ms))).toBeLessThanOrEqual(Math.max(20, 10 + 2 * each) + 5);
  }
  // no fewer than one
  expect(run((rows) => rows * 50, 10).at(-1)?.rows).toBe(1);
});

test('a step never takes in many rows at once, as cheap as the last few were', () => {
  const found = run((rows) => (rows < 12 ? rows / 2 : 20 + rows), 60);
  for (const [i, { rows }] of found.entries())
    if (i > 0) expect(rows).toBeLessThanOrEqual(1.5 * (found[i - 1]?.rows as number) + 1);
  // it steps over the edge now and then, and back at once
  const over = found.filter(({ rows }) => rows >= 12);
  expect(over.length).toBeLessThan(12);
  for (const [i, { rows }] of found.entries())
    if (rows >= 12 && i + 1 < found.length) expect(found[i + 1]?.rows).toBeLessThan(rows);
});

test('one step that the machine held up takes away half of the rows, for a while', () => {
  const budget = new StepBudget();
  budget.took(10, 1, 0);
  for (let i = 0; i < 20; i++) budget.took(10 + budget.promptRows(1) / 2, 1, budget.promptRows(1));
  expect(budget.promptRows(1)).toBe(20);
  budget.took(400, 1, 20);
  expect(budget.promptRows(1)).toBe(10);
  for (let i = 0; i < 12; i++) budget.took(10 + budget.promptRows(1) / 2, 1, budget.promptRows(1));
  expect(budget.promptRows(1)).toBeGreaterThanOrEqual(18);
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
