// What becomes of a pasted text: one line for the editor, and what was meant when it is sent.
import { expect, test } from 'vitest';
import { PasteBoard } from './paste-board.js';

test.each([
  ['several lines', 'a\nb', 'a\nb'],
  ['lines of Windows, and breaks of other systems', 'a\r\nb\rc\u2028d', 'a\nb\nc\nd'],
  ['marks before lines, and within them', '\ufeffa\n\ufeffb\ufeffc', 'a\nbc'],
  ['what a terminal would obey', 'a\u001b[31mb\u0007\u009bc\td', 'a[31mbc\td'],
  ['line breaks at the end', 'a\n\n\n', 'a'],
  ['a mark alone', '\ufeff', ''],
])('%s', (_, pasted, meant) => {
  const board = new PasteBoard();
  const line = board.take(pasted);
  expect(line).not.toMatch(/[\n\r\ufeff]/);
  expect(board.expand(line)).toBe(meant);
});

test('a long text is a note until it is sent, with what it says taken as it stands', () => {
  const board = new PasteBoard();
  const long = Array.from({ length: 30 }, (_, i) => `\ufeffline ${i} $& $1`).join('\n');
  const line = `before ${board.take(long)} after ${board.take('x'.repeat(3000))}`;
  expect(line).toBe('before [pasted text 1: 30 lines] after [pasted text 2: 3000 characters]');
  expect(board.expand(line)).toBe(`before ${long.replaceAll('\ufeff', '')} after ${'x'.repeat(3000)}`);
});
