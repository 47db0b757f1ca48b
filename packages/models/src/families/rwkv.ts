// RWKV-4 as transformers has it (RwkvForCausalLM, the Pile checkpoints): a recurrent mixer, and an FFN with ReLU^2 whose input
// is mixed with that of the token before. `rescale_every` halves weights and the residual stream for f16, which the next norm
// undoes; in f32 nothing is to be gained, so it is read over.
import type { ConfigReader } from '@relufy/tensor';
import { projections } from '../decoder/projections.js';
import { mixedPlaces } from '../decoder/recurrent.js';
import type { InputPlace } from '../sparsity/masks.js';
import type { ModelSpec } from '../spec.js';
import { affine, type Family, type WeightMap, type WeightPart, whole } from './family.js';

export const rwkv: Family = {
  modelTypes: ['rwkv'],
  parse,
  weights,
  optionalPrefix: 'rwkv.',
  ignored: /^$/,
};

function parse(config: ConfigReader): ModelSpec {
  const hiddenSize = config.size('hidden_size', 4096);
  return {
    vocabSize: config.size('vocab_size', 50277),
    hiddenSize,
    intermediateSize: config.size('intermediate_size', 4 * hiddenSize),
    numHiddenLayers: config.size('num_hidden_layers', 32, 1024),
    maxPositionEmbeddings: config.size('context_length', 1024),
    tieWordEmbeddings: config.flag('tie_word_embeddings', false),
    embeddingSize: hiddenSize,
    // the library makes the last one without the config's epsilon
    norm: { kind: 'layer', eps: config.positive('layer_norm_epsilon', 1e-5), weight: true, bias: true, finalEps: 1e-5 },
    embeddingNorm: true,
    finalNorm: true,
    positions: { kind: 'none' },
    block: { kind: 'preNorm' },
    mixer: { kind: 'rwkv4', width: config.size('attention_hidden_size', hiddenSize) },
    ffn: { kind: 'plain', activation: { kind: 'relu2', threshold: 0 }, bias: false, channelMix: true },
  };
}

/** Of each linear layer: its tensor, and the vector that mixes its input. */
const tensorOf: Readonly<Partial<Record<InputPlace, readonly [weight: string, timeMix?: string]>>> = {
  k: ['attention.key', 'attention.time_mix_key'],
  receptance: ['attention.receptance', 'attention.time_mix_receptance'],
  v: ['attention.value', 'attention.time_mix_value'],
  o: ['attention.output'],
  ffnReceptance: ['feed_forward.receptance', 'feed_forward.time_mix_receptance'],
  up: ['feed_forward.key', 'feed_forward.time_mix_key'],
  down: ['feed_forward.value'],
};

function weights(spec: ModelSpec): WeightMap {
  const map = new Map<string, readonly WeightPart[]>();
  const { hiddenSize, norm } = spec;
  map.set('embedTokens', whole('rwkv.embeddings.weight', spec.vocabSize));
  affine(map, 'embeddingNorm', 'rwkv.blocks.0.pre_ln', hiddenSize, norm);
  for (let i = 0; i < spec.numHiddenLayers; i++) {
    const [to, from] = [`layers.${i}`, `rwkv.blocks.${i}`];
    affine(map, `${to}.attentionNorm`, `${from}.ln1`, hiddenSize, norm);
    affine(map, `${to}.ffnNorm`, `${from}.ln2`, hiddenSize, norm);
    for (const { role, out } of projections(spec)) {
      const [weight] = tensorOf[role as InputPlace] as readonly [string];
      affine(map, `${to}.${role}`, `${from}.${weight}`, out, { bias: false });
    }
    for (const place of mixedPlaces(spec))
      map.set(
        `${to}.timeMix.${place}`,
        whole(`${from}.${tensorOf[place]?.[1]}`, hiddenSize).map((part) => ({ ...part, shape: [1, 1, hiddenSize] })),
      );
    for (const [name, tensor] of [
      ['timeDecay', 'time_decay'],
      ['timeFirst', 'time_first'],
    ] as const)
      map.set(
        `${to}.${name}`,
        whole(`${from}.attention.${tensor}`, spec.mixer.kind === 'rwkv4' ? spec.mixer.width : 0),
      );
  }
  affine(map, 'finalNorm', 'rwkv.ln_out', hiddenSize, norm);
  if (!spec.tieWordEmbeddings) map.set('lmHead', whole('head.weight', spec.vocabSize));
  return map;
}
