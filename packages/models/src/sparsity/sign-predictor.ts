// The predictor of sign bits (SparseInfer, arXiv 2411.12692): what a model's own weights and alpha give it when a plan is
// loaded, so that the plan itself is a line of JSON. Does not own the rule (masks.ts), the ops (decoder-masks.ts) or how
// bits are packed (tensor's signs.ts).
import {
  type BufferDecl,
  elementsOf,
  isBlockDType,
  packSigns,
  rowBytes,
  type Session,
  signWords,
  type WeightDType,
  yieldToEventLoop,
} from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { predictsAt } from './masks.js';

/** Bytes of weights that are looked at between two turns of the event loop. */
const chunkBytes = 4 << 20;

/**
 * The buffers of a predictor of sign bits: `layers.k.predictor.signs`, those of the gate (of `up` in a plain FFN), and,
 * unless the plan has thresholds of its own, `layers.k.predictor.threshold`, what `signThreshold` gives, which may be
 * written between steps.
 */
export function signBuffers(spec: ModelSpec): BufferDecl[] {
  const { predictor, hiddenSize, intermediateSize } = spec;
  if (predictor?.kind !== 'signs') return [];
  return signLayers(spec).flatMap((layer): BufferDecl[] => {
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
  const { predictor, ffn, hiddenSize, intermediateSize } = spec;
  if (predictor?.kind !== 'signs') return;
  for (const layer of signLayers(spec)) {
    const judged = `layers.${layer}.${ffn.kind === 'gated' ? 'gate' : 'up'}.weight`;
    const dtype = buffers.find(({ name }) => name === judged)?.dtype as WeightDType;
    const stride = isBlockDType(dtype) ? rowBytes(dtype, hiddenSize) : hiddenSize;
    const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes(dtype, hiddenSize)));
    for (let row = 0; row < intermediateSize; row += chunkRows) {
      const last = Math.min(intermediateSize, row + chunkRows);
      const weight = await elementsOf(session, judged, row * stride, last * stride);
      const signs = packSigns(dtype, weight, hiddenSize);
      await session.write(`layers.${layer}.predictor.signs`, signs, row * signWords(hiddenSize));
      await yieldToEventLoop();
      signal?.throwIfAborted();
    }
    if (predictor.perNeuron) continue;
    const threshold = signThreshold(predictor.alpha[layer] as number, hiddenSize);
    await session.write(`layers.${layer}.predictor.threshold`, [threshold]);
  }
}

const signLayers = (spec: ModelSpec): readonly number[] =>
  Array.from({ length: spec.numHiddenLayers }, (_, layer) => layer).filter((layer) => predictsAt(spec, layer));
