// What a terminal would obey does not reach it, and what people write does.
import { describe, expect, it } from 'vitest';
import { pipeable, printable, printableJson } from './index.js';

describe('printable', () => {
  it.each([
    ['\x1b[2Jgone', '\\x1b[2Jgone'],
    ['\x1b]0;title\x07', '\\x1b]0;title\\x07'],
    ['\x9b31m', '\\x9b31m'],
    ['a\rb', 'a\\x0db'],
    ['a\r\nb', 'a\nb'],
    ['a\bb\x00\x7f', 'a\\x08b\\x00\\x7f'],
    ['abc\u202edef\u2066', 'abc\\u202edef\\u2066'],
    ['a\u200b\u200f\u2028\ufeff', 'a\\u200b\\u200f\\u2028\\ufeff'],
    ['\u{e0001}', '\\u{e0001}'],
  ])('writes %j out', (text, expected) => expect(printable(text)).toBe(expected));

  it.each(['a\tb\nc', 'Grüße, 你好', 'שלום', '👩‍👩‍👧', '❤️', 'نمی‌خواهم', '\\x1b'])('leaves %j', (text) => {
    expect(printable(text)).toBe(text);
    expect(pipeable(text)).toBe(text);
  });

  it('takes a replacement, and less for a pipe', () => {
    expect(printable('a\x1b[2J', '\ufffd')).toBe('a\ufffd[2J');
    expect(pipeable('\x1b[2J\r\n\u200f\x9b')).toBe('\\x1b[2J\r\n\u200f\\x9b');
  });

  it('keeps JSON what it says', () => {
    const value = { '\x1b\x9b': ['\u202e\u{e0001}', 1, null] };
    expect(JSON.parse(printableJson(value, 2))).toEqual(value);
    expect(printableJson(value, 2)).toMatch(/^[ -~\n]*$/);
  });
});
