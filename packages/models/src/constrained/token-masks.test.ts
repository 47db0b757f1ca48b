// Vocabularies as large as those of real models (Llama 3: 128,256 tokens, Gemma: 262,144), which the bundled model's is not.
// Does not own what grammars allow (constrained.test.ts).
import type { Tokenizer } from '@relufy/tokenizer';
import { expect, it } from 'vitest';
import { Constraints } from './constraint.js';

it('a vocabulary of 300,000 tokens is masked', () => {
  const vocabSize = 300_000;
  const texts = Array.from({ length: vocabSize }, (_, id) => new TextEncoder().encode(`${id}`));
  const tokenizer = {
    vocabSize,
    specialIds: new Set([0]),
    tokenBytes: (id: number) => texts[id],
  } as unknown as Tokenizer;
  const constraint = new Constraints(tokenizer, vocabSize).open({ grammar: 'root ::= "12" [0-9]' }, new Set([0]));
  const logits = new Float32Array(vocabSize);
  constraint?.mask(logits);
  const allowed = [...logits.keys()].filter((id) => logits[id] === 0);
  expect(allowed).toEqual([1, 12, ...Array.from({ length: 10 }, (_, i) => 120 + i)]);
});
