// A trained tokenizer: its merges by hand, and that it reads back what it wrote.
import { createTokenizer } from '@relufy/tokenizer';
import { expect, it } from 'vitest';
import { trainTokenizer } from './train-tokenizer.js';

const model = (json: Record<string, unknown>) =>
  json.model as { vocab: Record<string, number>; merges: [string, string][] };

it('merges the most frequent pair first, ties by the lower ids', async () => {
  const json = await trainTokenizer(['ab ab ab abc', 'bc'], { vocabSize: 262, specialTokens: ['<s>'] });
  // "ab" 1, " ab" 2, " abc" 1, "bc" 1: a b 4 times; then Ġ ab 3 times; then b c and Ġab c once each
  expect(model(json).merges).toEqual([
    ['a', 'b'],
    ['Ġ', 'ab'],
    ['b', 'c'],
    ['Ġab', 'c'],
  ]);
  expect(model(json).vocab['<s>']).toBe(0);
  expect(model(json).vocab['!']).toBe(1);
  expect(model(json).vocab.ab).toBe(257);
});

it('encodes and decodes any text', async () => {
  const texts = ['The fox met the owl in 1984.', "It's the owl's tree. The tree was old."];
  const json = await trainTokenizer(texts, { vocabSize: 320, specialTokens: ['<s>', '<end>'], bosToken: '<s>' });
  const tokenizer = createTokenizer({ name: 'made', tokenizerJson: JSON.stringify(json) });
  for (const text of [...texts, 'Ünïcödé 🦊 12\n\n  spaces ', '<end>']) {
    const ids = tokenizer.encode(text);
    expect(ids[0]).toBe(0);
    expect(tokenizer.decode(ids.slice(1))).toBe(text);
  }
  // every digit is a token of its own
  const digits = tokenizer.encode('1984', { addSpecialTokens: false });
  expect(digits.length).toBe(4);
});

it('refuses a vocabulary without room for bytes', async () => {
  await expect(trainTokenizer([], { vocabSize: 256, specialTokens: ['<s>'] })).rejects.toThrow(
    /"vocabSize": expected at least 257/,
  );
});
