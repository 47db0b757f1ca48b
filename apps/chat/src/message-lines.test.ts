import { describe, expect, test } from 'vitest';
import { MessageLines } from './message-lines.js';

const messagesOf = (...lines: string[]) => {
  const messages = new MessageLines();
  const found = lines.flatMap((line) => messages.push(line) ?? []);
  return [...found, ...[messages.flush() ?? []].flat()].map(({ text, literal }) => (literal ? [text] : text));
};

describe('MessageLines', () => {
  test.each([
    [
      ['one', 'two'],
      ['one', 'two'],
    ],
    [
      ['one \\', 'two\\', 'three', 'four'],
      ['one \ntwo\nthree', 'four'],
    ],
    [
      ['a path \\\\', 'next'],
      ['a path \\\\', 'next'],
    ],
    [['three \\\\\\', 'next'], ['three \\\\\nnext']],
    [['open\\'], ['open']],
    [
      ['"""', '/help', '', 'b\\', '"""', 'c'],
      [['/help\n\nb\\'], 'c'],
    ],
    [['"""one"""'], [['one']]],
    [['"""one', 'two"""  '], [['one\ntwo']]],
    [['""" ', 'never closed'], [['never closed']]],
    [['say """ within'], ['say """ within']],
  ])('%j are %j', (lines, messages) => expect(messagesOf(...lines)).toEqual(messages));

  test('a text of several lines is one message, unless a block is in it', () => {
    const messages = new MessageLines();
    expect(messages.pushText('a\nb')).toEqual([{ text: 'a\nb', literal: false }]);
    expect(messages.pushText('"""\na\nb\n"""\nrest')).toEqual([
      { text: 'a\nb', literal: true },
      { text: 'rest', literal: false },
    ]);
    expect(messages.open).toBe(false);
  });
});
