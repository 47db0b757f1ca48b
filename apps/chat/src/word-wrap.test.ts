import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { columnsOf, WordWrap } from './word-wrap.js';

const wrap = (pieces: readonly string[], columns: number | undefined) => {
  const wrapper = new WordWrap();
  return pieces.map((piece) => wrapper.push(piece, columns)).join('') + wrapper.flush(columns);
};

describe('WordWrap', () => {
  test('breaks between words, whatever the pieces', () => {
    expect(wrap(['the quick bro', 'wn fox'], 10)).toBe('the quick\nbrown fox');
    expect(wrap(['a\nb', 'c d'], 3)).toBe('a\nbc\nd');
  });

  test('leaves a word that no line can hold alone', () => expect(wrap(['abcdefgh ij'], 4)).toBe('abcdefgh\nij'));

  test('a text after a flush begins at the left', () => {
    const wrapper = new WordWrap();
    wrapper.push('abcd ', 6);
    wrapper.flush(6);
    expect(wrapper.push('ab cd ', 6)).toBe('ab cd');
  });

  test('East Asian letters take two columns', () => {
    expect(columnsOf('狐')).toBe(2);
    expect(columnsOf('é'.normalize('NFD'))).toBe(1);
    expect(wrap(['狐狐 狐狐'], 8)).toBe('狐狐\n狐狐');
  });

  test('nothing is lost, and no line is too long unless a word is', () => {
    const text = fc.array(fc.stringMatching(/^[ab \n]{0,6}$/));
    fc.assert(
      fc.property(text, fc.integer({ min: 6, max: 12 }), (pieces, columns) => {
        const whole = pieces.join('');
        const wrapped = wrap(pieces, columns);
        expect(wrapped.replaceAll(/\s/g, '')).toBe(whole.replaceAll(/\s/g, ''));
        expect(wrap(pieces, undefined)).toBe(whole.replaceAll(/ +(?=\n)/g, ''));
        for (const line of wrapped.trimEnd().split('\n'))
          if (line.trim().includes(' ')) expect(line.trimEnd().length).toBeLessThanOrEqual(columns);
      }),
    );
  });
});
