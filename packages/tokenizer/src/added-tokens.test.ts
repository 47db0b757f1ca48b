// Added tokens against a walk from each place, which is the definition, and against @huggingface/tokenizers itself; and what
// tokens cost that a file nests without end.
import { Tokenizer as Reference } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { type AddedToken, AddedTokenSplitter, type Section } from './added-tokens.js';
import { createTokenizer } from './tokenizer.js';

const token = (content: string, id: number, more: Partial<AddedToken> = {}): AddedToken => ({
  id,
  content,
  special: false,
  normalized: false,
  singleWord: false,
  lstrip: false,
  rstrip: false,
  ...more,
});

const splitterOf = (tokens: readonly AddedToken[]) =>
  new AddedTokenSplitter(tokens.map((one) => [one.content, one] as const));

/** The leftmost token, and of those the longest; of two with one spelling the first. */
function definition(tokens: readonly AddedToken[], text: string): Section[] {
  const sections: Section[] = [];
  let taken = 0;
  for (let at = 0; at < text.length; ) {
    let best: AddedToken | undefined;
    for (const one of tokens)
      if (text.startsWith(one.content, at) && one.content.length > (best?.content.length ?? 0)) best = one;
    if (best === undefined) at++;
    else {
      if (taken < at) sections.push({ text: text.slice(taken, at), start: taken });
      sections.push({ id: best.id });
      at += best.content.length;
      taken = at;
    }
  }
  if (taken < text.length) sections.push({ text: text.slice(taken), start: taken });
  return sections;
}

const letters = (max: number) => fc.string({ unit: fc.constantFrom('a', 'b', 'c', '😀'), maxLength: max });

describe('added tokens', () => {
  it('are found as by a walk from each place', () => {
    const contents = fc.array(
      letters(6).filter((text) => text !== ''),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(contents, letters(60), (all, text) => {
        const tokens = all.map((content, id) => token(content, id));
        expect(splitterOf(tokens).split(text)).toEqual(definition(tokens, text));
      }),
      { numRuns: 500 },
    );
  });

  it('are those of @huggingface/tokenizers, nested ones too', () => {
    const vocab = { a: 0, b: 1, c: 2 };
    const contents = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 2, maxLength: 6 }), {
      minLength: 1,
      maxLength: 10,
    });
    fc.assert(
      fc.property(
        contents,
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 40 }),
        (all, text) => {
          const added = all.map((content, i) => ({
            ...{ id: 3 + i, content, special: true, normalized: false },
            ...{ single_word: false, lstrip: false, rstrip: false },
          }));
          const json = {
            ...{ added_tokens: added, normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null },
            model: { type: 'BPE', vocab, merges: [] },
          };
          const ours = createTokenizer({ name: 't', tokenizerJson: JSON.stringify(json) }).encode(text);
          expect(ours).toEqual(new Reference(json, {}).encode(text).ids);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('nested a thousand deep cost what the text costs', async () => {
    const tail = Array.from({ length: 3000 }, (_, i) => token(`${'a'.repeat(i + 1)}b`, i));
    const same = Array.from({ length: 3000 }, (_, i) => token('a'.repeat(i + 2), i));
    const text = 'a'.repeat(50_000);
    const [deep, nested] = [splitterOf(tail), splitterOf(same)];
    const cost = await cpuSeconds(() => {
      for (let time = 0; time < 5; time++) {
        expect(deep.split(text)).toEqual([{ text, start: 0 }]);
        expect(nested.split(text)).toHaveLength(17);
      }
    });
    // 0.1 s; a walk from each place takes 10 s
    expect(cost).toBeLessThan(1.5);
  });

  it('one of megabytes costs what its text costs', async () => {
    const content = 'ab'.repeat(1_500_000);
    const cost = await cpuSeconds(() => {
      const splitter = splitterOf([token(content, 7)]);
      expect(splitter.split(`x${content}`)).toEqual([{ text: 'x', start: 0 }, { id: 7 }]);
    });
    // 0.3 s; with an entry of a Map for each letter 8 s
    expect(cost).toBeLessThan(1.5);
  });
});
