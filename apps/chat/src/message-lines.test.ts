import { describe, expect, test } from 'vitest';
import { LineSplitter, MessageLines, withoutMark } from './message-lines.js';

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

describe('LineSplitter', () => {
  const linesOf = (...chunks: string[]) => {
    const splitter = new LineSplitter();
    return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.flush()];
  };
  test.each([
    [['a\nb'], ['a', 'b']],
    [
      ['a\r', '\nb\r\n', 'c'],
      ['a', 'b', 'c'],
    ],
    [
      ['a\r', 'b'],
      ['a', 'b'],
    ],
    [['one\u2028still one\u2029and\u0085on\v\fend\n'], ['one\u2028still one\u2029and\u0085on\v\fend']],
    [
      ['\ufeff/set x\n', '\ufeffb\n\ufeff'],
      ['/set x', 'b'],
    ],
    [
      ['a', '', 'b', '\n', '\n'],
      ['ab', ''],
    ],
  ])('%j are %j', (chunks, lines) => expect(linesOf(...chunks)).toEqual(lines));

  test('a mark within a line stays', () => expect(withoutMark('a\ufeffb')).toBe('a\ufeffb'));
});
