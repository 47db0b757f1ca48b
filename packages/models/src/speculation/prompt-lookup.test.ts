import { expect, test } from 'vitest';
import { lookUp } from './prompt-lookup.js';

test.each<[string, number[], number, number[]]>([
  ['what followed the same two tokens', [1, 2, 3, 4, 5, 1, 2], 3, [3, 4, 5]],
  ['the longest match before the latest', [7, 1, 2, 8, 9, 1, 2, 5, 7, 1, 2], 2, [8, 9]],
  ['the latest of equal matches', [1, 2, 3, 0, 1, 2, 4, 0, 9, 1, 2], 1, [4]],
  ['what repeats, on and on', [5, 6, 5, 6, 5], 5, [6, 5, 6, 5, 6]],
  ['one token over and over', [3, 3, 3], 4, [3, 3, 3, 3]],
  ['nothing for one token in common', [1, 2, 3, 2], 4, []],
  ['nothing for nothing in common', [1, 2, 3, 4], 4, []],
  ['nothing at the beginning', [1], 4, []],
])('drafts %s', (_, ids, most, expected) => {
  expect(lookUp(ids, most)).toEqual(expected);
});
