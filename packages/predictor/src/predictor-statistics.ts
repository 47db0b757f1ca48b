// How good a predictor is on a text: recall, precision, what it proposes and what its misses would have added, a layer
// each, and what another threshold would do. Measured on the dense model's numbers, by the kernels that run the plan.
// Does not own charts (predictor-report.ts) nor perplexity (subject.ts).
import { type Predictor, predictorSizes, predictsAt } from '@relufy/models';
import { type Activity, activeNeuron } from './activity.js';
import type { LayerTime } from './layer-time.js';
import { Margins, shareAbove, thresholdFor } from './margins.js';
import { type PredictorDraft, thresholdOf, visitProposals } from './proposals.js';
import { everyLayer } from './sites.js';
import type { Hear } from './statistics.js';
import type { Subject } from './subject.js';

/** What a shift of a layer's thresholds gives. */
export interface CurvePoint {
  readonly recall: number;
  /** Share of neurons that are proposed. */
  readonly proposed: number;
  /** Of sign bits: the alpha that does it. */
  readonly alpha?: number;
}

export interface LayerPrediction {
  readonly layer: number;
  /** Of a low-rank predictor, of sign bits with one threshold, of partial scores. */
  readonly rank?: number;
  readonly alpha?: number;
  readonly inputs?: number;
  readonly hasPredictor: boolean;
  /** Share of neurons that are active. */
  readonly active: number;
  /** Share that is proposed; 1 without a predictor. */
  readonly proposed: number;
  /** Of the active ones, those that are proposed. */
  readonly recall: number;
  /** Of the proposed ones, those that are active. */
  readonly precision: number;
  /** Of what active neurons add, |h_i| ||W_down[:, i]||, the share of those that were missed. */
  readonly missed: number;
  /** Bytes that a token reads of the predictor, and all of the layer's FFN. */
  readonly bytes: number;
  readonly ffnBytes: number;
  readonly curve: readonly CurvePoint[];
  /** Where layers were timed, with the predictor that was fitted, kept or not, and without. */
  readonly ms?: LayerTime;
}

/** Recalls at which curves are told. */
const recalls = [0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999];

export async function predictorStatistics(
  subject: Subject,
  draft: PredictorDraft,
  windows: readonly (readonly number[])[],
  activity: Activity,
  hear: Hear,
): Promise<LayerPrediction[]> {
  const { spec } = subject;
  const { predictor } = draft.plan;
  const { intermediateSize: neurons, hiddenSize } = spec;
  const layers = everyLayer(spec, (layer) => ({
    isActive: activeNeuron(activity, layer),
    threshold: Float64Array.from({ length: neurons }, (_, i) => thresholdOf(draft, layer, hiddenSize)(i)),
    norms: activity.norms[layer]!,
    ...{ tokens: 0, active: 0, proposed: 0, hits: 0, added: 0, missed: 0, hotActive: 0 },
    ...{ activeMargins: new Margins(), allMargins: new Margins(), hot: 0 },
  }));
  await visitProposals(
    subject,
    draft,
    windows,
    (layer, scores, h, rows) => {
      const own = layers[layer]!;
      own.tokens += rows;
      for (let row = 0, at = 0; row < rows; row++)
        for (let i = 0; i < neurons; i++, at++) {
          const margin = scores[at]! - own.threshold[i]!;
          const [isProposed, isActive] = [margin > 0, own.isActive(h[at]!, i)];
          const isHot = margin === Number.POSITIVE_INFINITY;
          if (isProposed) own.proposed++;
          if (isHot) own.hot++;
          else own.allMargins.add(margin);
          if (!isActive) continue;
          own.active++;
          if (isHot) own.hotActive++;
          else own.activeMargins.add(margin);
          const adds = Math.abs(h[at]!) * own.norms[i]!;
          own.added += adds;
          if (isProposed) own.hits++;
          else own.missed += adds;
        }
    },
    hear,
  );
  const sizes = await layerBytes(subject, draft);
  return layers.map((own, layer): LayerPrediction => {
    const all = own.tokens * neurons;
    if (!predictsAt(spec, layer))
      return {
        ...{ layer, hasPredictor: false, active: Number.NaN, proposed: 1, recall: 1, precision: Number.NaN, missed: 0 },
        ...{ bytes: 0, ffnBytes: sizes[layer]!.ffn, curve: [] },
      };
    return {
      ...{ layer, hasPredictor: true },
      ...sizeOf(predictor, layer),
      active: own.active / all,
      proposed: own.proposed / all,
      recall: own.active === 0 ? 1 : own.hits / own.active,
      precision: own.proposed === 0 ? 1 : own.hits / own.proposed,
      missed: own.added === 0 ? 0 : own.missed / own.added,
      ...{ bytes: sizes[layer]!.predictor, ffnBytes: sizes[layer]!.ffn },
      curve: curveOf(own, all, signAlpha(draft, layer, hiddenSize)),
    };
  });
}

function sizeOf(predictor: Predictor, layer: number): Pick<LayerPrediction, 'rank' | 'alpha' | 'inputs'> {
  const size = predictorSizes(predictor)[layer] as number;
  if (predictor.kind === 'signs') return predictor.perNeuron ? {} : { alpha: size };
  if (predictor.kind === 'two-bit') return {};
  return predictor.kind === 'partial' ? { inputs: size } : { rank: size };
}

interface Counted {
  readonly activeMargins: Margins;
  readonly allMargins: Margins;
  readonly active: number;
  readonly hot: number;
  readonly hotActive: number;
}

function curveOf(own: Counted, all: number, alphaOf: ((shift: number) => number) | undefined): CurvePoint[] {
  const [active, every] = [own.activeMargins.sorted(), own.allMargins.sorted()];
  if (active.length === 0) return [];
  const always = (own.hotActive * active.length) / own.activeMargins.count;
  return recalls.map((recall) => {
    const shift = thresholdFor(active, recall, always);
    const proposed = (shareAbove(every, shift) * own.allMargins.count + own.hot) / all;
    return { recall, proposed, ...(alphaOf && { alpha: alphaOf(shift) }) };
  });
}

/** The alpha that moves a layer's threshold by so many signs. */
function signAlpha(draft: PredictorDraft, layer: number, hiddenSize: number): ((shift: number) => number) | undefined {
  const { predictor } = draft.plan;
  if (predictor.kind !== 'signs' || predictor.perNeuron) return undefined;
  const least = thresholdOf(draft, layer, hiddenSize)(0);
  return (shift) => {
    const agreeing = Math.max(1, least + shift);
    return (100 * (hiddenSize - agreeing)) / agreeing;
  };
}

/** Bytes of each layer's predictor and of its FFN, as they lie in memory. The subject is left with the plan. */
async function layerBytes(
  subject: Subject,
  draft: PredictorDraft,
): Promise<{ readonly predictor: number; readonly ffn: number }[]> {
  await subject.use(draft);
  const sums = everyLayer(subject.spec, () => ({ predictor: 0, ffn: 0 }));
  const sizes = predictorSizes(draft.plan.predictor);
  for (const { site, layer, rowBytes, rows, activeCount } of subject.reads) {
    const sum = sums[layer];
    if (sum === undefined) continue;
    if (site === 'predictor') sum.predictor += rowBytes * (activeCount === undefined ? rows : sizes[layer]!);
    if (site === 'upGate' || site === 'up' || site === 'down') sum.ffn += rowBytes * rows;
  }
  return sums;
}

/** Sums and means over the layers that have a predictor. */
export interface PredictorTotals {
  /** Mean of the layers' shares, of those with a predictor. */
  readonly recall: number;
  readonly precision: number;
  readonly active: number;
  readonly proposed: number;
  readonly missed: number;
  /** Predictor bytes over the bytes of all FFNs. */
  readonly share: number;
  readonly layers: number;
}

export function predictorTotals(layers: readonly LayerPrediction[]): PredictorTotals {
  const own = layers.filter(({ hasPredictor }) => hasPredictor);
  const mean = (of: (one: LayerPrediction) => number) =>
    own.length === 0 ? Number.NaN : own.reduce((sum, one) => sum + of(one), 0) / own.length;
  const sum = (of: (one: LayerPrediction) => number) => layers.reduce((all, one) => all + of(one), 0);
  return {
    // of all active neurons, not of layers: a layer with few of them weighs little
    recall: mean(({ recall, active }) => recall * active) / mean(({ active }) => active),
    precision: mean(({ precision, proposed }) => precision * proposed) / mean(({ proposed }) => proposed),
    active: mean(({ active }) => active),
    proposed: mean(({ proposed }) => proposed),
    missed: mean(({ missed }) => missed),
    share: sum(({ bytes }) => bytes) / sum(({ ffnBytes }) => ffnBytes),
    layers: own.length,
  };
}
