// Sampling filters against the numbers of the Hugging Face implementation, and the seeded choice.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import * as sampling from './sampling.js';

const { argmax, createSampler } = sampling;

describeShared('golden sampling', 'golden/sampling.json', () => {
  const cases = () => JSON.parse(readFileSync(shared('golden/sampling.json'), 'utf8')) as Record<string, number[]>[];
  const filters: Record<string, sampling.LogitsFilter> = {
    topK5: sampling.topK(5),
    topP90: sampling.topP(0.9),
    topP50: sampling.topP(0.5),
    minP5: sampling.minP(0.05),
    typical80: sampling.typicalP(0.8),
    repetitionPenalty13: sampling.repetitionPenalty(1.3),
    temperature07: sampling.temperature(0.7),
    noRepeatNgram2: sampling.noRepeatNgram(2),
  };
  for (const [name, filter] of Object.entries(filters))
    it(name, () => {
      for (const golden of cases()) {
        const logits = Float32Array.from(golden.logits as number[]);
        filter(logits, golden.previous as number[], 0);
        (golden[name] as (number | null)[]).forEach((expected, i) => {
          if (expected === null) expect(logits[i], `${name}[${i}]`).toBe(Number.NEGATIVE_INFINITY);
          else expect(Math.abs((logits[i] as number) - expected), `${name}[${i}]`).toBeLessThan(2e-5);
        });
      }
    });
});

describe('sampler', () => {
  const logits = () => Float32Array.from([1, 3, 2, 3, -1]);

  it('is greedy at temperature 0: the first of equals', () => {
    expect(createSampler({ temperature: 0 }, 5).sample(logits(), [], 0)).toBe(1);
    expect(argmax(logits())).toBe(1);
  });

  it('repeats itself for a seed, and differs between seeds', () => {
    const draw = (seed: number) => {
      const sampler = createSampler({ seed }, 5);
      return Array.from({ length: 40 }, () => sampler.sample(logits(), [], 0));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(createSampler({ seed: 7 }, 5).seed).toBe(7);
    expect(Number.isSafeInteger(createSampler({}, 5).seed)).toBe(true);
  });

  it('draws with the probabilities of the logits', () => {
    const sampler = createSampler({ seed: 1, temperature: 1 }, 5);
    const counts = new Array(5).fill(0);
    const n = 20_000;
    for (let i = 0; i < n; i++) counts[sampler.sample(logits(), [], 0)]++;
    const weights = [...logits()].map(Math.exp);
    const total = weights.reduce((a, b) => a + b);
    weights.forEach((weight, i) => {
      const p = weight / total;
      expect(Math.abs(counts[i] / n - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / n));
    });
  });

  it('penalises the answer by count and presence, not the prompt', () => {
    const changed = logits();
    sampling.frequencyAndPresence(0.5, 0.25)(changed, [1, 1, 2, 3, 3], 2);
    expect([...changed]).toEqual([1, 3, 2 - 0.75, 3 - 1.25, -1]);
  });

  it('biases ids, also to exclude them', () => {
    const sampler = createSampler({ temperature: 0, logitBias: { 1: -100, 3: -100 } }, 5);
    expect(sampler.sample(logits(), [], 0)).toBe(2);
  });

  it('never draws what a filter removed', () => {
    const sampler = createSampler({ seed: 3, topK: 2 }, 5);
    for (let i = 0; i < 200; i++) expect([1, 3]).toContain(sampler.sample(logits(), [], 0));
  });

  it.each([
    [{ temperature: -1 }, 'generate option "temperature": expected a number >= 0, got -1.'],
    [{ topP: 0 }, 'generate option "topP": expected a number above 0 and up to 1, got 0.'],
    [{ topK: 1.5 }, 'generate option "topK": expected a whole number >= 0, got 1.5.'],
    [{ minP: Number.NaN }, 'generate option "minP": expected a number from 0 to 1, got NaN.'],
    [{ repetitionPenalty: 0 }, 'generate option "repetitionPenalty": expected a number above 0, got 0.'],
    [{ seed: 0.5 }, 'generate option "seed": expected a whole number, got 0.5.'],
    [{ logitBias: { 9: 1 } }, 'generate option "logitBias": expected token ids below 5 with numbers, got 9: 1.'],
  ])('refuses %o', (options, message) => {
    expect(() => createSampler(options, 5)).toThrowError(message);
  });
});
