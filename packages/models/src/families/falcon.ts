// Falcon: the 7B shape (multi-query, parallel block), the 40B shape (grouped queries, two norms), and RW (ALiBi,
// biases, sequential block). Its fused QKV comes in three layouts, which are undone here, at load.
import type { ConfigReader } from '@relufy/tensor';
import { attentionOf, headRows, type ModelSpec } from '../spec.js';
import { activationOf } from './config-values.js';
import { affine, type Family, linears, slice, type WeightMap, type WeightPart, whole } from './family.js';
import { ropePositions } from './rope-config.js';

export const falcon: Family = {
  modelTypes: ['falcon', 'RefinedWeb', 'RefinedWebModel'],
  activationKey: 'activation',
  parse,
  weights,
  optionalPrefix: 'transformer.',
  ignored: /rotary(_emb)?\.inv_freq$/,
};

function parse(config: ConfigReader): ModelSpec {
  const hiddenSize = config.size('hidden_size');
  // RefinedWeb configs, before the architecture moved into transformers, say n_head, n_layer, n_head_kv
  const headsKey = config.has('num_attention_heads') ? 'num_attention_heads' : 'n_head';
  const heads = config.size(headsKey);
  if (hiddenSize % heads !== 0) config.fail(headsKey, `a divisor of hidden_size (${hiddenSize})`);
  const newDecoder = config.flag('new_decoder_architecture', config.raw('model_type') === 'RefinedWeb');
  const multiQuery = config.flag('multi_query', true);
  const kvKey = config.has('num_kv_heads') ? 'num_kv_heads' : 'n_head_kv';
  const kvHeads = newDecoder ? config.size(kvKey, heads) : multiQuery ? 1 : heads;
  if (heads % kvHeads !== 0) config.fail(kvKey, `a divisor of ${headsKey} (${heads})`);
  const parallel = config.flag('parallel_attn', true);
  if (newDecoder && !parallel) config.fail('parallel_attn', 'true with new_decoder_architecture');
  const norms = config.size('num_ln_in_parallel_attn', newDecoder ? 2 : 1, 2);
  if (norms === 2 && !newDecoder) config.fail('num_ln_in_parallel_attn', '1 without new_decoder_architecture');
  config.neutral('apply_residual_connection_post_layernorm', (value) => value === false, 'false');
  const headDim = hiddenSize / heads;
  const bias = config.flag('bias', false);
  return {
    vocabSize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('ffn_hidden_size', 4 * hiddenSize),
    numHiddenLayers: config.size(config.has('num_hidden_layers') ? 'num_hidden_layers' : 'n_layer', undefined, 1024),
    maxPositionEmbeddings: config.size('max_position_embeddings', 2048),
    tieWordEmbeddings: config.flag('tie_word_embeddings', true),
    embeddingSize: hiddenSize,
    norm: { kind: 'layer', eps: config.positive('layer_norm_epsilon', 1e-5), weight: true, bias: true },
    finalNorm: true,
    positions: config.flag('alibi', false)
      ? { kind: 'alibi', times: alibiTimes(config) }
      : ropePositions(config, headDim),
    block: parallel ? { kind: 'parallel', norms: norms === 2 ? 2 : 1 } : { kind: 'preNorm' },
    mixer: {
      kind: 'attention',
      ...{ numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim, qkvBias: bias, outBias: bias },
    },
    ffn: { kind: 'plain', activation: activationOf(config, 'activation', 'gelu'), bias },
  };
}

/**
 * Since the causal mask of transformers carries the ALiBi bias, its eager attention adds it twice: with the mask and by
 * itself. Checkpoints made with such a version mean that; the published RW models are older and mean it once.
 */
function alibiTimes(config: ConfigReader): 1 | 2 {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(String(config.raw('transformers_version'))) ?? [];
  return Number(major) > 4 || (Number(major) === 4 && Number(minor) >= 41) ? 2 : 1;
}

function weights(spec: ModelSpec): WeightMap {
  const map = new Map<string, readonly WeightPart[]>();
  const { hiddenSize, block } = spec;
  map.set('embedTokens', whole('transformer.word_embeddings.weight', spec.vocabSize));
  for (let i = 0; i < spec.numHiddenLayers; i++) {
    const [to, from] = [`layers.${i}`, `transformer.h.${i}`];
    const twoNorms = block.kind === 'parallel' && block.norms === 2;
    affine(map, `${to}.attentionNorm`, `${from}.${twoNorms ? 'ln_attn' : 'input_layernorm'}`, hiddenSize, spec.norm);
    if (twoNorms) affine(map, `${to}.ffnNorm`, `${from}.ln_mlp`, hiddenSize, spec.norm);
    if (block.kind === 'preNorm')
      affine(map, `${to}.ffnNorm`, `${from}.post_attention_layernorm`, hiddenSize, spec.norm);
    const tensors = {
      o: `${from}.self_attention.dense`,
      up: `${from}.mlp.dense_h_to_4h`,
      down: `${from}.mlp.dense_4h_to_h`,
    };
    linears(map, spec, to, tensors, (part) => fusedQkv(spec, `${from}.self_attention.query_key_value.${part}`));
  }
  affine(map, 'finalNorm', 'transformer.ln_f', hiddenSize, spec.norm);
  if (!spec.tieWordEmbeddings) map.set('lmHead', whole('lm_head.weight', spec.vocabSize));
  return map;
}

/**
 * The fused tensor is a list of groups, one a kv head, each [queries of the group, key, value]: multi-query has one
 * group, classic heads one a head, and the 40B shape lies between. Ours is all queries, all keys, all values.
 */
function fusedQkv(spec: ModelSpec, tensor: string): readonly WeightPart[] {
  const { numAttentionHeads, numKeyValueHeads, headDim } = attentionOf(spec);
  const queries = numAttentionHeads / numKeyValueHeads;
  const groupRows = (queries + 2) * headDim;
  const part = (group: number, head: number, heads: number) =>
    slice(tensor, headRows(spec).all, group * groupRows + head * headDim, heads * headDim);
  const groups = Array.from({ length: numKeyValueHeads }, (_, group) => group);
  return [
    ...groups.map((group) => part(group, 0, queries)),
    ...groups.map((group) => part(group, queries, 1)),
    ...groups.map((group) => part(group, queries + 1, 1)),
  ];
}
