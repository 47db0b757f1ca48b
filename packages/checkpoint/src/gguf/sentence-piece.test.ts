// Vocabularies of SentencePiece that a stranger made: what they may cost. That right ones become the merges of the original is
// asked where whole tokenizers are compared (tokenizer.test.ts).
import { expect, it } from 'vitest';
import { messageOf } from '../../testing/craft.js';
import { peakOf } from '../../testing/flood.js';
import { sentencePieceMerges } from './sentence-piece.js';

const merges = (tokens: readonly string[], scores: ArrayLike<number> = tokens.map((_, id) => -id)) =>
  sentencePieceMerges('m.gguf', tokens, scores, () => true);

it('lists the pairs of each piece by its score, equal scores by their numbers', () => {
  expect(merges(['a', 'b', 'c', 'ab', 'bc', 'abc'])).toEqual([
    ['a', 'b'],
    ['b', 'c'],
    ['a', 'bc'],
    ['ab', 'c'],
  ]);
  const same = new Array(4).fill(Number.NEGATIVE_INFINITY);
  expect(merges(['a', 'b', 'ba', 'ab'], same)).toEqual([
    ['b', 'a'],
    ['a', 'b'],
  ]);
});

/** Every text of two letters up to a length: each place in each of them divides it into two others. */
function* ofTwoLetters(longest: number): Generator<string> {
  for (let length = 1; length <= longest; length++)
    for (let i = 0; i < 2 ** length; i++)
      yield i.toString(2).padStart(length, '0').replaceAll('0', 'a').replaceAll('1', 'b');
}

it.each<[string, () => readonly string[], RegExp]>([
  ['pairs', () => [...ofTwoLetters(15)], /expected at most 262144 pairs of pieces that make a piece, got more/],
  [
    'characters',
    () => Array.from({ length: 50_000 }, (_, i) => `${i}${'x'.repeat(200)}`),
    /expected pieces of at most 8388608 characters together, got 10\d{6}/,
  ],
])('a vocabulary of too many %s is one error, soon', async (_, tokensOf, message) => {
  const tokens = tokensOf();
  const { seconds, peak } = await peakOf(async () =>
    expect(await messageOf(async () => merges(tokens))).toMatch(message),
  );
  expect(seconds).toBeLessThan(2);
  expect(peak).toBeLessThan(100e6);
});

it('a score that is no number is one error', async () => {
  expect(await messageOf(async () => merges(['a', 'b', 'ab'], [0, 0, Number.NaN]))).toContain(
    'm.gguf: metadata "tokenizer.ggml.scores", expected numbers, got NaN for token 2.',
  );
});
