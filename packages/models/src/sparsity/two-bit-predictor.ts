// The predictor of two bits a weight: what a model's own gate (or `up`) gives it when a plan is loaded, so that the plan itself
// holds thresholds alone. Does not own the rule (masks.ts), the ops (decoder-masks.ts) or how codes are packed (tensor's
// two-bits.ts).
import { type BufferDecl, packTwoBits, type Session, twoBitWords } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { judgedRows, predictedLayers } from './judged-weight.js';

/** `layers.k.predictor.codes` and `layers.k.predictor.scales`, of each neuron's row. */
export function twoBitBuffers(spec: ModelSpec): BufferDecl[] {
  const { predictor, hiddenSize, intermediateSize } = spec;
  if (predictor?.kind !== 'two-bit') return [];
  return predictedLayers(spec).flatMap((layer): BufferDecl[] => {
    const of = `layers.${layer}.predictor`;
    const shape = [intermediateSize, twoBitWords(hiddenSize)];
    return [
      { name: `${of}.codes`, kind: 'constant', dtype: 'i32', shape },
      { name: `${of}.scales`, kind: 'constant', dtype: 'f32', shape: [intermediateSize] },
    ];
  });
}

/** Derives the predictor from the weights that the session holds, in whatever format. */
export async function fillTwoBits(
  spec: ModelSpec,
  buffers: readonly BufferDecl[],
  session: Session,
  signal?: AbortSignal,
): Promise<void> {
  if (spec.predictor?.kind !== 'two-bit') return;
  const words = twoBitWords(spec.hiddenSize);
  for (const layer of predictedLayers(spec))
    for await (const { row, dtype, weight } of judgedRows(spec, buffers, session, layer, signal)) {
      const { codes, scales } = packTwoBits(dtype, weight, spec.hiddenSize);
      await session.write(`layers.${layer}.predictor.codes`, codes, row * words);
      await session.write(`layers.${layer}.predictor.scales`, scales, row);
    }
}
