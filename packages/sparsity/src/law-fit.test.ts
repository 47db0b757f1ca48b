// A law that made the points is found again, within what noise leaves of it; and what is no curve of shares is refused.
import { describe, expect, it } from 'vitest';
import { fitActivationLaw } from './law-fit.js';
import { activationLaws, activationRatioAfter } from './laws.js';

const tokens = Array.from({ length: 24 }, (_, i) => 2e9 * 1.25 ** i);

describe('fitActivationLaw', () => {
  it.each([
    ['falling', 'relu', '0.4B'],
    ['falling', 'relu', '0.8B'],
    ['rising', 'silu', '0.1B'],
    ['rising', 'silu', '0.8B'],
  ] as const)('%s: finds %s %s again', (kind, activation, size) => {
    const law = activationLaws[activation][size]!;
    const points = tokens.map((each) => [each, activationRatioAfter(each, law)] as const);
    const fitted = fitActivationLaw(points, kind);
    expect(fitted.meanError).toBeLessThan(1e-5);
    expect(fitted.law.limit).toBeCloseTo(law.limit, 3);
    expect(fitted.law.alpha / law.alpha).toBeCloseTo(1, 1);
    expect(activationRatioAfter(5e11, fitted.law)).toBeCloseTo(activationRatioAfter(5e11, law), 3);
  });

  it('leaves the noise as residuals, at the scale of small runs too', () => {
    const law = { alpha: 0.7, c: 4e-4, limit: 0.6 };
    const noise = (at: number) => 0.002 * Math.sin(at * 12.9898);
    const points = Array.from({ length: 16 }, (_, at) => {
      const read = 2e5 * (at + 1);
      return [read, activationRatioAfter(read, law) + noise(at)] as const;
    });
    const { law: found, residuals, meanError } = fitActivationLaw(points, 'rising');
    expect(meanError).toBeLessThan(0.002);
    expect(residuals).toHaveLength(16);
    expect(Math.abs(residuals.reduce((sum, one) => sum + one, 0))).toBeLessThan(1e-4);
    expect(Math.abs(found.limit - law.limit)).toBeLessThan(0.05);
  });

  it.each([
    [
      'too few points',
      [
        [1e9, 0.1],
        [2e9, 0.09],
        [3e9, 0.08],
      ],
      'falling',
    ],
    [
      'no tokens',
      [
        [0, 0.1],
        [2e9, 0.2],
        [3e9, 0.3],
      ],
      'rising',
    ],
    [
      'percent',
      [
        [1e9, 10],
        [2e9, 20],
        [3e9, 30],
      ],
      'rising',
    ],
    [
      'NaN',
      [
        [1e9, Number.NaN],
        [2e9, 0.2],
        [3e9, 0.3],
      ],
      'rising',
    ],
  ] as const)('refuses %s', (_, points, kind) => {
    expect(() => fitActivationLaw(points, kind)).toThrow(
      /^fitActivationLaw: expected at least [34] points .* Measure more/,
    );
  });
});
