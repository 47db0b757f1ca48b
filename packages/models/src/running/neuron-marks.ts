// The marks of neurons that tokens of a slot used, `layers.k.loaded`: whether there are any, forgetting and counting them. Programs of the phase
// `load` write them, those of `reuse` compute no others (decoder-builder.ts).
// Does not own who marks when (reuse.ts, steps.ts).
import { elementsOf, type Session } from '@relufy/tensor';
import type { Decoder } from '../decoder/decoder.js';
import type { ModelSpec } from '../spec.js';

interface Marked {
  readonly session: Session;
  readonly spec: ModelSpec;
}

/** A model has room for marks where it was loaded so. */
export const hasMarks = ({ decoder }: { readonly decoder: Pick<Decoder, 'buffers'> }): boolean =>
  decoder.buffers.some(({ name }) => name === 'layers.0.loaded');

/** Takes the marks away from a slot. Within a turn. */
export async function forgetMarks({ session, spec }: Marked, slot: number): Promise<void> {
  const none = new Float32Array(spec.intermediateSize);
  for (let layer = 0; layer < spec.numHiddenLayers; layer++)
    await session.write(`layers.${layer}.loaded`, none, slot * none.length);
}

/** By layer, how many neurons are marked for a slot. */
export async function countMarks({ session, spec }: Marked, slot: number): Promise<readonly number[]> {
  const width = spec.intermediateSize;
  const counts: number[] = [];
  for (let layer = 0; layer < spec.numHiddenLayers; layer++) {
    const marks = await elementsOf(session, `layers.${layer}.loaded`, slot * width, (slot + 1) * width);
    let count = 0;
    for (let i = 0; i < width; i++) if (marks[i] !== 0) count++;
    counts.push(count);
  }
  return counts;
}
