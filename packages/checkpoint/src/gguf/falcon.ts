// Falcon in GGUF: names, metadata keys, and the order of the fused query_key_value rows.
// Hugging Face keeps each group's queries with its key and value; GGUF all queries, then all keys, then all values.
// llama.cpp knows the rotary, parallel, bias-free Falcons only (7B, 40B, 180B, 11B).
// Does not own: the mapping's machinery (as-hugging-face.ts, export.ts).
import type { Architecture, JsonObject, RowOrder, TensorFacts } from './architecture.js';
import type { GgufConfig } from './gguf-config.js';
import type { GgufFields } from './metadata.js';
import { shortestF32 } from './shortest.js';

const secondNorm = 'blk.0.attn_norm_2.weight';

export const falcon: Architecture = {
  name: 'falcon',
  tiedByDefault: true,
  modelTypes: ['falcon'],
  names: (facts) => [
    ['token_embd.weight', 'transformer.word_embeddings.weight'],
    ['output.weight', 'lm_head.weight'],
    ['blk.{n}.attn_qkv.weight', 'transformer.h.{n}.self_attention.query_key_value.weight'],
    ['blk.{n}.attn_output.weight', 'transformer.h.{n}.self_attention.dense.weight'],
    ['blk.{n}.ffn_up.weight', 'transformer.h.{n}.mlp.dense_h_to_4h.weight'],
    ['blk.{n}.ffn_down.weight', 'transformer.h.{n}.mlp.dense_4h_to_h.weight'],
    ...(['weight', 'bias'] as const).flatMap((part): (readonly [string, string])[] => [
      [`output_norm.${part}`, `transformer.ln_f.${part}`],
      // With two norms, the first one is the MLP's.
      [
        `blk.{n}.attn_norm.${part}`,
        `transformer.h.{n}.${facts.has(secondNorm) ? 'ln_mlp' : 'input_layernorm'}.${part}`,
      ],
      [`blk.{n}.attn_norm_2.${part}`, `transformer.h.{n}.ln_attn.${part}`],
    ]),
  ],
  described: [],
  config: toConfig,
  fields: toFields,
  rowOrder(name, config) {
    if (!name.endsWith('.self_attention.query_key_value.weight')) return undefined;
    const heads = config.size('num_attention_heads');
    const groups = keyValueHeads(config);
    return groups === 1 ? undefined : groupedHeads(heads, groups, config.size('hidden_size') / heads);
  },
};

/** Hugging Face: per group, its queries, its key, its value. Stored: all queries, all keys, all values. */
function groupedHeads(heads: number, groups: number, headDim: number): RowOrder {
  const perGroup = heads / groups;
  return {
    rows: (heads + 2 * groups) * headDim,
    toStored(row) {
      const head = Math.floor(row / headDim);
      const group = Math.floor(head / (perGroup + 2));
      const slot = head % (perGroup + 2);
      const stored = slot < perGroup ? group * perGroup + slot : heads + (slot - perGroup) * groups + group;
      return stored * headDim + (row % headDim);
    },
    toHuggingFace(row) {
      const stored = Math.floor(row / headDim);
      const isQuery = stored < heads;
      const group = isQuery ? Math.floor(stored / perGroup) : (stored - heads) % groups;
      const slot = isQuery ? stored % perGroup : perGroup + Math.floor((stored - heads) / groups);
      return (group * (perGroup + 2) + slot) * headDim + (row % headDim);
    },
  };
}

/** As the Hugging Face implementation reads its config: `num_kv_heads` counts only in the new architecture. */
function keyValueHeads(reader: GgufConfig): number {
  if (reader.config.new_decoder_architecture)
    return reader.optional('num_kv_heads') ?? reader.size('num_attention_heads');
  return reader.config.multi_query === false ? reader.size('num_attention_heads') : 1;
}

function toConfig(fields: GgufFields, tensors: TensorFacts | undefined): JsonObject {
  const size = (key: string): number => fields.required(`falcon.${key}`, fields.size(`falcon.${key}`));
  const groups = fields.size('falcon.attention.head_count_kv') ?? 1;
  const twoNorms = tensors?.has(secondNorm) ?? groups > 1;
  const isNew = groups > 1 || twoNorms;
  return {
    architectures: ['FalconForCausalLM'],
    model_type: 'falcon',
    hidden_size: size('embedding_length'),
    ffn_hidden_size: size('feed_forward_length'),
    num_hidden_layers: size('block_count'),
    num_attention_heads: size('attention.head_count'),
    num_kv_heads: groups,
    new_decoder_architecture: isNew,
    multi_query: groups === 1,
    num_ln_in_parallel_attn: isNew ? (twoNorms ? 2 : 1) : null,
    parallel_attn: true,
    bias: false,
    alibi: false,
    activation: 'gelu',
    layer_norm_epsilon: shortestF32(
      fields.required('falcon.attention.layer_norm_epsilon', fields.number('falcon.attention.layer_norm_epsilon')),
    ),
    rope_theta: shortestF32(fields.number('falcon.rope.freq_base') ?? 10000),
    max_position_embeddings: size('context_length'),
    vocab_size:
      tensors?.rows('token_embd.weight') ??
      fields.size('falcon.vocab_size') ??
      fields.strings('tokenizer.ggml.tokens')?.length,
    tie_word_embeddings: tensors ? !tensors.has('output.weight') : true,
  };
}

function toFields(reader: GgufConfig): ReturnType<Architecture['fields']> {
  const { config } = reader;
  if (config.alibi === true) reader.refuse('alibi', 'false');
  if (config.bias === true) reader.refuse('bias', 'false');
  if (!config.new_decoder_architecture && config.parallel_attn === false) reader.refuse('parallel_attn', 'true');
  const uint = (key: string, value: number) => [`falcon.${key}`, { type: 'uint32', value }] as const;
  const hidden = reader.size('hidden_size');
  return [
    uint('context_length', reader.optional('max_position_embeddings') ?? 2048),
    ['falcon.tensor_data_layout', { type: 'string', value: 'jploski' }],
    uint('embedding_length', hidden),
    uint('feed_forward_length', reader.optional('ffn_hidden_size') ?? 4 * hidden),
    uint('block_count', reader.size('num_hidden_layers')),
    uint('attention.head_count', reader.size('num_attention_heads')),
    uint('attention.head_count_kv', keyValueHeads(reader)),
    ['falcon.attention.layer_norm_epsilon', { type: 'float32', value: Number(config.layer_norm_epsilon ?? 1e-5) }],
    ['falcon.rope.freq_base', { type: 'float32', value: Number(config.rope_theta ?? 10000) }],
    uint('vocab_size', reader.size('vocab_size')),
  ];
}
