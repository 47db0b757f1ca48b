// Sampling filters against the numbers of the Hugging Face implementation, and the seeded choice.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
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

describe('filters that sort no more than they need', () => {
  /** Ties, distances of any size, and tokens that may not come. */
  const someLogits = fc
    .tuple(
      fc.double({ min: 0.01, max: 200, noNaN: true }),
      fc.array(fc.integer({ min: -12, max: 12 }), { minLength: 1, maxLength: 200 }),
    )
    .map(([scale, values]) =>
      Float64Array.from(values, (value, i) => (i > 0 && value === -12 ? Number.NEGATIVE_INFINITY : value * scale)),
    );
  const byFalling = (values: Float64Array) =>
    [...values.keys()].sort((a, b) =>
      (values[a] as number) < (values[b] as number) ? 1 : values[a] === values[b] ? a - b : -1,
    );
  const probabilitiesOf = (logits: Float64Array) => {
    const shares = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
    return shares.map((share) => share / shares.reduce((sum, other) => sum + other, 0));
  };
  /** Those of the order, up to the one with which their probabilities reach p. */
  const untilMass = (order: number[], probabilities: Float64Array, p: number) => {
    let mass = 0;
    return order.filter((id) => {
      const isKept = mass < p;
      mass += probabilities[id] as number;
      return isKept;
    });
  };
  const kept = (logits: Float64Array, filter: sampling.LogitsFilter) => {
    const filtered = logits.slice();
    filter(filtered, [], 0);
    for (const [i, logit] of filtered.entries()) if (logit !== Number.NEGATIVE_INFINITY) expect(logit).toBe(logits[i]);
    return [...filtered.keys()].filter((id) => filtered[id] !== Number.NEGATIVE_INFINITY);
  };
  const possible = (logits: Float64Array, ids: number[]) =>
    ids.filter((id) => logits[id] !== Number.NEGATIVE_INFINITY).sort((a, b) => a - b);

  it('top p, typical p and top k keep what the whole order says', () => {
    fc.assert(
      fc.property(someLogits, fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.nat(210), (logits, p, k) => {
        const probabilities = probabilitiesOf(logits);
        const order = byFalling(logits);
        expect(kept(logits, sampling.topP(p))).toEqual(possible(logits, untilMass(order, probabilities, p)));
        const entropy = probabilities.reduce((sum, share) => sum - (share > 0 ? share * Math.log(share) : 0), 0);
        const nearness = probabilities.map((share) =>
          share > 0 ? -Math.abs(-Math.log(share) - entropy) : -Number.MAX_VALUE,
        );
        const typical = untilMass(byFalling(nearness), probabilities, p);
        expect(kept(logits, sampling.typicalP(p))).toEqual(possible(logits, typical));
        const bar = logits[order[k] as number] ?? Number.NEGATIVE_INFINITY;
        expect(kept(logits, sampling.topK(k + 1))).toEqual(
          possible(
            logits,
            order.filter((id) => (logits[id] as number) >= bar),
          ),
        );
      }),
    );
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
    // whatever differs only above the low 32 bits differs too
    const seeds = [
      7,
      0,
      -1,
      -2,
      2 ** 32,
      2 ** 32 + 1,
      2 ** 32 + 7,
      2 ** 32 - 1,
      2 ** 33,
      -(2 ** 32),
      2 ** 52,
      1 - 2 ** 53,
    ];
    expect(new Set(seeds.map((seed) => draw(seed).join())).size).toBe(seeds.length);
    expect(createSampler({ seed: 7 }, 5).seed).toBe(7);
    expect(Number.isSafeInteger(createSampler({}, 5).seed)).toBe(true);
  });

  it('draws the same as ever for seeds of 32 bits', () => {
    const draw = (seed: number) => {
      const sampler = createSampler({ seed }, 5);
      return Array.from({ length: 24 }, () => sampler.sample(logits(), [], 0)).join('');
    };
    expect([0, 7, 4294967295].map(draw)).toEqual([
      '101311111111310433311333',
      '333311131121211133131313',
      '333221311331233111311211',
    ]);
  });

  it('is greedy at temperatures next to 0, and even at huge ones, within f32', () => {
    const cold = createSampler({ temperature: 1e-300, seed: 1 }, 5);
    for (let i = 0; i < 20; i++) expect([1, 3]).toContain(cold.sample(logits(), [], 0));
    const hot = createSampler({ temperature: 1e300, seed: 1 }, 5);
    expect(new Set(Array.from({ length: 200 }, () => hot.sample(logits(), [], 0))).size).toBe(5);
  });

  it.each([
    { logitBias: { 1: 3.4e38 }, repetitionPenalty: 0.01 },
    { logitBias: { 1: 3.4e38 }, repetitionPenalty: 0.01, temperature: 1e-4 },
    { logitBias: { 1: 3.4e38, 4: -3.4e38 }, repetitionPenalty: 0.01, temperature: 1e-300, topP: 0.5, typicalP: 0.5 },
    { logitBias: { 1: 3.4e38 }, frequencyPenalty: -1000, presencePenalty: -1000, minP: 0.1, topK: 3 },
    { logitBias: { 0: -3.4e38, 2: -3.4e38, 3: -3.4e38, 4: -3.4e38 }, repetitionPenalty: 100, temperature: 1e-3 },
  ])('computes what leaves f32 on the way, rather than draw the last token: %o', (options) => {
    const sampler = createSampler({ seed: 1, ...options }, 5);
    for (let i = 0; i < 20; i++) expect(sampler.sample(logits(), [0, 1, 2, 3, 4], 0)).toBe(1);
    expect(createSampler({ ...options, temperature: 0 }, 5).sample(logits(), [0, 1, 2, 3, 4], 0)).toBe(1);
  });

  it('leaves the logits as they are', () => {
    const given = logits();
    createSampler({ seed: 1, logitBias: { 1: 5 }, temperature: 0.5, topK: 2 }, 5).sample(given, [1], 0);
    expect(given).toEqual(logits());
  });

  it('refuses logits that are not finite, and options that leave no token', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
      for (const options of [{ seed: 1 }, { seed: 1, topP: 0.9 }, { temperature: 0, repetitionPenalty: 2 }])
        expect(() => createSampler(options, 3).sample(Float32Array.from([1, value, 0]), [], 0)).toThrowError(
          'sample: expected finite logits',
        );
    const sampler = createSampler({ noRepeatNgramSize: 1 }, 2);
    expect(() => sampler.sample(Float32Array.from([1, 2]), [0, 1], 0)).toThrowError(
      'generate option "noRepeatNgramSize": expected a token that may follow at position 2, got none of 2. Raise it.',
    );
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
    [{ repetitionPenalty: 0 }, 'generate option "repetitionPenalty": expected a number from 0.01 to 100, got 0.'],
    [{ seed: 0.5 }, 'generate option "seed": expected a whole number, got 0.5.'],
    [
      { logitBias: { 9: 1 } },
      'generate option "logitBias": expected token ids below 5 with numbers (up to 3.4e38, as f32 holds them), got 9: 1.',
    ],
    [{ logitBias: { 1: 3.5e38 } }, 'got 1: 3.5e+38.'],
    [{ logitBias: { 1: Number.NaN } }, 'got 1: NaN.'],
    [{ logitBias: { '-1': 1 } }, 'got -1: 1.'],
    [{ logitBias: null as never }, 'generate option "logitBias": expected an object, got null.'],
    [{ logitBias: [1] as never }, 'generate option "logitBias": expected an object, got [1].'],
    [{ repetitionPenalty: 1e-30 }, 'expected a number from 0.01 to 100, got 1e-30.'],
    [{ frequencyPenalty: Number.POSITIVE_INFINITY }, 'expected a number from -1000 to 1000, got Infinity.'],
    [{ temperature: '1' as never }, 'expected a number >= 0, got "1".'],
    [{ seed: 2 ** 53 }, 'generate option "seed": expected a whole number, got 9007199254740992.'],
    [{ topP: null as never }, 'generate option "topP": expected a number above 0 and up to 1, got null.'],
  ])('refuses %o', (options, message) => {
    expect(() => createSampler(options, 5)).toThrowError(message);
  });
});
