import { afterAll, expect, test } from 'vitest';
import { checkAnswer, mutated, randomOf } from '../testing/fuzz.mjs';
import { served } from './testing/served.js';

const { handler } = served({ deadlineMs: 1000 });
afterAll(() => handler.close());

test('requests that no client would send are answered, never with 500', { timeout: 120_000 }, async () => {
  const random = randomOf(Date.now());
  const statuses = new Set<number | string>();
  for (let i = 0; i < 120; i++) statuses.add(await checkAnswer(handler, mutated(random)));
  expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 404]));
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
});
