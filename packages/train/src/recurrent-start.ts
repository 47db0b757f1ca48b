// What the vectors of a recurrent mixer begin with when a model is drawn: the ramps of RWKV-4's own training code, so that channels
// forget at different speeds and early layers look at the token before. Does not own matrices (start-model.ts).
import type { ModelSpec } from '@relufy/models';

/** Of a buffer `layers.k.NAME`; undefined for any other, which is drawn. */
export function recurrentStart(
  { numHiddenLayers }: Pick<ModelSpec, 'numHiddenLayers'>,
  buffer: string,
  width: number,
): Float32Array | undefined {
  const [, at, name] = /^layers\.(\d+)\.(timeMix\.\w+|timeDecay|timeFirst)$/.exec(buffer) ?? [];
  if (at === undefined) return undefined;
  const layer = Number(at);
  const deep = layer / Math.max(1, numHiddenLayers - 1);
  const shallow = 1 - layer / numHiddenLayers;
  const each = (value: (place: number, channel: number) => number) =>
    Float32Array.from({ length: width }, (_, channel) => value(channel / Math.max(1, width - 1), channel));
  switch (name) {
    case 'timeDecay':
      return each((place) => -5 + 8 * place ** (0.7 + 1.3 * deep));
    case 'timeFirst':
      return each((_, channel) => Math.log(0.3) + 0.5 * (((channel + 1) % 3) - 1));
    case 'timeMix.v':
      return each((_, channel) => (channel / width) ** shallow + 0.3 * deep);
    case 'timeMix.receptance':
      return each((_, channel) => (channel / width) ** (0.5 * shallow));
    default:
      return each((_, channel) => (channel / width) ** shallow);
  }
}
