// The predictor of partial exact scores: a copy of what judges a neuron, the gate or `up` in a plain FFN, stored by inputs and in
// few bits, made from the weights that a session holds when a plan is loaded. Does not own the rule (masks.ts) or the ops
// (decoder-masks.ts).
import {
  type BufferDecl,
  dequantizeRow,
  elementsOf,
  isBlockDType,
  rowBytes,
  type Session,
  type WeightDType,
  widen,
  yieldToEventLoop,
} from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { judgedRole } from './judged-weight.js';
import { predictsAt } from './masks.js';
import { planValues } from './plan-values.js';

/** Numbers of the copy that are made at a time, in f32. */
const chunkNumbers = 1 << 22;

/** `layers.k.predictor.gate`, [hidden, neurons]: a row is what one input adds to every neuron's score. */
export function partialBuffers(spec: ModelSpec): BufferDecl[] {
  const { predictor, hiddenSize, intermediateSize } = spec;
  if (predictor?.kind !== 'partial') return [];
  const { dtype = 'int4' } = predictor;
  return predictor.inputs.flatMap((_, layer): BufferDecl[] =>
    predictsAt(spec, layer)
      ? [
          {
            name: `layers.${layer}.predictor.gate`,
            kind: 'constant',
            dtype,
            shape: [hiddenSize, intermediateSize],
            transposed: true,
          },
        ]
      : [],
  );
}

/** Fills the copies, so many inputs at a time, from weights in whatever format. */
export async function fillPartial(
  spec: ModelSpec,
  buffers: readonly BufferDecl[],
  session: Session,
  signal?: AbortSignal,
): Promise<void> {
  const { hiddenSize, intermediateSize } = spec;
  const inputs = Math.max(1, Math.min(hiddenSize, Math.floor(chunkNumbers / intermediateSize)));
  for (const copy of partialBuffers(spec)) {
    const judged = copy.name.replace('predictor.gate', `${judgedRole(spec)}.weight`);
    const source = buffers.find(({ name }) => name === judged) as BufferDecl;
    const rowElements = isBlockDType(copy.dtype) ? rowBytes(copy.dtype, intermediateSize) : intermediateSize;
    for (let first = 0; first < hiddenSize; first += inputs) {
      const count = Math.min(inputs, hiddenSize - first);
      const columns = new Float32Array(count * intermediateSize);
      for (let neuron = 0; neuron < intermediateSize; neuron++) {
        const row = await weightRow(session, source, neuron, hiddenSize);
        for (let i = 0; i < count; i++) columns[i * intermediateSize + neuron] = row[first + i] as number;
      }
      const values = planValues({ ...copy, shape: [count, intermediateSize] }, columns);
      await session.write(copy.name, values, first * rowElements);
      await yieldToEventLoop();
      signal?.throwIfAborted();
    }
  }
}

/** One row of a row-major weight, in f32. */
async function weightRow(
  session: Session,
  { name, dtype }: BufferDecl,
  row: number,
  columns: number,
): Promise<Float32Array> {
  const stride = isBlockDType(dtype) ? rowBytes(dtype, columns) : columns;
  const stored = await elementsOf(session, name, row * stride, (row + 1) * stride);
  if (isBlockDType(dtype)) return dequantizeRow(dtype, stored as Uint8Array, columns);
  const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength).slice();
  return widen(dtype as Extract<WeightDType, 'f32' | 'bf16'>, bytes);
}
