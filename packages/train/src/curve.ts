// The loss curve of a run as an SVG: training loss, smoothed, and held-out loss over steps. Does not own the numbers, nor
// how charts are drawn (@relufy/charts).
import { lineChart } from '@relufy/charts';

export interface CurvePoint {
  readonly step: number;
  /** Of the batch; step 0 has none. */
  readonly loss?: number;
  readonly validationLoss?: number;
}

/** Share of the mean so far in the smoothed loss of a step. */
const inertia = 0.95;

/** @param points by step; at least one */
export function lossCurve(points: readonly CurvePoint[]): string {
  let smooth: number | undefined;
  const training = points.flatMap(({ step, loss }) => {
    if (loss === undefined) return [];
    smooth = inertia * (smooth ?? loss) + (1 - inertia) * loss;
    return [[step, smooth] as const];
  });
  const heldOut = points.flatMap(({ step, validationLoss }) =>
    validationLoss === undefined ? [] : [[step, validationLoss] as const],
  );
  const lines = [
    { name: 'training, smoothed', points: training },
    { name: 'held-out', points: heldOut, dots: true },
  ];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [, loss] of [...training, ...heldOut]) [low, high] = [Math.min(low, loss), Math.max(high, loss)];
  const yDomain = [low, high] as const;
  return `${lineChart({ title: 'Loss of a token', x: 'steps', y: 'loss', lines: lines.filter(({ points: some }) => some.length > 0), yDomain })}\n`;
}
