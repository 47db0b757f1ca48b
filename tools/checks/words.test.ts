// One word a thing, and it is the field's: phrases that stood here once, with what they are called elsewhere. Grows with each
// remark of a review that comes a second time. Does not judge names of code.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { repositoryFiles, root } from './workspace.js';

const instead: readonly (readonly [phrase: RegExp, word: string])[] = [
  [/\b(in turns(?!\.cpp)|tak(e|es|ing) turns|took turns)\b/i, 'interleaved (runs), round robin (clients)'],
  [/\b(share )?of streaming( reads?| bandwidth)?\b(?! chunks)/i, '% of peak read bandwidth'],
  [/\btime of (the|its|their) bytes\b/i, 'what the bytes read predict, bandwidth bound'],
  [/\basked for ahead\b/i, 'prefetched'],
  [/\bbehind (a|the|its) (prompt|context)\b/i, 'after'],
  [/\bdealt (out )?to\b/i, 'split across'],
  [/\b(surgery|donors?)\b/i, 'relufication; base model'],
  [/\bthe bar of\b/i, 'threshold; target'],
];

/** What was published once stays as it was. */
const elsewhere = /^(CHANGELOG\.md|\.changeset\/|tools\/checks\/words\.test\.ts$)|\/generated\//;

test("prose and comments have the field's words", () => {
  const prose = repositoryFiles.filter((file) => /\.(md|tsx?|mjs|cpp|h|ya?ml)$/.test(file) && !elsewhere.test(file));
  const found = prose.flatMap((file) =>
    readFileSync(root + file, 'utf8')
      .split('\n')
      .flatMap((line, i) =>
        instead
          .filter(([phrase]) => phrase.test(line))
          .map(([phrase, word]) => `${file}:${i + 1}: "${phrase.exec(line)?.[0]}": write ${word}`),
      ),
  );
  expect(found).toEqual([]);
});
