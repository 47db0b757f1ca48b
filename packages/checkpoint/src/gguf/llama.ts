// Llama in GGUF: names, metadata keys, and the order of the query and key rows.
// GGML rotates neighbouring pairs of a head, Hugging Face pairs half a head apart; llama.cpp's converter therefore
// interleaves the two halves of every head of q and k, and reading undoes it.
// Does not own: the mapping's machinery (as-hugging-face.ts, export.ts).
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import type { Architecture, ConfigReader, JsonObject, RowOrder, TensorFacts } from './architecture.js';
import type { GgufFields } from './metadata.js';
import { llama3Scaling, ropeFactors } from './rope-factors.js';
import { shortestF32 } from './shortest.js';

const ropeFrequencies = 'rope_freqs.weight';

const names: readonly (readonly [string, string])[] = [
  ['token_embd.weight', 'model.embed_tokens.weight'],
  ['output_norm.weight', 'model.norm.weight'],
  ['output.weight', 'lm_head.weight'],
  ['blk.{n}.attn_norm.weight', 'model.layers.{n}.input_layernorm.weight'],
  ['blk.{n}.ffn_norm.weight', 'model.layers.{n}.post_attention_layernorm.weight'],
  ...(['weight', 'bias'] as const).flatMap((part): (readonly [string, string])[] => [
    [`blk.{n}.attn_q.${part}`, `model.layers.{n}.self_attn.q_proj.${part}`],
    [`blk.{n}.attn_k.${part}`, `model.layers.{n}.self_attn.k_proj.${part}`],
    [`blk.{n}.attn_v.${part}`, `model.layers.{n}.self_attn.v_proj.${part}`],
    [`blk.{n}.attn_output.${part}`, `model.layers.{n}.self_attn.o_proj.${part}`],
    [`blk.{n}.ffn_gate.${part}`, `model.layers.{n}.mlp.gate_proj.${part}`],
    [`blk.{n}.ffn_up.${part}`, `model.layers.{n}.mlp.up_proj.${part}`],
    [`blk.{n}.ffn_down.${part}`, `model.layers.{n}.mlp.down_proj.${part}`],
  ]),
];

export const llama: Architecture = {
  name: 'llama',
  modelType: 'llama',
  names: () => names,
  described: [ropeFrequencies],
  config: toConfig,
  fields: toFields,
  rowOrder(name, config) {
    const match = /\.self_attn\.([qk])_proj\.(weight|bias)$/.exec(name);
    if (!match) return undefined;
    const heads = config.size('num_attention_heads');
    const headDim = config.optional('head_dim') ?? config.size('hidden_size') / heads;
    const count = match[1] === 'q' ? heads : (config.optional('num_key_value_heads') ?? heads);
    return interleavedHalves(count, headDim);
  },
};

/** Row `half * d/2 + i` of a head in Hugging Face's order is row `2 * i + half` in GGML's. */
function interleavedHalves(heads: number, headDim: number): RowOrder {
  const half = headDim / 2;
  return {
    rows: heads * headDim,
    toStored(row) {
      const within = row % headDim;
      return row - within + 2 * (within % half) + Math.floor(within / half);
    },
    toHuggingFace(row) {
      const within = row % headDim;
      return row - within + (within % 2) * half + (within >> 1);
    },
  };
}

function toConfig(fields: GgufFields, tensors: TensorFacts | undefined): JsonObject {
  const experts = fields.size('llama.expert_count') ?? 0;
  if (experts > 0)
    throw malformed(
      fields.where,
      `metadata "llama.expert_count", expected 0, got ${experts}`,
      'Mixtures of experts are not supported.',
    );
  const size = (key: string): number => fields.required(`llama.${key}`, fields.size(`llama.${key}`));
  const heads = size('attention.head_count');
  const headDim =
    fields.size('llama.attention.key_length') ??
    fields.size('llama.rope.dimension_count') ??
    size('embedding_length') / heads;
  const rotated = fields.size('llama.rope.dimension_count') ?? headDim;
  const valueDim = fields.size('llama.attention.value_length') ?? headDim;
  if (rotated !== headDim || valueDim !== headDim || headDim % 2 !== 0)
    throw malformed(
      fields.where,
      `metadata "llama.rope.dimension_count", expected the even head size ${headDim}, got ${rotated} (values ${valueDim})`,
    );
  const ropeTheta = shortestF32(fields.number('llama.rope.freq_base') ?? 10000);
  const contextLength = size('context_length');
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: size('embedding_length'),
    intermediate_size: size('feed_forward_length'),
    num_hidden_layers: size('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: fields.size('llama.attention.head_count_kv') ?? heads,
    head_dim: headDim,
    hidden_act: 'silu',
    rms_norm_eps: shortestF32(
      fields.required(
        'llama.attention.layer_norm_rms_epsilon',
        fields.number('llama.attention.layer_norm_rms_epsilon'),
      ),
    ),
    rope_theta: ropeTheta,
    rope_scaling: ropeScaling(fields, tensors, ropeTheta, headDim),
    max_position_embeddings: contextLength,
    vocab_size:
      tensors?.rows('token_embd.weight') ??
      fields.size('llama.vocab_size') ??
      fields.strings('tokenizer.ggml.tokens')?.length,
    tie_word_embeddings: tensors ? !tensors.has('output.weight') : false,
    attention_bias: tensors?.has('blk.0.attn_q.bias') ?? false,
    mlp_bias: tensors?.has('blk.0.ffn_up.bias') ?? false,
  };
}

function ropeScaling(
  fields: GgufFields,
  tensors: TensorFacts | undefined,
  theta: number,
  headDim: number,
): JsonObject | null {
  const factors = tensors?.values(ropeFrequencies);
  if (factors) return { ...llama3Scaling(fields.where, factors, theta, headDim) };
  const type = fields.string('llama.rope.scaling.type') ?? 'none';
  const factor = fields.number('llama.rope.scaling.factor') ?? fields.number('llama.rope.scale_linear') ?? 0;
  if (type === 'linear' || (type === 'none' && fields.metadata.has('llama.rope.scale_linear')))
    return factor === 0 || factor === 1 ? null : { rope_type: 'linear', type: 'linear', factor: shortestF32(factor) };
  if (type === 'none') return null;
  throw malformed(
    fields.where,
    `metadata "llama.rope.scaling.type", expected none or linear, got ${show(type)}`,
    'This scaling is not supported.',
  );
}

function toFields(reader: ConfigReader): ReturnType<Architecture['fields']> {
  const { config } = reader;
  const heads = reader.size('num_attention_heads');
  const headDim = reader.optional('head_dim') ?? reader.size('hidden_size') / heads;
  const rope = (config.rope_parameters ?? config.rope_scaling ?? {}) as JsonObject;
  const type = rope.rope_type ?? rope.type ?? 'default';
  const theta = Number(rope.rope_theta ?? config.rope_theta ?? 10000);
  if (type !== 'default' && type !== 'linear' && type !== 'llama3')
    reader.refuse('rope_scaling', 'default, linear or llama3');
  const uint = (key: string, value: number) => [`llama.${key}`, { type: 'uint32', value }] as const;
  const float = (key: string, value: number) => [`llama.${key}`, { type: 'float32', value }] as const;
  return [
    uint('context_length', reader.size('max_position_embeddings')),
    uint('embedding_length', reader.size('hidden_size')),
    uint('block_count', reader.size('num_hidden_layers')),
    uint('feed_forward_length', reader.size('intermediate_size')),
    uint('attention.head_count', heads),
    uint('attention.head_count_kv', reader.optional('num_key_value_heads') ?? heads),
    uint('attention.key_length', headDim),
    uint('attention.value_length', headDim),
    float('attention.layer_norm_rms_epsilon', Number(config.rms_norm_eps ?? 1e-6)),
    float('rope.freq_base', theta),
    uint('rope.dimension_count', headDim),
    uint('vocab_size', reader.size('vocab_size')),
    ...(type === 'linear'
      ? [
          ['llama.rope.scaling.type', { type: 'string', value: 'linear' }] as const,
          float('rope.scaling.factor', Number(rope.factor)),
        ]
      : []),
  ];
}

/** The tensor `rope_freqs.weight` that a llama3 scaling is written as; undefined for other scalings. */
export function ropeFrequencyTensor(config: JsonObject): { name: string; values: Float32Array } | undefined {
  const rope = (config.rope_parameters ?? config.rope_scaling ?? {}) as JsonObject;
  if (config.model_type !== 'llama' || (rope.rope_type ?? rope.type) !== 'llama3') return undefined;
  const theta = Number(rope.rope_theta ?? config.rope_theta ?? 10000);
  const headDim = Number(config.head_dim ?? Number(config.hidden_size) / Number(config.num_attention_heads));
  const numbers = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
    ...rope,
  };
  return { name: ropeFrequencies, values: ropeFactors(numbers, theta, headDim) };
}
