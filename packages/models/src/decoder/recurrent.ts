// What a recurrent mixer has beside its linear layers: vectors of weights in each layer, and the state that tokens of a slot
// leave for the next one. Does not own the ops over them (decoder-recurrent.ts) nor which slot holds what (slots.ts).
import type { InputPlace } from '../sparsity/masks.js';
import type { ModelSpec } from '../spec.js';

interface Vector {
  readonly name: string;
  readonly width: number;
}

type Recurrent = Pick<ModelSpec, 'mixer' | 'ffn' | 'hiddenSize' | 'numHiddenLayers'>;

/** Linear layers whose input is mixed of a token and the one before: `layers.k.timeMix.PLACE`, [hiddenSize], is the token's part. */
export function mixedPlaces({ mixer, ffn }: Pick<ModelSpec, 'mixer' | 'ffn'>): readonly InputPlace[] {
  return [
    ...(mixer.kind === 'rwkv4' ? (['k', 'receptance', 'v'] as const) : []),
    ...(ffn.channelMix ? (['ffnReceptance', 'up'] as const) : []),
  ];
}

/** Vectors of weights of each layer, by their names behind `layers.k.`. */
export function recurrentWeights(spec: Recurrent): readonly Vector[] {
  const { mixer, hiddenSize } = spec;
  return [
    ...mixedPlaces(spec).map((place) => ({ name: `timeMix.${place}`, width: hiddenSize })),
    ...(mixer.kind === 'rwkv4' ? ['timeDecay', 'timeFirst'].map((name) => ({ name, width: mixer.width })) : []),
  ];
}

/** Buffers [slots, width]: the last input of mixer and FFN, and the sums of `wkv`, which it begins anew at position 0. */
export function recurrentState({ mixer, ffn, hiddenSize, numHiddenLayers }: Recurrent): readonly Vector[] {
  return Array.from({ length: numHiddenLayers }, (_, layer): Vector[] => [
    ...(mixer.kind === 'rwkv4'
      ? [
          { name: `layers.${layer}.shift`, width: hiddenSize },
          { name: `layers.${layer}.wkv`, width: 3 * mixer.width },
        ]
      : []),
    ...(ffn.channelMix ? [{ name: `layers.${layer}.ffnShift`, width: hiddenSize }] : []),
  ]).flat();
}
