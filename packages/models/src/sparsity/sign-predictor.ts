// The predictor of sign bits (SparseInfer, arXiv 2411.12692): what a model's own weights and alpha give it when a plan is
// loaded, so that the plan itself is a line of JSON. Does not own the rule (masks.ts), the ops (decoder-masks.ts) or how
// bits are packed (tensor's signs.ts).
import { type BufferDecl, packSigns, type Session, signWords } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { judgedRows, predictedLayers } from './judged-weight.js';

/**
 * The buffers of a predictor of sign bits: `layers.k.predictor.signs`, those of the gate (of `up` in a plain FFN), and,
 * unless the plan has thresholds of its own, `layers.k.predictor.threshold`, what `signThreshold` gives, which may be
 * written between steps.
 */
export function signBuffers(spec: ModelSpec): BufferDecl[] {
  const { predictor, hiddenSize, intermediateSize } = spec;
  if (predictor?.kind !== 'signs') return [];
  return predictedLayers(spec).flatMap((layer): BufferDecl[] => {
    const of = `layers.${layer}.predictor`;
    const shape = [intermediateSize, signWords(hiddenSize)];
    const threshold: BufferDecl = { name: `${of}.threshold`, kind: 'constant', dtype: 'f32', shape: [1] };
    return [
      { name: `${of}.signs`, kind: 'constant', dtype: 'i32', shape },
      ...(predictor.perNeuron ? [] : [threshold]),
    ];
  });
}

/**
 * Signs that agree have to be more than this for a neuron to be computed: it is left out where
 * 100 negative > alpha positive, with `positive` of `width` signs alike and `negative` not. Half of an odd number.
 */
export function signThreshold(alpha: number, width: number): number {
  const isLeftOut = (agreeing: number) => 100 * (width - agreeing) > alpha * agreeing;
  let least = Math.max(0, Math.floor((100 * width) / (100 + alpha)) - 1);
  while (isLeftOut(least)) least++;
  return least - 0.5;
}

/** Derives the predictor from the weights that the session holds, in whatever format. */
export async function fillSigns(
  spec: ModelSpec,
  buffers: readonly BufferDecl[],
  session: Session,
  signal?: AbortSignal,
): Promise<void> {
  const { predictor, hiddenSize } = spec;
  if (predictor?.kind !== 'signs') return;
  for (const layer of predictedLayers(spec)) {
    for await (const { row, dtype, weight } of judgedRows(spec, buffers, session, layer, signal)) {
      const signs = packSigns(dtype, weight, hiddenSize);
      await session.write(`layers.${layer}.predictor.signs`, signs, row * signWords(hiddenSize));
    }
    if (predictor.perNeuron) continue;
    const threshold = signThreshold(predictor.alpha[layer] as number, hiddenSize);
    await session.write(`layers.${layer}.predictor.threshold`, [threshold]);
  }
}
