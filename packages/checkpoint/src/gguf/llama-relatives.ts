// GGUF architectures that are Llama with differences; each is its differences alone (llama-shaped.ts has the rest).
// Facts are llama.cpp's: which tensors its loader asks for, how its graph rotates, which activation it computes.
import type { RowOrder } from './architecture.js';
import { type LlamaTraits, llamaNames, llamaShaped } from './llama-shaped.js';
import { shortestF32 } from './shortest.js';

const rms: LlamaTraits['norm'] = { kind: 'rms', key: 'rms_norm_eps', default: 1e-6 };
const layer: LlamaTraits['norm'] = { kind: 'layer', key: 'layer_norm_eps', default: 1e-5 };

export const arcee = llamaShaped({
  name: 'arcee',
  modelTypes: ['arcee'],
  className: 'ArceeForCausalLM',
  interleaved: true,
  names: () => llamaNames({ plain: true }),
  norm: { ...rms, default: 1e-5 },
  activation: 'relu2',
  scalings: true,
  requires: { attention_bias: false, mlp_bias: false },
});

export const nemotron = llamaShaped({
  name: 'nemotron',
  modelTypes: ['nemotron'],
  className: 'NemotronForCausalLM',
  names: () => llamaNames({ plain: true, normBias: true }),
  norm: { ...layer, key: 'norm_eps' },
  normWeightsPlus1: true,
  activation: 'relu2',
  rotaryFactor: 0.5,
  rotary: { factorKey: 'rope_percent' },
  requires: { tie_word_embeddings: false },
  check(reader) {
    const [hidden, heads] = [reader.size('hidden_size'), reader.size('num_attention_heads')];
    if ((reader.optional('head_dim') ?? hidden / heads) * heads !== hidden)
      reader.refuse('head_dim', `hidden_size over num_attention_heads (${hidden / heads})`);
  },
});

export const jais2 = llamaShaped({
  name: 'jais2',
  modelTypes: ['jais2'],
  className: 'Jais2ForCausalLM',
  names: () => llamaNames({ plain: true, normBias: true }),
  norm: layer,
  activation: 'relu2',
  requires: { attention_bias: true, mlp_bias: true },
});

/**
 * llama.cpp ties the head to the embedding, and computes SiLU where the published b1.58 models have ReLU^2, which
 * therefore stays in `relufy.config`.
 */
export const bitnet = llamaShaped({
  name: 'bitnet',
  modelTypes: ['bitnet'],
  className: 'BitNetForCausalLM',
  names: () => [
    ...llamaNames(),
    ['blk.{n}.attn_sub_norm.weight', 'model.layers.{n}.self_attn.attn_sub_norm.weight'],
    ['blk.{n}.ffn_sub_norm.weight', 'model.layers.{n}.mlp.ffn_sub_norm.weight'],
  ],
  norm: { ...rms, default: 1e-5 },
  activation: 'silu',
  rotary: { theta: 500000 },
  requires: { attention_bias: false },
  check(reader) {
    if (reader.config.tie_word_embeddings !== true) reader.refuse('tie_word_embeddings', 'true');
    const given = reader.config.quantization_config;
    if (given !== undefined && given !== null) reader.refuse('quantization_config', 'no ternary weights');
  },
});

export const qwen2 = llamaShaped({
  name: 'qwen2',
  modelTypes: ['qwen2'],
  className: 'Qwen2ForCausalLM',
  norm: rms,
  activation: 'silu',
  more: () => ({ use_sliding_window: false }),
  requires: { use_sliding_window: false },
});

export const qwen3 = llamaShaped({
  name: 'qwen3',
  modelTypes: ['qwen3'],
  className: 'Qwen3ForCausalLM',
  names: () => [
    ...llamaNames(),
    ['blk.{n}.attn_q_norm.weight', 'model.layers.{n}.self_attn.q_norm.weight'],
    ['blk.{n}.attn_k_norm.weight', 'model.layers.{n}.self_attn.k_norm.weight'],
  ],
  norm: rms,
  activation: 'silu',
  more: () => ({ use_sliding_window: false }),
  requires: { use_sliding_window: false, attention_bias: false },
});

/** Of every four layers the last goes without rotation; llama.cpp knows no other interval. */
export const smollm3 = llamaShaped({
  name: 'smollm3',
  modelTypes: ['smollm3'],
  tiedByDefault: true,
  className: 'SmolLM3ForCausalLM',
  interleaved: true,
  norm: rms,
  activation: 'silu',
  rotary: { theta: 2e6 },
  more: (fields) => ({
    no_rope_layer_interval: 4,
    no_rope_layers: everyFourth(fields.size('smollm3.block_count') ?? 0),
    use_sliding_window: false,
  }),
  requires: { use_sliding_window: false },
  check(reader) {
    const { no_rope_layers: layers, no_rope_layer_interval: interval } = reader.config;
    const expected = everyFourth(reader.size('num_hidden_layers'));
    if (layers !== undefined && layers !== null && String(layers) !== String(expected))
      reader.refuse('no_rope_layers', 'every fourth');
    if ((layers === undefined || layers === null) && interval !== undefined && interval !== 4)
      reader.refuse('no_rope_layer_interval', '4');
  },
});

const everyFourth = (layers: number): number[] => Array.from({ length: layers }, (_, i) => Number((i + 1) % 4 !== 0));

/** The block is parallel where there is no second norm. Head norms are not written. */
export const stablelm = llamaShaped({
  name: 'stablelm',
  modelTypes: ['stablelm'],
  className: 'StableLmForCausalLM',
  names: () => llamaNames({ normBias: true }),
  norm: layer,
  activation: 'silu',
  rotaryFactor: 0.25,
  more: (_, tensors) => ({
    use_qkv_bias: tensors?.has('blk.0.attn_q.bias') ?? false,
    use_parallel_residual: tensors ? !tensors.has('blk.0.ffn_norm.weight') : false,
  }),
  moreFields: (reader) => [
    ['stablelm.use_parallel_residual', { type: 'bool', value: reader.config.use_parallel_residual === true }],
  ],
  requires: { qk_layernorm: false },
});

/** GGUF has the multipliers themselves, config.json what they are computed from. */
export const minicpm = llamaShaped({
  name: 'minicpm',
  modelTypes: ['minicpm'],
  tiedByDefault: true,
  className: 'MiniCPMForCausalLM',
  interleaved: true,
  norm: rms,
  activation: 'silu',
  requires: { attention_bias: false, mlp_bias: false },
  more(fields) {
    const number = (key: string): number => fields.number(`minicpm.${key}`) ?? 1;
    const layers = fields.size('minicpm.block_count') ?? 1;
    return {
      scale_emb: shortestF32(number('embedding_scale')),
      scale_depth: Number((number('residual_scale') * Math.sqrt(layers)).toPrecision(6)),
      dim_model_base: Math.round((fields.size('minicpm.embedding_length') ?? 1) / number('logit_scale')),
    };
  },
  moreFields(reader) {
    const { scale_emb: embedding, scale_depth: depth } = reader.config;
    const hidden = reader.size('hidden_size');
    const float = (key: string, value: number) => [`minicpm.${key}`, { type: 'float32', value }] as const;
    return [
      float('embedding_scale', Number(embedding ?? 1)),
      float('residual_scale', Number(depth ?? 1) / Math.sqrt(reader.size('num_hidden_layers'))),
      float('logit_scale', hidden / (reader.optional('dim_model_base') ?? hidden)),
    ];
  },
});

const neox = 'gpt_neox.layers.{n}';

export const gptNeox = llamaShaped({
  name: 'gptneox',
  modelTypes: ['gpt_neox'],
  className: 'GPTNeoXForCausalLM',
  names: () => [
    ['token_embd.weight', 'gpt_neox.embed_in.weight'],
    ['output.weight', 'embed_out.weight'],
    ...(['weight', 'bias'] as const).flatMap((part): (readonly [string, string])[] => [
      [`output_norm.${part}`, `gpt_neox.final_layer_norm.${part}`],
      [`blk.{n}.attn_norm.${part}`, `${neox}.input_layernorm.${part}`],
      [`blk.{n}.ffn_norm.${part}`, `${neox}.post_attention_layernorm.${part}`],
      [`blk.{n}.attn_qkv.${part}`, `${neox}.attention.query_key_value.${part}`],
      [`blk.{n}.attn_output.${part}`, `${neox}.attention.dense.${part}`],
      [`blk.{n}.ffn_up.${part}`, `${neox}.mlp.dense_h_to_4h.${part}`],
      [`blk.{n}.ffn_down.${part}`, `${neox}.mlp.dense_4h_to_h.${part}`],
    ]),
  ],
  norm: layer,
  activation: 'gelu',
  rotaryFactor: 0.25,
  rotary: { factorKey: 'rotary_pct', thetaKey: 'rotary_emb_base' },
  rowOrder: (name, heads, headDim) =>
    /\.query_key_value\.(weight|bias)$/.test(name) ? headsTogether(heads, headDim) : undefined,
  more: (fields, tensors) => ({
    attention_bias: tensors?.has('blk.0.attn_qkv.bias') ?? true,
    use_parallel_residual: fields.boolean('gptneox.use_parallel_residual') ?? true,
  }),
  moreFields: (reader) => [
    ['gptneox.use_parallel_residual', { type: 'bool', value: reader.config.use_parallel_residual !== false }],
  ],
  requires: { attention_bias: true, tie_word_embeddings: false },
});

/** Hugging Face: a head's query, key and value together. Stored: all queries, all keys, all values. */
function headsTogether(heads: number, headDim: number): RowOrder {
  return {
    rows: 3 * heads * headDim,
    toStored(row) {
      const [block, within] = [Math.floor(row / headDim), row % headDim];
      return ((block % 3) * heads + Math.floor(block / 3)) * headDim + within;
    },
    toHuggingFace(row) {
      const [block, within] = [Math.floor(row / headDim), row % headDim];
      return ((block % heads) * 3 + Math.floor(block / heads)) * headDim + within;
    },
  };
}
