// Which neurons of an FFN count as active: those of a ReLU that are not zero, and under SiLU or GELU those that add more
// than a share of the output's error allows (CETT). Does not own what is made of the bits (capture.ts, proposals.ts).
import { type ModelSpec, sparsePlaces, withoutMasks } from '@relufy/models';
import { columnNorms, everyLayer } from './sites.js';
import { collectCett, type Hear } from './statistics.js';
import type { Subject } from './subject.js';

export interface Activity {
  /** By layer: ||W_down[:, i]|| of each neuron, so that |h_i| times it is what the neuron adds. */
  readonly norms: readonly Float32Array[];
  /** By layer: the least |h_i| ||W_down[:, i]|| of an active neuron; absent: whatever is not zero is active. */
  readonly thresholds?: readonly number[];
}

/** Whether zeros of the model's own say which neurons are active. */
export const isRelu = (spec: ModelSpec): boolean => sparsePlaces(withoutMasks(spec)).has('down');

/** `cett`: of a model without ReLU, the error that leaving out inactive neurons makes. */
export async function activityOf(
  subject: Subject,
  windows: readonly (readonly number[])[],
  cett: number,
  hear: Hear,
): Promise<Activity> {
  const { spec } = subject;
  const norms = everyLayer(spec, (layer) => columnNorms(subject, layer, ['down']));
  if (isRelu(spec)) return { norms };
  const { sketches, tokens } = await collectCett(subject, windows, norms, hear);
  return { norms, thresholds: sketches.map((sketch) => sketch.crossing(cett * tokens)) };
}

/** Of one row h [neurons] of a layer. */
export function activeNeuron({ norms, thresholds }: Activity, layer: number): (h: number, neuron: number) => boolean {
  const threshold = thresholds?.[layer];
  if (threshold === undefined) return (h) => h !== 0;
  const own = norms[layer] as Float32Array;
  return (h, neuron) => Math.abs(h) * own[neuron]! >= threshold;
}
