import { expect, test } from 'vitest';
import { type Encoding, encodePair, fitPair, rollingPairs, rollingWindows } from './token-pairs.js';

const codes = (text: string) => [...text].map((char) => char.charCodeAt(0));
const plain: Encoding = { encode: codes, addSpecialTokens: false, prefixId: 1 };
const withBos: Encoding = {
  encode: (text, special) => [...(special ? [2] : []), ...codes(text)],
  addSpecialTokens: true,
  bosText: '<s>',
  prefixId: 2,
};

test('whitespace at the end of a context belongs to the continuation', async () => {
  expect(await encodePair(plain, 'ab \n', 'c')).toEqual({ context: codes('ab'), continuation: codes(' \nc'), cut: 0 });
});

test('context and continuation are encoded together, and a merge over the border is the context its loss', async () => {
  const merging: Encoding = {
    ...plain,
    encode: (text) => (text === 'abc' ? [7, 8] : text === 'ab' ? [7] : codes(text)),
  };
  expect(await encodePair(merging, 'ab', 'c')).toEqual({ context: [7], continuation: [8], cut: 0 });
});

test('an empty context is one prefix token, which is not doubled', async () => {
  expect(await encodePair(plain, '', 'ab')).toEqual({ context: [1], continuation: codes('ab'), cut: 0 });
  expect(await encodePair(plain, '', '\u0001b')).toEqual({ context: [1], continuation: codes('b'), cut: 0 });
  expect(await encodePair(plain, ' ', 'b')).toEqual({ context: [1], continuation: codes(' b'), cut: 0 });
});

test('BOS comes by the tokenizer, unless the text has it', async () => {
  expect(await encodePair(withBos, 'a', ' b')).toEqual({ context: [2, 97], continuation: codes(' b'), cut: 0 });
  expect(await encodePair(withBos, '<s>a', 'b')).toEqual({ context: codes('<s>a'), continuation: [98], cut: 0 });
});

test('a continuation without tokens of its own is refused', async () => {
  await expect(encodePair(plain, 'ab', '')).rejects.toThrow('expected a continuation with tokens of its own');
});

test('a pair is cut on the left to the context length and one more', () => {
  const pair = { context: [1, 2, 3, 4], continuation: [5, 6], cut: 0 };
  expect(fitPair(pair, 5)).toEqual(pair);
  expect(fitPair(pair, 3)).toEqual({ context: [3, 4], continuation: [5, 6], cut: 2 });
  expect(() => fitPair(pair, 1)).toThrow('expected a continuation of at most 1 tokens');
});

test('rolling windows score each token once', async () => {
  const ids = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  expect(rollingWindows(ids, 99, 4).map(({ context, continuation }) => [context, continuation])).toEqual([
    [[99], [0, 1, 2, 3]],
    [[3], [4, 5, 6, 7]],
    [
      [5, 6, 7],
      [8, 9],
    ],
  ]);
  expect(rollingWindows([], 99, 4)).toEqual([]);
  expect((await rollingPairs(withBos, 'ab', 8))[0]).toMatchObject({ context: [2], continuation: [2, 97, 98] });
});
