// Fits the two laws of activation over training tokens (Sparsing Law, arXiv 2411.02335) to measured ratios: damped least squares
// (Levenberg-Marquardt, as the paper), from several starts, since the curves bend both ways. Does not own the laws (laws.ts).
import { RelufyError } from '@relufy/tensor';
import { type ActivationLaw, activationRatioAfter } from './laws.js';

/** Training tokens, and the share of neurons that is active. */
export type ActivationPoint = readonly [tokens: number, ratio: number];

export interface FittedLaw {
  readonly law: ActivationLaw;
  /** Measured minus fitted, a point each. */
  readonly residuals: readonly number[];
  /** Mean of their magnitudes. */
  readonly meanError: number;
}

const alphas = [0.1, 0.3, 0.6, 1, 1.5, 2.5];
const rounds = 400;

/**
 * `falling`: exp(-c D^alpha + b) + limit, four numbers (ReLU); `rising`: limit - c / D^alpha, three (SiLU). D in units of 1e9 tokens,
 * as in `activationLaws`.
 * @throws RelufyError `input` for fewer points than the law has numbers, or points that are no shares.
 */
export function fitActivationLaw(points: readonly ActivationPoint[], kind: 'falling' | 'rising'): FittedLaw {
  const least = kind === 'falling' ? 4 : 3;
  if (points.length < least || points.some(([tokens, ratio]) => !(tokens > 0 && ratio >= 0 && ratio <= 1)))
    throw new RelufyError(
      'input',
      `fitActivationLaw: expected at least ${least} points of tokens above 0 and shares from 0 to 1, got ${JSON.stringify(points)}. Measure more checkpoints.`,
    );
  // tokens in units of their own middle, so that c and b do not fight over nine decades
  const unit = Math.exp(points.reduce((sum, [tokens]) => sum + Math.log(tokens), 0) / points.length);
  const own = points.map(([tokens, ratio]) => [tokens / unit, ratio] as const);
  const ratios = own.map(([, ratio]) => ratio);
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  const span = Math.max(high - low, 1e-6);
  const starts = alphas.flatMap((alpha) =>
    [0.05, 0.5].map((room) =>
      kind === 'falling' ? [alpha, 1, Math.log(span) + 1, low - room * span] : [alpha, span / 2, high + room * span],
    ),
  );
  const ratioAt = kind === 'falling' ? falling : rising;
  const [best] = starts
    .map((start) => descend(start, own, ratioAt))
    .filter(({ error }) => Number.isFinite(error))
    .sort((a, b) => a.error - b.error);
  if (best === undefined) throw new Error('internal: no start of the fit has a finite error');
  const [alpha, c] = best.numbers as [number, number];
  const scale = (1e9 / unit) ** alpha;
  const law: ActivationLaw =
    kind === 'falling'
      ? { alpha, c: c * scale, b: best.numbers[2] as number, limit: best.numbers[3] as number }
      : { alpha, c: c / scale, limit: best.numbers[2] as number };
  const residuals = points.map(([tokens, ratio]) => ratio - activationRatioAfter(tokens, law));
  return { law, residuals, meanError: residuals.reduce((sum, one) => sum + Math.abs(one), 0) / residuals.length };
}

type Curve = (tokens: number, numbers: readonly number[]) => number;

const falling: Curve = (tokens, [alpha = 0, c = 0, b = 0, limit = 0]) => Math.exp(-c * tokens ** alpha + b) + limit;
const rising: Curve = (tokens, [alpha = 0, c = 0, limit = 0]) => limit - c / tokens ** alpha;

/** Exponents stay positive, and so does c: other curves are not these laws. */
const isLaw = ([alpha = 0, c = 0]: readonly number[]): boolean => alpha > 1e-3 && alpha < 8 && c > 0;

function descend(
  start: readonly number[],
  points: readonly ActivationPoint[],
  curve: Curve,
): { readonly numbers: readonly number[]; readonly error: number } {
  const errorOf = (numbers: readonly number[]) =>
    isLaw(numbers) ? points.reduce((sum, [x, y]) => sum + (y - curve(x, numbers)) ** 2, 0) : Number.POSITIVE_INFINITY;
  let numbers = [...start];
  let error = errorOf(numbers);
  let damping = 1e-2;
  for (let round = 0; round < rounds && damping < 1e12; round++) {
    const slopes = points.map(([x]) => slopesAt(numbers, (tried) => curve(x, tried)));
    const residuals = points.map(([x, y]) => y - curve(x, numbers));
    const square = numbers.map((_, i) =>
      numbers.map((_, j) => slopes.reduce((sum, own) => sum + own[i]! * own[j]!, 0)),
    );
    const along = numbers.map((_, i) => slopes.reduce((sum, own, at) => sum + own[i]! * residuals[at]!, 0));
    const damped = square.map((row, i) => row.map((value, j) => (i === j ? value * (1 + damping) + 1e-15 : value)));
    const step = solve(damped, along);
    const tried = numbers.map((value, i) => value + step[i]!);
    const found = errorOf(tried);
    if (found < error) {
      const gain = (error - found) / error;
      [numbers, error, damping] = [tried, found, Math.max(1e-12, damping / 5)];
      if (gain < 1e-12) break;
    } else damping *= 4;
  }
  return { numbers, error };
}

function slopesAt(numbers: readonly number[], value: (numbers: readonly number[]) => number): number[] {
  return numbers.map((own, i) => {
    const step = 1e-6 * Math.max(1, Math.abs(own));
    const at = (moved: number) => value(numbers.map((other, j) => (j === i ? moved : other)));
    return (at(own + step) - at(own - step)) / (2 * step);
  });
}

/** Gauss with the largest pivot; a direction that nothing tells apart gets no step. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let at = 0; at < n; at++) {
    let pivot = at;
    for (let row = at + 1; row < n; row++) if (Math.abs(rows[row]![at]!) > Math.abs(rows[pivot]![at]!)) pivot = row;
    [rows[at], rows[pivot]] = [rows[pivot]!, rows[at]!];
    const own = rows[at]!;
    if (Math.abs(own[at]!) < 1e-300) continue;
    for (let row = 0; row < n; row++) {
      if (row === at) continue;
      const factor = rows[row]![at]! / own[at]!;
      for (let column = at; column <= n; column++) rows[row]![column]! -= factor * own[column]!;
    }
  }
  return rows.map((row, i) => (Math.abs(row[i]!) < 1e-300 ? 0 : row[n]! / row[i]!));
}
