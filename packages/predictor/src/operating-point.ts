// Where a predictor's thresholds lie: each layer's so that a share of the active neurons of held-out tokens is proposed
// (recall), hot neurons always. Scores may be weighed a neuron at a time: the same score means more for one neuron than for
// another. Does not own scores (proposals.ts) nor what thresholds cost (predictor-statistics.ts).
import { signThreshold } from '@relufy/models';
import { type Activity, activeNeuron } from './activity.js';
import { Margins, thresholdFor } from './margins.js';
import { type PredictorDraft, visitProposals } from './proposals.js';
import { everyLayer } from './sites.js';
import type { Hear } from './statistics.js';
import type { Subject } from './subject.js';

/** By layer, what makes scores of different neurons comparable: margin = slope score + offset. */
export interface Margin {
  /** [neurons]; absent: 1. */
  readonly slope?: Float64Array;
  /** [neurons] */
  readonly offset: ArrayLike<number>;
}

export interface OperatingPoints {
  readonly activity: Activity;
  readonly margins: readonly Margin[];
  /** By layer, neurons that are proposed whatever their score. */
  readonly hot: readonly ReadonlySet<number>[];
  readonly recall: number;
}

/** By layer: the margin that a neuron which is not hot has to be above. */
export async function operatingPoints(
  subject: Subject,
  draft: PredictorDraft,
  windows: readonly (readonly number[])[],
  { activity, margins, hot, recall }: OperatingPoints,
  hear: Hear,
): Promise<number[]> {
  const { intermediateSize: neurons } = subject.spec;
  const found = everyLayer(subject.spec, (layer) => ({
    active: new Margins(),
    hotCount: 0,
    isActive: activeNeuron(activity, layer),
  }));
  await visitProposals(
    subject,
    draft,
    windows,
    (layer, scores, h, rows) => {
      const own = found[layer]!;
      const { slope, offset } = margins[layer]!;
      for (let row = 0, at = 0; row < rows; row++)
        for (let i = 0; i < neurons; i++, at++) {
          if (!own.isActive(h[at]!, i)) continue;
          if (hot[layer]!.has(i)) own.hotCount++;
          else own.active.add((slope ? slope[i]! : 1) * scores[at]! + offset[i]!);
        }
    },
    hear,
  );
  return found.map(({ active, hotCount }) => {
    const sorted = active.sorted();
    // of a sample, hot ones count as much less
    const always = active.count > 0 ? (hotCount * sorted.length) / active.count : 0;
    return thresholdFor(sorted, recall, always);
  });
}

/** The thresholds of the scores themselves: [neurons]. */
export function neuronThresholds(margin: Margin, hot: ReadonlySet<number>, least: number): Float32Array {
  const { slope, offset } = margin;
  return Float32Array.from({ length: offset.length }, (_, i) =>
    hot.has(i) ? Number.NEGATIVE_INFINITY : (least - offset[i]!) / (slope ? slope[i]! : 1),
  );
}

/** The alpha of sign bits by which a neuron is proposed where more than `least` signs of `width` agree: to 4 digits. */
export function alphaOf(least: number, width: number): number {
  const agreeing = Math.min(width, Math.max(1, Math.ceil(least)));
  // between what this count needs and what one less would
  const between = (100 * (width - agreeing + 0.5)) / (agreeing - 0.5);
  const rounded = Number(between.toPrecision(5));
  return signThreshold(rounded, width) === agreeing - 0.5 ? rounded : between;
}

/**
 * Margins of scores that nothing was trained for, by the log-odds that a neuron is active with such a score, if scores of
 * active and of other tokens are normal around their own means, equally wide: linear in the score. Means of neurons that were
 * seldom seen active, or seldom not, lean towards the layer's.
 */
export async function scoreMargins(
  subject: Subject,
  draft: PredictorDraft,
  windows: readonly (readonly number[])[],
  activity: Activity,
  hear: Hear,
): Promise<Margin[]> {
  const { intermediateSize: neurons } = subject.spec;
  const sums = everyLayer(subject.spec, (layer) => ({
    isActive: activeNeuron(activity, layer),
    ...{ tokens: 0, on: new Float64Array(neurons), sumOn: new Float64Array(neurons) },
    ...{ sum: new Float64Array(neurons), squares: new Float64Array(neurons) },
  }));
  await visitProposals(
    subject,
    draft,
    windows,
    (layer, scores, h, rows) => {
      const own = sums[layer]!;
      own.tokens += rows;
      for (let row = 0, at = 0; row < rows; row++)
        for (let i = 0; i < neurons; i++, at++) {
          const score = scores[at]!;
          own.sum[i]! += score;
          own.squares[i]! += score * score;
          if (!own.isActive(h[at]!, i)) continue;
          own.on[i]!++;
          own.sumOn[i]! += score;
        }
    },
    hear,
  );
  return sums.map(({ tokens, on, sumOn, sum, squares }) => marginsOf(tokens, on, sumOn, sum, squares));
}

/** Tokens that a neuron's own means are smoothed by, towards the layer's. */
const prior = 16;

function marginsOf(
  tokens: number,
  on: Float64Array,
  sumOn: Float64Array,
  sum: Float64Array,
  squares: Float64Array,
): Margin {
  const neurons = on.length;
  const total = (of: Float64Array) => of.reduce((all, one) => all + one, 0);
  const [allOn, allSumOn, all] = [total(on), total(sumOn), total(sum)];
  const share = Math.min(1 - 1e-6, Math.max(1e-6, allOn / Math.max(1, tokens * neurons)));
  const layerOn = allOn > 0 ? allSumOn / allOn : all / Math.max(1, tokens * neurons);
  const layerOff = (all - allSumOn) / Math.max(1, tokens * neurons - allOn);
  const [slope, offset] = [new Float64Array(neurons), new Float64Array(neurons)];
  for (let i = 0; i < neurons; i++) {
    const mean = sum[i]! / Math.max(1, tokens);
    const off = tokens - on[i]!;
    // where a neuron was not seen active, it is as far from its mean as the layer's are
    const meanOn = (sumOn[i]! + prior * (mean + layerOn - layerOff)) / (on[i]! + prior);
    const meanOff = (sum[i]! - sumOn[i]! + prior * mean) / (off + prior);
    const odds = (on[i]! + prior * share) / (off + prior * (1 - share));
    const variance = squares[i]! / Math.max(1, tokens) - mean * mean;
    const gap = Math.max(1e-3 * Math.sqrt(variance) + 1e-12, meanOn - meanOff);
    // of scores around their own means: what the two means do not explain
    const own = (odds / (1 + odds) ** 2) * gap * gap;
    slope[i] = gap / Math.max(0.05 * variance, variance - own, 1e-12);
    offset[i] = Math.log(odds) - (slope[i]! * (meanOn + meanOff)) / 2;
  }
  return { slope, offset };
}
