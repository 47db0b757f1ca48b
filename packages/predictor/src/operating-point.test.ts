// The parts of a fit by themselves: samples in bounded memory, thresholds at a recall, alphas of counts, factors in order, and
// bytes shared out among layers.
import { signThreshold } from '@relufy/models';
import { Random } from '@relufy/train';
import { expect, it } from 'vitest';
import { Margins, shareAbove, thresholdFor } from './margins.js';
import { alphaOf, neuronThresholds } from './operating-point.js';
import { allocateRanks, ranksUpTo } from './rank-allocation.js';
import { inputSizes, ordered, startFactors, truncated } from './start-factors.js';

it('a sample keeps all while they are few, then every so many', () => {
  const few = new Margins();
  for (const value of [3, 1, 2]) few.add(value);
  expect([...few.sorted()]).toEqual([1, 2, 3]);
  const many = new Margins();
  for (let i = 0; i < 1_000_000; i++) many.add(i);
  const sorted = many.sorted();
  expect(many.count).toBe(1_000_000);
  expect(sorted.length).toBeLessThanOrEqual(1 << 18);
  expect(new Set(Array.from(sorted.subarray(1), (value, at) => value - sorted[at]!))).toEqual(new Set([4]));
});

it.each([
  [1, 0],
  [0.95, 5],
  [0.5, 50],
  [0.01, 99],
])('at a recall of %f, %i of a hundred are missed', (recall, missed) => {
  const sorted = Float32Array.from({ length: 100 }, (_, i) => i - 50);
  expect(shareAbove(sorted, thresholdFor(sorted, recall))).toBeCloseTo(1 - missed / 100, 9);
  // as many again that are never missed
  expect(shareAbove(sorted, thresholdFor(sorted, recall, 100))).toBeCloseTo(1 - Math.min(100, 2 * missed) / 100, 9);
});

it('an alpha proposes from its count of signs on', () => {
  for (const width of [64, 256, 4096])
    for (const agreeing of [1, 2, width / 4, width / 2, width / 2 + 1, width - 1, width])
      for (const least of [agreeing, agreeing - 0.3])
        expect(signThreshold(alphaOf(least, width), width)).toBe(agreeing - 0.5);
});

it('thresholds of neurons undo their margins, hot ones are never missed', () => {
  const margin = { slope: Float64Array.of(2, 1, 1), offset: [1, 0, 0] };
  expect([...neuronThresholds(margin, new Set([2]), 3)]).toEqual([1, 3, Number.NEGATIVE_INFINITY]);
});

it('factors begin at the matrix that judges, and in order the first are the best', () => {
  const [neurons, hidden, tokens] = [24, 8, 40];
  const random = new Random(5);
  const values = Float32Array.from({ length: neurons * hidden }, () => random.normal());
  const x = Float32Array.from({ length: tokens * hidden }, (_, at) => random.normal() + (at % hidden) / 4);
  const sizes = inputSizes({ x }, hidden);
  const start = (rank: number) =>
    startFactors(sizes, {
      ...{ judged: { rows: neurons, columns: hidden, values }, offset: (n) => n / 24, rank, relu: false, seed: 1 },
    });
  const scores = ({ a, b, bias, rank }: ReturnType<typeof start>, token: number) =>
    Array.from({ length: neurons }, (_, n) => {
      let sum = bias[n]!;
      for (let r = 0; r < rank; r++)
        for (let i = 0; i < hidden; i++) sum += b[n * rank + r]! * a[r * hidden + i]! * x[token * hidden + i]!;
      return sum;
    });
  const whole = start(hidden);
  // of full rank the sign is the answer itself
  for (let token = 0; token < tokens; token++)
    for (const [n, score] of scores(whole, token).entries()) {
      let exact = n / 24;
      for (let i = 0; i < hidden; i++) exact += values[n * hidden + i]! * x[token * hidden + i]!;
      if (Math.abs(exact) > 1e-3) expect(Math.sign(score)).toBe(Math.sign(exact));
    }
  const sorted = ordered(whole, sizes);
  const error = (of: ReturnType<typeof start>) => {
    let sum = 0;
    for (let token = 0; token < tokens; token++) {
      const [one, other] = [scores(of, token), scores(whole, token)];
      for (let n = 0; n < neurons; n++) sum += (one[n]! - other[n]!) ** 2;
    }
    return sum;
  };
  expect(error(sorted)).toBeLessThan(1e-3);
  const errors = [1, 3, 5, 7].map((rank) => error(truncated(sorted, rank)));
  expect(errors).toEqual([...errors].sort((one, other) => other - one));
});

it('bytes go where they save most, and nowhere where nothing is saved', () => {
  const point = (rank: number, proposed: number) => ({ rank, proposed });
  const curves = [
    [point(1, 0.9), point(2, 0.5), point(4, 0.45)],
    [point(1, 0.2), point(2, 0.19), point(4, 0.18)],
    [point(1, 1), point(2, 0.995), point(4, 0.99)],
  ];
  const at = (budget: number) => allocateRanks({ curves, bytesOf: (rank) => 10 * rank, judgedBytes: 1000, budget });
  expect(at(0)).toEqual([0, 0, 0]);
  expect(at(10)).toEqual([0, 1, 0]);
  expect(at(30)).toEqual([2, 1, 0]);
  expect(at(1000)).toEqual([4, 1, 0]);
});

it('ranks to try end with the largest', () => {
  expect(ranksUpTo(5)).toEqual([1, 2, 3, 4, 5]);
  expect(ranksUpTo(100).at(-1)).toBe(100);
  expect(
    ranksUpTo(100)
      .slice(0, -1)
      .every((rank) => rank % 8 === 0),
  ).toBe(true);
});
