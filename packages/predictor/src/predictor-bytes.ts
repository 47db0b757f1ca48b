// What a predictor reads of memory, and what it lets a step leave. Does not own what is read in a step (@relufy/models).
import type { PredictorDType } from '@relufy/models';
import { rowBytes } from '@relufy/tensor';
import { isRelu } from './activity.js';
import { everyLayer } from './sites.js';
import type { Subject } from './subject.js';

/** Bytes of a predictor of a rank, its thresholds included. */
export function predictorBytes({ spec }: Pick<Subject, 'spec'>, dtype: PredictorDType, rank: number): number {
  const { hiddenSize, intermediateSize: neurons } = spec;
  return rank * rowBytes(dtype, hiddenSize) + neurons * (rowBytes(dtype, rank) + 4);
}

/** By layer: bytes of the FFN's matrices. */
export function ffnBytes({ reads, spec }: Subject): number[] {
  const sums = everyLayer(spec, () => 0);
  for (const { site, layer, rowBytes: bytes, rows } of reads)
    if (site === 'upGate' || site === 'up' || site === 'down') sums[layer]! += bytes * rows;
  return sums;
}

/** By layer: bytes of what is read for proposed neurons alone. Of a ReLU model `up` and `down` follow the gate anyway. */
export function judgedBytes(subject: Subject): number[] {
  const { spec, reads } = subject;
  if (!isRelu(spec)) return ffnBytes(subject);
  const place = spec.ffn.kind === 'gated' ? 'gate' : 'up';
  return everyLayer(spec, (layer) => {
    const read = reads.find(({ weight }) => weight === `layers.${layer}.${place}.weight`);
    if (read === undefined) throw new Error(`internal: nothing reads ${place} of layer ${layer}`);
    return read.rowBytes * read.rows;
  });
}
