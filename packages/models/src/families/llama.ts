// Llama: pre-norm RMS blocks, rotary positions, gated FFN. Also the ReLU ones: ReluLLaMA, ProSparse (`sparsellama`).
import type { ModelSpec } from '../spec.js';
import type { ConfigReader } from './config-reader.js';
import { affine, type Family, headRows, slice, type WeightMap, type WeightPart, whole } from './family.js';
import { ropePositions } from './rope-config.js';

export const llama: Family = {
  modelTypes: ['llama', 'sparsellama'],
  parse,
  weights,
  optionalPrefix: 'model.',
  ignored: /rotary_emb\.inv_freq$/,
};

function parse(config: ConfigReader): ModelSpec {
  const hiddenSize = config.size('hidden_size');
  const numAttentionHeads = config.size('num_attention_heads');
  const numKeyValueHeads = config.size('num_key_value_heads', numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0)
    config.fail('num_key_value_heads', `a divisor of num_attention_heads (${numAttentionHeads})`);
  if (!config.has('head_dim') && hiddenSize % numAttentionHeads !== 0)
    config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize}), or a head_dim`);
  const headDim = config.size('head_dim', Math.floor(hiddenSize / numAttentionHeads));
  for (const key of ['scale_emb', 'scale_depth', 'embedding_multiplier', 'residual_multiplier', 'logits_scaling'])
    config.neutral(key, (value) => value === 1, '1 (multipliers are not Llama)');
  config.neutral('use_qk_norm', (value) => value === false, 'false');
  config.neutral('use_sliding_window', (value) => value === false, 'false');
  const bias = config.flag('attention_bias', false);
  return {
    vocabSize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('intermediate_size'),
    numHiddenLayers: config.size('num_hidden_layers', undefined, 1024),
    maxPositionEmbeddings: config.size('max_position_embeddings', 2048),
    tieWordEmbeddings: config.flag('tie_word_embeddings', false),
    embeddingSize: hiddenSize,
    norm: { kind: 'rms', eps: config.positive('rms_norm_eps', 1e-6), weight: true, bias: false, relu: false },
    finalNorm: true,
    positions: ropePositions(config, headDim),
    block: { kind: 'preNorm' },
    attention: { numAttentionHeads, numKeyValueHeads, headDim, qkvBias: bias, outBias: bias },
    ffn: {
      kind: 'gated',
      activation: config.activation('hidden_act', 'silu'),
      bias: config.flag('mlp_bias', false),
    },
  };
}

function weights(spec: ModelSpec): WeightMap {
  const map = new Map<string, readonly WeightPart[]>();
  const { hiddenSize, intermediateSize, attention, ffn } = spec;
  const { q, kv } = headRows(spec);
  map.set('embedTokens', whole('model.embed_tokens.weight', spec.vocabSize));
  for (let i = 0; i < spec.numHiddenLayers; i++) {
    const [to, from] = [`layers.${i}`, `model.layers.${i}`];
    affine(map, `${to}.attentionNorm`, `${from}.input_layernorm`, hiddenSize, spec.norm);
    affine(map, `${to}.ffnNorm`, `${from}.post_attention_layernorm`, hiddenSize, spec.norm);
    for (const kind of attention.qkvBias ? ['weight', 'bias'] : ['weight'])
      map.set(`${to}.qkv.${kind}`, [
        slice(`${from}.self_attn.q_proj.${kind}`, q, 0, q),
        slice(`${from}.self_attn.k_proj.${kind}`, kv, 0, kv),
        slice(`${from}.self_attn.v_proj.${kind}`, kv, 0, kv),
      ]);
    affine(map, `${to}.o`, `${from}.self_attn.o_proj`, hiddenSize, { bias: attention.outBias });
    affine(map, `${to}.gate`, `${from}.mlp.gate_proj`, intermediateSize, ffn);
    affine(map, `${to}.up`, `${from}.mlp.up_proj`, intermediateSize, ffn);
    affine(map, `${to}.down`, `${from}.mlp.down_proj`, hiddenSize, ffn);
  }
  affine(map, 'finalNorm', 'model.norm', hiddenSize, spec.norm);
  if (!spec.tieWordEmbeddings) map.set('lmHead', whole('lm_head.weight', spec.vocabSize));
  return map;
}
