// What a plan's predictor says of every neuron while nothing is left out: thresholds are opened, so a pass over a text is
// that of the dense model, and scores and neurons are seen side by side. Works for every kind of predictor, by the kernels
// that run it. Does not own thresholds (operating-point.ts) nor statistics (predictor-statistics.ts).
import { type Predictor, predictsAt, type SparsityPlan, signThreshold } from '@relufy/models';
import type { PlanDraft, PlanTensor } from './calibration.js';
import { everyLayer } from './sites.js';
import type { Hear } from './statistics.js';
import type { Subject } from './subject.js';

/** A plan with a predictor. */
export interface PredictorDraft extends PlanDraft {
  readonly plan: SparsityPlan & { readonly predictor: Predictor };
}

/** So careful that no count of signs is too small. */
const openAlpha = 1e12;

/** Rows [rows, neurons] of a layer: the predictor's scores, and h, what enters `down`. Valid during the call. */
export type ProposalHook = (layer: number, scores: Float32Array, h: Float32Array, rows: number) => void;

/** Runs the windows through the dense model, with the predictor beside it. */
export async function visitProposals(
  subject: Subject,
  draft: PredictorDraft,
  windows: readonly (readonly number[])[],
  look: ProposalHook,
  hear: Hear,
): Promise<void> {
  await subject.use(opened(draft));
  const { spec } = subject;
  const judged = everyLayer(spec, (layer) => predictsAt(spec, layer));
  const taps = judged.flatMap((has, layer) => (has ? [`predictorScores.${layer}`, `down.${layer}`] : []));
  for (const [index, ids] of windows.entries()) {
    hear(index / windows.length);
    await subject.pass(ids, taps, (layer, tap, rows) => {
      if (judged[layer]) look(layer, tap(`predictorScores.${layer}`), tap(`down.${layer}`), rows);
    });
  }
}

const thresholdName = (layer: number): string => `layers.${layer}.predictor.threshold`;

/** The plan's predictor alone, which proposes every neuron. */
function opened({ plan: { predictor }, tensors }: PredictorDraft): PlanDraft {
  const own = new Map<string, PlanTensor>();
  for (const [name, tensor] of tensors) {
    if (!/^layers\.\d+\.predictor\./.test(name)) continue;
    const isThreshold = name.endsWith('.threshold');
    own.set(name, isThreshold ? { ...tensor, values: tensor.values.map(() => Number.NEGATIVE_INFINITY) } : tensor);
  }
  const alpha = (list: readonly number[]) => list.map((one) => (one > 0 ? openAlpha : 0));
  return {
    plan: {
      method: 'open',
      predictor: predictor.kind === 'signs' ? { ...predictor, alpha: alpha(predictor.alpha) } : predictor,
    },
    tensors: own,
  };
}

/** What a neuron's score has to be above, as the plan says. */
export function thresholdOf(
  { plan: { predictor }, tensors }: PredictorDraft,
  layer: number,
  hiddenSize: number,
): (neuron: number) => number {
  const values = tensors.get(thresholdName(layer))?.values;
  if (values === undefined) {
    const own = predictor.kind === 'signs' ? signThreshold(predictor.alpha[layer] as number, hiddenSize) : 0;
    return () => own;
  }
  const [only] = values;
  return predictor.perNeuron ? (neuron) => values[neuron] as number : () => only as number;
}

export { thresholdName };
