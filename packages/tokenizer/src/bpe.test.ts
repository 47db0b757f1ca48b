// The merge loop against the plainest way to write it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTokenizer, type Tokenizer } from './tokenizer.js';

type Merge = readonly [string, string];

/** Again and again: the pair of lowest rank, the leftmost of those. */
function naive(text: string, merges: readonly Merge[]): string[] {
  const symbols = Array.from(text);
  for (;;) {
    let best = merges.length;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = merges.findIndex(([a, b]) => a === symbols[i] && b === symbols[i + 1]);
      if (rank >= 0 && rank < best) {
        best = rank;
        at = i;
      }
    }
    if (at < 0) return symbols;
    symbols.splice(at, 2, symbols[at]! + symbols[at + 1]!);
  }
}

/** Merges of tokens that exist by then, each pair once. */
const mergeLists = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 12 }).map((picks) => {
  const tokens = ['a', 'b', 'c'];
  const merges: Merge[] = [];
  for (const [i, j] of picks) {
    const merge: Merge = [tokens[i % tokens.length]!, tokens[j % tokens.length]!];
    if (merges.some(([a, b]) => a === merge[0] && b === merge[1])) continue;
    merges.push(merge);
    const product = merge[0] + merge[1];
    if (!tokens.includes(product)) tokens.push(product);
  }
  return { tokens, merges };
});

function create(tokens: readonly string[], merges: readonly Merge[], parts: object = {}): Tokenizer {
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return createTokenizer({
    name: 'small',
    tokenizerJson: JSON.stringify({ model: { type: 'BPE', vocab, merges, ...parts } }),
  });
}

describe('BPE', () => {
  it('merges as the naive loop does, also in texts long enough to be cut', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 40 });
    fc.assert(
      fc.property(mergeLists, text, fc.boolean(), ({ tokens, merges }, short, long) => {
        const tokenizer = create(tokens, merges);
        const whole = long ? short.repeat(Math.ceil(300 / Math.max(1, short.length))) : short;
        const got = tokenizer.encode(whole).map((id) => tokenizer.idToToken(id));
        expect(got).toEqual(naive(whole, merges));
      }),
      { numRuns: 300 },
    );
  });

  it('drops, replaces or fuses unknown characters', () => {
    const merges: Merge[] = [['a', 'b']];
    const tokens = ['a', 'b', 'ab', '<unk>'];
    expect(create(tokens, merges).encode('axxb')).toEqual([2]);
    expect(create(tokens, merges, { unk_token: '<unk>' }).encode('axxb')).toEqual([0, 3, 3, 1]);
    expect(create(tokens, merges, { unk_token: '<unk>', fuse_unk: true }).encode('axxbx')).toEqual([0, 3, 1, 3]);
  });

  it('takes a whole piece from the vocabulary where merges are ignored', () => {
    const tokens = ['a', 'b', 'ba'];
    expect(create(tokens, []).encode('ba')).toEqual([1, 0]);
    expect(create(tokens, [], { ignore_merges: true }).encode('ba')).toEqual([2]);
  });

  it('knows the marks of word parts', () => {
    const tokens = ['a', '@@b', '@@c</w>', 'ab', 'abc</w>', 'a</w>'];
    const merges: Merge[] = [
      ['a', '@@b'],
      ['ab', '@@c</w>'],
    ];
    const tokenizer = create(tokens, merges, { continuing_subword_prefix: '@@', end_of_word_suffix: '</w>' });
    expect(tokenizer.encode('abc')).toEqual([4]);
    expect(tokenizer.encode('a')).toEqual([5]);
  });
});
