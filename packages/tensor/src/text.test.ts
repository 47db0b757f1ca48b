// Texts as Windows writes them, bytes that are none, and lines that only line feeds and carriage returns end.
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { decodeText, decodeWhole, LineSplitter, withoutMark } from './text.js';

const utf16 = (text: string, big = false) => {
  const bytes = Buffer.from(text, 'utf16le');
  return big ? bytes.swap16() : bytes;
};
const mark = '\ufeff';
const text = 'Grüße aus 東京 🦊\r\nund mehr';

const encoded: readonly (readonly [string, Buffer])[] = [
  ['UTF-8', Buffer.from(text)],
  ['UTF-8 with a mark', Buffer.from(mark + text)],
  ['UTF-16 LE with a mark', utf16(mark + text)],
  ['UTF-16 BE with a mark', utf16(mark + text, true)],
  ['UTF-16 LE', utf16(text)],
  ['UTF-16 BE', utf16(text, true)],
];

describe('decodeText', () => {
  test.each(encoded)('reads %s, in pieces of any size', async (_, bytes) => {
    expect(await decodeWhole('x', [bytes])).toBe(text);
    for (const size of [1, 2, 3, 5]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      expect(await decodeWhole('x', pieces)).toBe(text);
    }
  });

  test('reads short texts', async () => {
    for (const short of ['', 'a', 'ab', 'é', '🦊']) expect(await decodeWhole('x', [Buffer.from(short)])).toBe(short);
    expect(await decodeWhole('x', [Buffer.from(mark)])).toBe('');
    expect(await decodeWhole('x', [utf16(`${mark}a`)])).toBe('a');
    expect(await decodeWhole('x', [])).toBe('');
    const parts: string[] = [];
    for await (const part of decodeText('x', Readable.from([Buffer.from('abcd'), Buffer.from('e')]))) parts.push(part);
    expect(parts.join('')).toBe('abcde');
  });

  test.each([
    ['Latin-1', Buffer.from('Grüße', 'latin1')],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])],
    ['a picture', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a])],
    ['half a letter', Buffer.from('ü').subarray(0, 1)],
    ['half a unit', utf16(`${mark}ab`).subarray(0, 5)],
  ])('refuses %s in one sentence', async (_, bytes) => {
    await expect(decodeWhole('standard input', [bytes])).rejects.toThrowError(
      'standard input: expected text in UTF-8 or UTF-16, got other bytes. Save it as UTF-8.',
    );
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
