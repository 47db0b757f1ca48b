// Families that are Llama but for a few facts: other norms, windows, head norms, plain FFNs with ReLU^2, multipliers.
// Each is its differences alone.
import type { ConfigReader } from '@relufy/tensor';
import { type AttentionMixer, attentionOf, type ModelSpec } from '../spec.js';
import type { JsonObject } from './config-values.js';
import type { Family } from './family.js';
import { type LlamaNames, llamaShape, llamaWeights } from './llama-shaped.js';
import { ropePositions } from './rope-config.js';

interface Traits extends LlamaNames {
  /** Values of keys that a config may leave out, where they are not Llama's. */
  readonly defaults?: JsonObject;
}

function relative(
  modelTypes: readonly string[],
  differences: (base: ModelSpec, config: ConfigReader) => ModelSpec,
  { defaults = {}, ...names }: Traits = {},
): Family {
  return {
    modelTypes,
    parse: (given) => {
      const config = given.withDefaults(defaults);
      return differences(llamaShape(config), config);
    },
    weights: llamaWeights(names),
    optionalPrefix: `${names.root ?? 'model'}.`,
    ignored: /rotary_emb\.inv_freq$|attention\.(bias|masked_bias)$/,
  };
}

const plain = (spec: ModelSpec): ModelSpec => ({ ...spec, ffn: { ...spec.ffn, kind: 'plain' } });

/** LayerNorm with weight and bias, in place of Llama's RMSNorm. */
function layerNorm(spec: ModelSpec, eps: number): ModelSpec {
  return { ...spec, norm: { ...spec.norm, kind: 'layer', eps, bias: true } };
}

const withAttention = (spec: ModelSpec, attention: Partial<AttentionMixer>): ModelSpec => ({
  ...spec,
  mixer: { ...attentionOf(spec), ...attention },
});

/** `layer_types` or a window with a flag: which layers see `sliding_window` positions only. */
function windowed(spec: ModelSpec, config: ConfigReader, used: boolean): ModelSpec {
  if (!used || !config.has('sliding_window')) return spec;
  const size = config.size('sliding_window');
  const types = config.raw('layer_types');
  if (types === undefined) return withAttention(spec, { window: { size } });
  if (!Array.isArray(types) || types.length !== spec.numHiddenLayers)
    config.fail('layer_types', `${spec.numHiddenLayers} layer types`);
  const layers = (types as readonly unknown[]).map((type) => {
    if (type !== 'sliding_attention' && type !== 'full_attention')
      config.fail('layer_types', 'sliding_attention or full_attention');
    return type === 'sliding_attention';
  });
  return withAttention(spec, { window: { size, layers } });
}

/** Arcee AFM: plain FFN with ReLU^2. */
export const arcee = relative(['arcee'], plain, { defaults: { hidden_act: 'relu2', rms_norm_eps: 1e-5 } });

/** Nemotron-4, Minitron: LayerNorm stored less 1, partial rotary (older configs: `rope_percent`), plain FFN with ReLU^2. */
export const nemotron = relative(
  ['nemotron'],
  (base, config) => {
    const rotary = config.withDefaults({ partial_rotary_factor: config.positive('rope_percent', 0.5) });
    const spec = plain(layerNorm(base, config.positive('norm_eps', 1e-5)));
    return { ...spec, positions: ropePositions(rotary, attentionOf(spec).headDim) };
  },
  { normWeightsLess1: true, defaults: { hidden_act: 'relu2' } },
);

/** Jais-2: LayerNorm, biases, plain FFN with ReLU^2. */
export const jais2 = relative(
  ['jais2'],
  (base, config) => plain(layerNorm(base, config.positive('layer_norm_eps', 1e-5))),
  { defaults: { hidden_act: 'relu2', attention_bias: true, mlp_bias: true } },
);

/** nanochat: norms without weights, also of embeddings, queries and keys; the other rotation; soft-capped logits. */
export const nanochat = relative(
  ['nanochat'],
  (base, config) => {
    const eps = base.norm.eps;
    const spec = plain(
      withAttention(base, { headNorm: { kind: 'rms', eps, weight: false, bias: false, when: 'afterRope' } }),
    );
    return {
      ...spec,
      norm: { ...spec.norm, weight: false },
      embeddingNorm: true,
      positions: spec.positions.kind === 'rope' ? { ...spec.positions, reversed: true } : spec.positions,
      logitsSoftcap: config.positive('final_logit_softcapping'),
    };
  },
  { up: 'mlp.fc1', down: 'mlp.fc2', defaults: { hidden_act: 'relu2', final_logit_softcapping: 15 } },
);

/** Persimmon: fused QKV, LayerNorm also of queries and keys, partial rotary, biases, plain FFN with ReLU^2. */
export const persimmon = relative(
  ['persimmon'],
  (base, config) => {
    const eps = config.positive('layer_norm_eps', 1e-5);
    const spec = plain(layerNorm(base, eps));
    const headNorm = { kind: 'layer', eps, weight: true, bias: true, when: 'beforeRope' } as const;
    const normed = config.flag('qk_layernorm', true) ? withAttention(spec, { headNorm }) : spec;
    return {
      ...withAttention(normed, { numKeyValueHeads: attentionOf(spec).numAttentionHeads, qkvBias: true, outBias: true }),
      ffn: { ...spec.ffn, bias: true },
    };
  },
  {
    defaults: { hidden_act: 'relu2', partial_rotary_factor: 0.5 },
    fusedQkv: 'self_attn.query_key_value',
    o: 'self_attn.dense',
    up: 'mlp.dense_h_to_4h',
    down: 'mlp.dense_4h_to_h',
    headNorm: (kind, part) => `self_attn.${kind}_layernorm.${part}`,
    finalNorm: 'model.final_layernorm',
  },
);

/** BitNet b1.58: gated ReLU^2, norms inside attention and FFN; published with ternary weights (../ternary.ts). */
export const bitnet: Family = {
  ...relative(
    ['bitnet'],
    (base, config) => {
      const spec = withAttention(base, { outNorm: true });
      const roundedInputs = isTernary(config) && { roundedInputs: true as const };
      return { ...spec, ...roundedInputs, ffn: { ...spec.ffn, downNorm: true } };
    },
    {
      outNorm: 'self_attn.attn_sub_norm',
      downNorm: 'mlp.ffn_sub_norm',
      defaults: { hidden_act: 'relu2', rms_norm_eps: 1e-5, rope_theta: 500000 },
    },
  ),
  readsQuantization: true,
};

/** The published checkpoints' way: ternary weights, multiplied by a scale a tensor; inputs rounded as they come. */
function isTernary(config: ConfigReader): boolean {
  const quantization = config.object('quantization_config');
  if (quantization === undefined) return false;
  const only = (key: string, value: string, remedy?: string) =>
    quantization.raw(key) === value || quantization.fail(key, value, remedy);
  only('quant_method', 'bitnet');
  only('linear_class', 'autobitlinear', 'Only the layout of microsoft/bitnet-b1.58-2B-4T is known.');
  only('quantization_mode', 'offline', 'Take the packed checkpoint: this one quantises its weights at each step.');
  quantization.neutral('use_rms_norm', (value) => value === false, 'false');
  quantization.neutral('modules_to_not_convert', (value) => Array.isArray(value) && value.length === 0, 'none');
  return true;
}

/** Mistral: Llama with a sliding window. */
export const mistral = relative(['mistral'], (base, config) => windowed(base, config, true));

/** Bamboo, a Mistral whose gate and up both go through ReLU (dReLU). */
export const bamboo = relative(
  ['bamboo'],
  (base, config) => {
    const spec = windowed(base, config, true);
    return { ...spec, ffn: { ...spec.ffn, activateUp: true } };
  },
  { defaults: { hidden_act: 'relu' } },
);

/** Qwen2: biases of queries, keys and values. */
export const qwen2 = relative(['qwen2'], (base, config) =>
  windowed(withAttention(base, { qkvBias: true, outBias: false }), config, config.flag('use_sliding_window', false)),
);

/** Qwen3: norms of query and key heads. */
export const qwen3 = relative(
  ['qwen3'],
  (base, config) => {
    const headNorm = { kind: 'rms', eps: base.norm.eps, weight: true, bias: false, when: 'beforeRope' } as const;
    return windowed(withAttention(base, { headNorm }), config, config.flag('use_sliding_window', false));
  },
  { headNorm: (kind, part) => `self_attn.${kind}_norm.${part}` },
);

/** SmolLM3: every so many layers go without rotation. */
export const smollm3 = relative(
  ['smollm3'],
  (base, config) => {
    const spec = windowed(base, config, config.flag('use_sliding_window', false));
    if (spec.positions.kind !== 'rope') return spec;
    const given = config.raw('no_rope_layers');
    const interval = config.size('no_rope_layer_interval', 4);
    const flags =
      given ?? Array.from({ length: spec.numHiddenLayers }, (_, layer) => Number((layer + 1) % interval !== 0));
    if (
      !Array.isArray(flags) ||
      flags.length !== spec.numHiddenLayers ||
      flags.some((flag) => flag !== 0 && flag !== 1)
    )
      config.fail('no_rope_layers', `${spec.numHiddenLayers} numbers, 1 (rotary) or 0`);
    return {
      ...spec,
      positions: { ...spec.positions, layers: (flags as readonly number[]).map((flag) => flag === 1) },
    };
  },
  { defaults: { rope_theta: 2e6, tie_word_embeddings: true } },
);

/** StableLM: LayerNorm, partial rotary, optional biases, head norms and parallel block. */
export const stablelm = relative(
  ['stablelm'],
  (base, config) => {
    const eps = config.positive('layer_norm_eps', 1e-5);
    const spec = layerNorm(base, eps);
    const headNorm = { kind: 'layer', eps, weight: true, bias: false, when: 'beforeRope', perHead: true } as const;
    const normed = config.flag('qk_layernorm', false) ? withAttention(spec, { headNorm }) : spec;
    return {
      ...withAttention(normed, { qkvBias: config.flag('use_qkv_bias', false), outBias: false }),
      block: config.flag('use_parallel_residual', false) ? { kind: 'parallel', norms: 1 } : { kind: 'preNorm' },
    };
  },
  {
    headNorm: (kind, part, head) => `self_attn.${kind}_layernorm.norms.${head}.${part}`,
    defaults: { partial_rotary_factor: 0.25 },
  },
);

/**
 * GPT-NeoX (Pythia): LayerNorm, fused QKV, partial rotary (older configs say `rotary_pct` and `rotary_emb_base`),
 * parallel block with two norms, plain FFN.
 */
export const gptNeox = relative(
  ['gpt_neox'],
  (base, config) => {
    const spec = plain(layerNorm(base, config.positive('layer_norm_eps', 1e-5)));
    const rotary = config.withDefaults({
      partial_rotary_factor: config.positive('rotary_pct', 0.25),
      rope_theta: config.positive('rotary_emb_base', 10000),
    });
    return {
      ...withAttention(spec, { numKeyValueHeads: attentionOf(spec).numAttentionHeads }),
      positions: ropePositions(rotary, attentionOf(spec).headDim),
      ffn: { ...spec.ffn, bias: true },
      block: config.flag('use_parallel_residual', true) ? { kind: 'parallel', norms: 2 } : { kind: 'preNorm' },
    };
  },
  {
    defaults: { hidden_act: 'gelu', attention_bias: true },
    root: 'gpt_neox',
    embed: 'gpt_neox.embed_in.weight',
    head: 'embed_out.weight',
    fusedQkv: 'attention.query_key_value',
    o: 'attention.dense',
    up: 'mlp.dense_h_to_4h',
    down: 'mlp.dense_4h_to_h',
    finalNorm: 'gpt_neox.final_layer_norm',
  },
);

/** MiniCPM, MiniCPM-S: Llama with multipliers of embeddings, branches and logits. */
export const minicpm: Family = {
  ...relative(
    ['minicpm'],
    (base, config) => {
      const depth = config.positive('scale_depth', 1);
      return {
        ...base,
        multipliers: {
          embedding: config.positive('scale_emb', 1),
          residual: depth / Math.sqrt(base.numHiddenLayers),
          logits: config.has('dim_model_base') ? config.size('dim_model_base') / base.hiddenSize : 1,
        },
      };
    },
    { defaults: { tie_word_embeddings: true } },
  ),
  architectures: ['MiniCPMForCausalLM'],
  fatreluTypes: ['minicpm'],
};
