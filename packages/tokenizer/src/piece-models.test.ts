// WordPiece and Unigram against Rust's tokenizers (fixtures/make-pieces.py), and what vocabularies of junk cost.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { caught } from './testing.js';
import { createTokenizer } from './tokenizer.js';

type Piece = { readonly json: object; readonly ids: readonly number[][] };

const fixture = JSON.parse(readFileSync(new URL('../fixtures/pieces.json', import.meta.url), 'utf8')) as {
  readonly texts: readonly string[];
  readonly wp: Piece;
  readonly ug: Piece;
};
const tokenizerOf = (json: object) => createTokenizer({ name: 'pieces', tokenizerJson: JSON.stringify(json) });

it.each([
  ['WordPiece', fixture.wp],
  ['Unigram', fixture.ug],
])('%s gives the ids of the original', (_, { json, ids }) => {
  const tokenizer = tokenizerOf(json);
  expect(fixture.texts.map((text) => tokenizer.encode(text))).toEqual(ids);
});

describe('what a file can ask for', () => {
  const parts = { version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: null, decoder: null };
  const wordPiece = (vocab: Record<string, number>) => ({
    ...parts,
    model: { type: 'WordPiece', unk_token: '?', max_input_chars_per_word: 1e9, vocab: { '?': 0, ...vocab } },
  });
  const unigram = (...tokens: string[]) => ({
    ...parts,
    model: { type: 'Unigram', unk_id: 0, vocab: [['?', 0], ...tokens.map((token, i) => [token, -1 - i])] },
  });
  const runs = Array.from({ length: 300 }, (_, i) => 'a'.repeat(i + 1));

  it.each([
    ['words of any length', wordPiece({ a: 1, '##a': 2 }), 20_000],
    ['one long text', unigram('a'), 20_000],
    ['a deep trie', unigram('a', 'a'.repeat(9000)), 'tokenizer: the tokens that overlap'],
    ['tokens that all overlap', unigram(...runs), 'tokenizer: the tokens that overlap'],
    ['a token without end', unigram('a', 'a'.repeat(1_000_000)), 'expected tokens of at most 10000 characters'],
    ['a token without end in WordPiece', wordPiece({ ['a'.repeat(1_000_000)]: 1 }), 'expected tokens of at most 10000'],
  ])('%s: an answer or an error, soon', (_, json, outcome) => {
    const began = process.cpuUsage();
    let length = 0;
    const error = caught(() => {
      length = tokenizerOf(json).encode('a'.repeat(20_000)).length;
    });
    if (typeof outcome === 'number') expect([error, length]).toEqual([undefined, outcome]);
    else expect(String(error)).toContain(outcome);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2);
  });
});
