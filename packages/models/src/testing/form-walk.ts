// For the tests of constrained decoding: the bundled model's tokenizer, and walks over random tokens that a form allows.
// Owns no expectation of a form.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTokenizer } from '@relufy/tokenizer';
import { expect } from 'vitest';
import { type ConstraintOptions, Constraints } from '../constrained/constraint.js';

export const model = (file: string) =>
  readFileSync(fileURLToPath(new URL(`../../../llama-tales/model/${file}`, import.meta.url)), 'utf8');
export const tokenizer = createTokenizer({
  name: 'llama-tales',
  tokenizerJson: model('tokenizer.json'),
  tokenizerConfig: model('tokenizer_config.json'),
});
export const { vocabSize } = tokenizer;
export const stop = tokenizer.eosId as number;
export const constraints = new Constraints(tokenizer, vocabSize);

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Tokens that end something: a walk that never takes them comes to no end. */
const closing = new Set(
  Array.from({ length: vocabSize }, (_, id) => id).filter((id) => /["}\],]/.test(tokenizer.decode([id]))),
);

/** A text that the form allows, by chance; undefined where it did not end in time. */
export function walk(options: ConstraintOptions, seed: number, most = 300): string | undefined {
  const constraint = constraints.open(options, new Set([stop]));
  if (constraint === undefined) throw new Error('no form');
  const random = randomFrom(seed);
  const bytes: number[] = [];
  for (let n = 0; n < most; n++) {
    const logits = new Float32Array(vocabSize);
    constraint.mask(logits);
    let allowed: number[] = [];
    for (let id = 0; id < vocabSize; id++) if (logits[id] === 0) allowed.push(id);
    expect(allowed.length).toBeGreaterThan(0);
    expect(allowed.includes(stop)).toBe(constraint.isComplete);
    const ends = allowed.filter((id) => closing.has(id));
    if (ends.length > 0 && random() < (n < most / 2 ? 0.4 : 0.9)) allowed = ends;
    const id = allowed[Math.floor(random() * allowed.length)] as number;
    const isOver = constraint.isEnd || (constraint.isComplete && random() < 0.5);
    if (isOver || id === stop) return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    bytes.push(...tokenizer.tokenBytes(id));
    constraint.accept(id);
    if (constraint.isEnd) return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
  }
  return undefined;
}
