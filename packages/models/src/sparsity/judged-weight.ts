// The weight that decides whether a neuron is active, the gate (in a plain FFN `up`), read from a session some rows at a time:
// what predictors that are made of a model's own weights are made from. Does not own what they make of it (sign-predictor.ts,
// two-bit-predictor.ts).
import {
  type BufferDecl,
  type BufferView,
  elementsOf,
  isBlockDType,
  rowBytes,
  type Session,
  type WeightDType,
  yieldToEventLoop,
} from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { predictsAt } from './masks.js';

/** Bytes of weights that are looked at between two turns of the event loop. */
const chunkBytes = 4 << 20;

export const judgedRole = ({ ffn }: Pick<ModelSpec, 'ffn'>): 'gate' | 'up' => (ffn.kind === 'gated' ? 'gate' : 'up');

/** Layers that have a predictor. */
export const predictedLayers = (spec: ModelSpec): readonly number[] =>
  Array.from({ length: spec.numHiddenLayers }, (_, layer) => layer).filter((layer) => predictsAt(spec, layer));

export interface JudgedRows {
  /** Of the first one. */
  readonly row: number;
  readonly dtype: WeightDType;
  /** As `Session.read` gives them. */
  readonly weight: BufferView;
}

/** All rows of a layer's, in order. */
export async function* judgedRows(
  spec: ModelSpec,
  buffers: readonly BufferDecl[],
  session: Session,
  layer: number,
  signal?: AbortSignal,
): AsyncGenerator<JudgedRows> {
  const { hiddenSize, intermediateSize } = spec;
  const name = `layers.${layer}.${judgedRole(spec)}.weight`;
  const dtype = buffers.find((buffer) => buffer.name === name)?.dtype as WeightDType;
  const stride = isBlockDType(dtype) ? rowBytes(dtype, hiddenSize) : hiddenSize;
  const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes(dtype, hiddenSize)));
  for (let row = 0; row < intermediateSize; row += chunkRows) {
    const last = Math.min(intermediateSize, row + chunkRows);
    yield { row, dtype, weight: await elementsOf(session, name, row * stride, last * stride) };
    await yieldToEventLoop();
    signal?.throwIfAborted();
  }
}
