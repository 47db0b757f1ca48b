// What is drawn quickly is what the filters and the sum over the whole vocabulary say: the same token for the same random number.
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { draw, type LogitsFilter, largest, minP, softmax, temperature, topK, topP } from './logits-filters.js';
import { type QuickOptions, quickChoice } from './quick-choice.js';

const plain: QuickOptions = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** The whole way, as the sampler goes it. */
function slowly(options: QuickOptions, logits: Float64Array, random: number): number {
  const values = logits.slice();
  const filters: LogitsFilter[] = [];
  if (options.temperature !== 1) filters.push(temperature(options.temperature));
  if (options.topK > 0) filters.push(topK(options.topK));
  if (options.topP !== 1) filters.push(topP(options.topP));
  if (options.minP > 0) filters.push(minP(options.minP));
  for (const filter of filters) filter(values, [], 0);
  return draw(softmax(values, largest(values), values), random);
}

const quickly = (options: QuickOptions, logits: Float64Array, random: number) =>
  quickChoice(options, logits.length)?.(logits, largest(logits), random);

/** Bell-shaped logits as a model's, in f32, from a counter. */
function modelLogits(count: number, seed: number, spread: number): Float64Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return Float64Array.from({ length: count }, () =>
    Math.fround(spread * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()) - 3),
  );
}

const settings: readonly Partial<QuickOptions>[] = [
  {},
  { temperature: 0.7 },
  { topK: 40 },
  { topP: 0.9 },
  { minP: 0.05 },
  { temperature: 0.2, topP: 0.9 },
  { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 },
  { temperature: 1.5, topP: 0.99, minP: 0.01 },
  { topK: 1 },
  { topP: 0.01 },
  { minP: 1 },
];

describe('a quick choice', () => {
  it.each(settings)('is the one of the whole vocabulary: %o', (some) => {
    const options = { ...plain, ...some };
    let undecided = 0;
    let draws = 0;
    for (const [seed, spread] of [1, 2, 3, 4, 5, 6].entries()) {
      const logits = modelLogits(8000, seed + 1, spread);
      for (let n = 0; n < 40; n++) {
        const random = (((n + 1) * 2654435761 + seed * 97) % 2 ** 32) / 2 ** 32;
        const found = quickly(options, logits, random);
        draws++;
        if (found === undefined) undecided++;
        else expect(found).toBe(slowly(options, logits, random));
      }
    }
    // else nothing would be gained
    expect(undecided / draws).toBeLessThan(0.02);
  });

  test('of any logits: ties, masks, distances of any size, few tokens', () => {
    const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
    const anyOptions = fc.record({
      temperature: fc.oneof(fc.constant(1), fc.double({ min: 1e-4, max: 1e4, noNaN: true }), share),
      topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
      topP: fc.oneof(fc.constant(1), share),
      minP: fc.oneof(fc.constant(0), share),
    });
    const anyLogits = fc
      .tuple(
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        fc.array(fc.integer({ min: -12, max: 12 }), { minLength: 1, maxLength: 60 }),
      )
      .map(([scale, values]) =>
        Float64Array.from(values, (value, i) => (i > 0 && value === -12 ? Number.NEGATIVE_INFINITY : value * scale)),
      );
    const random = fc.oneof(
      fc.constant(0),
      fc.constant(1 - 2 ** -32),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    );
    fc.assert(
      fc.property(anyOptions, anyLogits, random, (options, logits, drawn) => {
        const given = logits.slice();
        const found = quickly(options, logits, drawn);
        expect(logits).toEqual(given);
        if (found !== undefined) expect(found).toBe(slowly(options, given, drawn));
      }),
      { numRuns: 3000 },
    );
  });

  it('says nothing where rounding would decide', () => {
    // the first three have 0.75 of the mass, to the last bit
    expect(quickly({ ...plain, topP: 0.75 }, new Float64Array(4), 0.5)).toBeUndefined();
    expect(quickly({ ...plain, topP: 0.7 }, new Float64Array(4), 0.5)).toBe(1);
    expect(quickly(plain, new Float64Array(4), 0.25)).toBeUndefined();
    expect(quickly(plain, new Float64Array(4), 0.26)).toBe(1);
    // and where the logits' own rounding shows, or temperature goes another way
    expect(quickly(plain, Float64Array.of(1e30, 0), 0.5)).toBeUndefined();
    expect(quickChoice({ ...plain, temperature: 1e-5 }, 4)).toBeUndefined();
  });
});
