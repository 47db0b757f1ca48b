// OPT: learned positions, LayerNorm before (or, in the 350m shape, after) each part, plain FFN, ReLU as published.
import type { ConfigReader } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { activationOf } from './config-values.js';
import { affine, type Family, linears, separateQkv, slice, type WeightMap, type WeightPart, whole } from './family.js';

/** The position table begins with two rows that no token uses. */
const positionOffset = 2;

export const opt: Family = {
  modelTypes: ['opt'],
  activationKey: 'activation_function',
  parse,
  weights,
  optionalPrefix: 'model.',
  ignored: /^$/,
};

function parse(config: ConfigReader): ModelSpec {
  const hiddenSize = config.size('hidden_size');
  const heads = config.size('num_attention_heads');
  if (hiddenSize % heads !== 0) config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize})`);
  const pre = config.flag('do_layer_norm_before', true);
  const affineNorm = config.flag('layer_norm_elementwise_affine', true);
  const bias = config.flag('enable_bias', true);
  return {
    vocabSize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('ffn_dim'),
    numHiddenLayers: config.size('num_hidden_layers', undefined, 1024),
    maxPositionEmbeddings: config.size('max_position_embeddings', 2048),
    tieWordEmbeddings: config.flag('tie_word_embeddings', true),
    embeddingSize: config.size('word_embed_proj_dim', hiddenSize),
    norm: { kind: 'layer', eps: 1e-5, weight: affineNorm, bias: affineNorm },
    finalNorm: pre && !config.flag('_remove_final_layer_norm', false),
    positions: { kind: 'learned' },
    block: { kind: pre ? 'preNorm' : 'postNorm' },
    mixer: {
      kind: 'attention',
      numAttentionHeads: heads,
      numKeyValueHeads: heads,
      headDim: hiddenSize / heads,
      qkvBias: bias,
      outBias: bias,
    },
    ffn: { kind: 'plain', activation: activationOf(config, 'activation_function', 'relu'), bias },
  };
}

function weights(spec: ModelSpec): WeightMap {
  const map = new Map<string, readonly WeightPart[]>();
  const { hiddenSize, maxPositionEmbeddings } = spec;
  const root = 'model.decoder';
  map.set('embedTokens', whole(`${root}.embed_tokens.weight`, spec.vocabSize));
  map.set('embedPositions', [
    slice(
      `${root}.embed_positions.weight`,
      maxPositionEmbeddings + positionOffset,
      positionOffset,
      maxPositionEmbeddings,
    ),
  ]);
  if (spec.embeddingSize !== hiddenSize) {
    map.set('projectIn', whole(`${root}.project_in.weight`, hiddenSize));
    map.set('projectOut', whole(`${root}.project_out.weight`, spec.embeddingSize));
  }
  for (let i = 0; i < spec.numHiddenLayers; i++) {
    const [to, from] = [`layers.${i}`, `${root}.layers.${i}`];
    affine(map, `${to}.attentionNorm`, `${from}.self_attn_layer_norm`, hiddenSize, spec.norm);
    affine(map, `${to}.ffnNorm`, `${from}.final_layer_norm`, hiddenSize, spec.norm);
    const tensors = { o: `${from}.self_attn.out_proj`, up: `${from}.fc1`, down: `${from}.fc2` };
    linears(map, spec, to, tensors, (part) => separateQkv(spec, (one) => `${from}.self_attn.${one}_proj.${part}`));
  }
  if (spec.finalNorm) affine(map, 'finalNorm', `${root}.final_layer_norm`, hiddenSize, spec.norm);
  if (!spec.tieWordEmbeddings) map.set('lmHead', whole('lm_head.weight', spec.vocabSize));
  return map;
}
