// Patterns that a task file wrote: what they find, and that they end.

import { expect, test } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { rstrip } from './processors.js';
import { findAll, without } from './task-patterns.js';

test('finds what the engine finds, with its groups', () => {
  const found = findAll('t', '#### (\\-?[0-9\\.\\,]+)|(?<word>b+)', 'a #### 5, bb #### -1.5');
  expect(found.map(([whole, number, word]) => [whole, number, word])).toEqual([
    ['#### 5,', '5,', undefined],
    ['bb', undefined, 'bb'],
    ['#### -1.5', '-1.5', undefined],
  ]);
  expect(without('t', '[,$]|a*', '$1,000aa')).toBe('1000');
});

test.each(['(a+)+$', '(a|a)*b', '(?:a?){40}a{40}b', '([a-z]+)*=', '^(a*)*$', '(a*)*\\1b'])(
  'a pattern that goes back for ever is one error: %s',
  async (pattern) => {
    const cost = cpuSeconds(() =>
      expect(() => findAll('the_task "regex_pattern"', pattern, `${'a'.repeat(60)}!`.repeat(3))).toThrow(
        /^the_task "regex_pattern": expected the pattern .* to end within 1000 ms, got no end on a text of 183 characters/,
      ),
    );
    expect(await cost).toBeLessThan(4);
  },
);

test('what is no pattern is one error', () => {
  expect(() => without('t', '(?P<a>x)', 'x')).toThrow(
    /^t: expected a pattern that JavaScript can run, got "\(\?P<a>x\)"/,
  );
});

test('spaces at an end are counted once', async () => {
  const text = `a${' '.repeat(200_000)}b`;
  const cost = cpuSeconds(() => {
    expect(rstrip(text)).toBe(text);
    expect(rstrip(`${text} \u001c\u3000`)).toBe(text);
  });
  expect(await cost).toBeLessThan(1);
});
