// Neurons that mattered in a prompt, kept for the whole answer (GRIFFIN, arXiv 2404.01365; TDA, 2408.11393): nothing is
// calibrated. The prompt is computed whole; then its neurons are ranked, and the answer is written with the best of them. A plan
// cannot say this, since it is the same for every prompt: its mask is rewritten for each. Does not own plans (@relufy/models).
import type { Model, ModelSpec } from '@relufy/models';
import { aNumber, checkOptions, RelufyError } from '@relufy/tensor';
import type { PlanDraft } from './calibration.js';
import { everyLayer, siteAt, thresholdMask, thresholdTensors } from './sites.js';

/** Load a model with this plan (`planFolder`): it leaves nothing out until `keepPromptNeurons` is called. */
export function promptNeuronsPlan(spec: ModelSpec): PlanDraft {
  const scale = everyLayer(spec, () => new Float32Array(spec.intermediateSize).fill(1));
  const sites = [siteAt(spec, [placeOf(spec)], { scale })];
  return {
    plan: { method: 'prompt-neurons', masks: sites.map(thresholdMask) },
    tensors: thresholdTensors(sites, spec.numHiddenLayers, () => 0),
  };
}

/** What the gate lets through; without a gate, the input of `down`. */
const placeOf = ({ ffn }: ModelSpec): 'neurons' | 'down' => (ffn.kind === 'gated' ? 'neurons' : 'down');

const rules = { keep: aNumber(0, 1) };

/**
 * Computes a prompt whole and keeps, in each layer, the share `keep` of neurons with the largest norms over its tokens, each
 * token's neurons divided by their norm. An answer to the prompt that follows (`model.generate(ids)`) goes on from its cache and
 * reads no other neurons; `keep: 1` opens all again.
 * @throws RelufyError `option` for a model that was loaded without `promptNeuronsPlan`.
 */
export async function keepPromptNeurons(
  model: Pick<Model, 'spec' | 'forward' | 'writePlan'>,
  ids: readonly number[],
  options: { readonly keep: number },
): Promise<void> {
  checkOptions('keepPromptNeurons', options, rules);
  const { spec } = model;
  const { intermediateSize: width } = spec;
  const place = placeOf(spec);
  const [mask] = (spec.masks ?? []).filter(({ at }) => at[0] === place);
  if (!(mask?.kind === 'magnitude' && mask.perChannel))
    throw new RelufyError(
      'option',
      `keepPromptNeurons: expected a model loaded with promptNeuronsPlan, got ${mask?.kind ?? 'no'} mask at ${place}. Load it with that plan.`,
    );
  const name = (layer: number) => `layers.${layer}.${place}.threshold`;
  await model.writePlan(Object.fromEntries(everyLayer(spec, (layer) => [name(layer), new Float32Array(width)])));
  const taps = everyLayer(spec, (layer) => `down.${layer}`);
  const { captured } = await model.forward(ids, { capture: taps });
  const kept = Math.round(options.keep * width);
  const numbers = everyLayer(spec, (layer) => {
    const bars = new Float32Array(width).fill(Number.POSITIVE_INFINITY);
    const sizes = promptSizes(captured[`down.${layer}`] as Float32Array, width);
    const order = Uint32Array.from(sizes.keys()).sort((a, b) => sizes[b]! - sizes[a]! || a - b);
    for (const neuron of order.subarray(0, kept)) bars[neuron] = 0;
    return [name(layer), bars] as const;
  });
  await model.writePlan(Object.fromEntries(numbers), { keepCache: true });
}

/** Of each neuron, the squared norm over tokens of h_i / ||h||. */
function promptSizes(h: Float32Array, width: number): Float64Array {
  const sizes = new Float64Array(width);
  for (let at = 0; at < h.length; at += width) {
    let all = 0;
    for (let i = 0; i < width; i++) all += h[at + i]! * h[at + i]!;
    if (all > 0) for (let i = 0; i < width; i++) sizes[i]! += (h[at + i]! * h[at + i]!) / all;
  }
  return sizes;
}
