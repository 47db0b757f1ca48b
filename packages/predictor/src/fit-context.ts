// What the parts of a fit share: the model, its text in pieces, which neurons are active, and a predictor whose thresholds are
// not set yet. Does not own the fit (fit.ts).
import type { Predictor } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import type { Activity } from './activity.js';
import type { PlanTensor } from './calibration.js';
import { activeShares, captureChunks, type Samples } from './capture.js';
import type { FitOptions } from './fit-options.js';
import type { Margin } from './operating-point.js';
import { thresholdName } from './proposals.js';
import type { RankPoint } from './rank-allocation.js';
import type { Hear } from './statistics.js';
import type { Subject } from './subject.js';

export type Windows = readonly (readonly number[])[];

export interface FitContext {
  readonly subject: Subject;
  readonly options: FitOptions;
  readonly activity: Activity;
  readonly windows: Windows;
  readonly heldOut: Windows;
  readonly hear: (what: string) => Hear;
}

/** A predictor before its thresholds. */
export interface Unset {
  readonly predictor: Predictor;
  readonly tensors: ReadonlyMap<string, PlanTensor>;
  readonly margins: readonly Margin[];
  readonly hot: readonly ReadonlySet<number>[];
  readonly rankCurves?: readonly (readonly RankPoint[])[];
}

/** The place of a layer's thresholds, until they are set. */
export const unsetThreshold = (layer: number, neurons: number): readonly [string, PlanTensor] => [
  thresholdName(layer),
  { shape: [neurons], values: new Float32Array(neurons) },
];

/** Samples of windows, as the options say. */
export function samplesOf({ subject, options, activity, hear }: FitContext, windows: Windows, what: string) {
  const { input = 'normed', captureBytes = 2 ** 29 } = options;
  return captureChunks(subject, windows, { activity, input, bytes: captureBytes, hear: hear(what) });
}

/** By layer, neurons that are active in more than a share of tokens. */
export function hotNeurons(samples: Samples, neurons: number, hot: number | undefined): ReadonlySet<number>[] {
  return samples.layers.map((_, layer) => {
    const shares = hot === undefined ? [] : activeShares(samples, layer, neurons);
    return new Set([...shares.entries()].flatMap(([neuron, share]) => (share > (hot as number) ? [neuron] : [])));
  });
}

export const noneSaves = ({ recall = 0.95 }: FitOptions): RelufyError =>
  new RelufyError(
    'option',
    `fitPredictors: expected a layer whose predictor saves more than it reads at a recall of ${recall}, got none. Ask for a lower recall, run the model's own zeros without predictors, or keep them with keepAll.`,
  );
