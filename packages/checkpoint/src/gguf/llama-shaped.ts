// The GGUF architectures that are Llama but for some facts: which tensors there are, which norm, how much of a head
// rotates, whether q and k are stored interleaved. Llama itself is one; the others are in llama-relatives.ts.
// GGML rotates either neighbouring pairs of a head or, as Hugging Face does, pairs half a head apart. For architectures of
// the first kind llama.cpp's converter interleaves the two halves of every head of q and k, and reading undoes it.
// Does not own: the mapping's machinery (as-hugging-face.ts, export.ts), rotary scalings (rope-scaling.ts).
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import type { Architecture, GgufField, JsonObject, RowOrder, TensorFacts } from './architecture.js';
import type { GgufConfig } from './gguf-config.js';
import type { GgufFields } from './metadata.js';
import { ropeFrequencies, scalingFields, scalingFromGguf } from './rope-scaling.js';
import { shortestF32 } from './shortest.js';

type Names = readonly (readonly [gguf: string, huggingFace: string])[];
type Field = readonly [key: string, field: GgufField];

export interface LlamaTraits {
  /** `general.architecture` */
  readonly name: string;
  /** `model_type` of config.json, and of models that only config.json tells apart. */
  readonly modelTypes: readonly [string, ...string[]];
  readonly className: string;
  /** Rows of q and k are stored with the halves of each head interleaved. */
  readonly interleaved?: true;
  /** Tensor names; default: Llama's. */
  readonly names?: (facts: TensorFacts) => Names;
  readonly norm: { readonly kind: 'rms' | 'layer'; readonly key: string; readonly default: number };
  /** GGUF holds norm weights with 1 added. */
  readonly normWeightsPlus1?: true;
  /** The activation that llama.cpp computes. */
  readonly activation: string;
  /** The share of a head that rotates, for architectures where it is not always all. */
  readonly rotaryFactor?: number;
  /** Where configs name the rotary share and base otherwise, and the base where they leave it out (10000). */
  readonly rotary?: { readonly factorKey?: string; readonly thetaKey?: string; readonly theta?: number };
  /** Rotary frequencies may be scaled by `rope_freqs.weight` (llama3) or by YaRN. */
  readonly scalings?: true;
  /** The order of the rows of a fused tensor. */
  readonly rowOrder?: (huggingFaceName: string, heads: number, headDim: number) => RowOrder | undefined;
  /** More of config.json, from metadata and tensors. */
  readonly more?: (fields: GgufFields, tensors: TensorFacts | undefined) => JsonObject;
  /** More metadata. */
  readonly moreFields?: (reader: GgufConfig) => readonly Field[];
  /** Flags that llama.cpp's graph has one way only; a config that says otherwise cannot be written. */
  readonly requires?: Readonly<Record<string, boolean>>;
  /** What a config that does not say so means by its embeddings. */
  readonly tiedByDefault?: true;
  /** More that cannot be written. */
  readonly check?: (reader: GgufConfig) => void;
}

/** Names of a model whose parts are Llama's; `plain`: no gate. */
export function llamaNames({ plain = false, normBias = false } = {}): Names {
  const norms = normBias ? (['weight', 'bias'] as const) : (['weight'] as const);
  return [
    ['token_embd.weight', 'model.embed_tokens.weight'],
    ['output.weight', 'lm_head.weight'],
    ...norms.flatMap(
      (part): Names => [
        [`output_norm.${part}`, `model.norm.${part}`],
        [`blk.{n}.attn_norm.${part}`, `model.layers.{n}.input_layernorm.${part}`],
        [`blk.{n}.ffn_norm.${part}`, `model.layers.{n}.post_attention_layernorm.${part}`],
      ],
    ),
    ...(['weight', 'bias'] as const).flatMap(
      (part): Names => [
        [`blk.{n}.attn_q.${part}`, `model.layers.{n}.self_attn.q_proj.${part}`],
        [`blk.{n}.attn_k.${part}`, `model.layers.{n}.self_attn.k_proj.${part}`],
        [`blk.{n}.attn_v.${part}`, `model.layers.{n}.self_attn.v_proj.${part}`],
        [`blk.{n}.attn_output.${part}`, `model.layers.{n}.self_attn.o_proj.${part}`],
        ...(plain ? [] : [[`blk.{n}.ffn_gate.${part}`, `model.layers.{n}.mlp.gate_proj.${part}`] as const]),
        [`blk.{n}.ffn_up.${part}`, `model.layers.{n}.mlp.up_proj.${part}`],
        [`blk.{n}.ffn_down.${part}`, `model.layers.{n}.mlp.down_proj.${part}`],
      ],
    ),
  ];
}

export function llamaShaped(traits: LlamaTraits): Architecture {
  const names = traits.names ?? (() => llamaNames());
  return {
    name: traits.name,
    modelTypes: traits.modelTypes,
    names,
    ...(traits.tiedByDefault && { tiedByDefault: true }),
    described: traits.scalings ? [ropeFrequencies] : [],
    config: (fields, tensors) => toConfig(traits, fields, tensors),
    fields: (reader) => toFields(traits, reader),
    rowOrder(name, reader) {
      const heads = reader.size('num_attention_heads');
      const headDim = headDimOf(reader);
      if (traits.rowOrder) return traits.rowOrder(name, heads, headDim);
      const match = traits.interleaved && /\.self_attn\.([qk])_proj\.(weight|bias)$/.exec(name);
      if (!match) return undefined;
      return interleavedHalves(match[1] === 'q' ? heads : (reader.optional('num_key_value_heads') ?? heads), headDim);
    },
    ...(traits.normWeightsPlus1 && {
      storedPlus: (name: string) => (/norm\.weight$/.test(name) ? 1 : 0),
    }),
  };
}

const headDimOf = (reader: GgufConfig): number =>
  reader.optional('head_dim') ?? reader.size('hidden_size') / reader.size('num_attention_heads');

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

const normKey = { rms: 'attention.layer_norm_rms_epsilon', layer: 'attention.layer_norm_epsilon' } as const;

function toConfig(traits: LlamaTraits, fields: GgufFields, tensors: TensorFacts | undefined): JsonObject {
  const key = (name: string): string => `${traits.name}.${name}`;
  const experts = fields.size(key('expert_count')) ?? 0;
  if (experts > 0)
    throw malformed(
      fields.where,
      `metadata ${show(key('expert_count'))}, expected 0, got ${experts}`,
      'Mixtures of experts are not supported.',
    );
  const size = (name: string): number => fields.required(key(name), fields.size(key(name)));
  const heads = size('attention.head_count');
  const rotated = fields.size(key('rope.dimension_count'));
  const partial = traits.rotaryFactor !== undefined;
  const headDim =
    fields.size(key('attention.key_length')) ?? (partial ? undefined : rotated) ?? size('embedding_length') / heads;
  const rotaryDim = rotated ?? headDim;
  const valueDim = fields.size(key('attention.value_length')) ?? headDim;
  const fits = partial ? rotaryDim <= headDim && rotaryDim % 2 === 0 && rotaryDim > 0 : rotaryDim === headDim;
  if (!fits || valueDim !== headDim || (headDim % 2 !== 0 && !partial))
    throw malformed(
      fields.where,
      `metadata ${show(key('rope.dimension_count'))}, expected ${partial ? `an even number up to ${headDim}` : `the even head size ${headDim}`}, got ${rotaryDim} (values ${valueDim})`,
    );
  const ropeTheta = shortestF32(fields.number(key('rope.freq_base')) ?? 10000);
  const eps = key(normKey[traits.norm.kind]);
  return {
    architectures: [traits.className],
    model_type: traits.modelTypes[0],
    hidden_size: size('embedding_length'),
    intermediate_size: size('feed_forward_length'),
    num_hidden_layers: size('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: fields.size(key('attention.head_count_kv')) ?? heads,
    head_dim: headDim,
    hidden_act: traits.activation,
    [traits.norm.key]: shortestF32(fields.required(eps, fields.number(eps))),
    rope_theta: ropeTheta,
    rope_scaling: scalingFromGguf(traits.name, fields, tensors, ropeTheta, headDim),
    ...(partial && { partial_rotary_factor: rotaryDim / headDim }),
    max_position_embeddings: size('context_length'),
    vocab_size:
      tensors?.rows('token_embd.weight') ??
      fields.size(key('vocab_size')) ??
      fields.strings('tokenizer.ggml.tokens')?.length,
    tie_word_embeddings: tensors ? !tensors.has('output.weight') : false,
    attention_bias: tensors?.has('blk.0.attn_q.bias') ?? false,
    mlp_bias: tensors?.has('blk.0.ffn_up.bias') ?? false,
    ...traits.more?.(fields, tensors),
  };
}

function toFields(traits: LlamaTraits, reader: GgufConfig): readonly Field[] {
  const { config } = reader;
  for (const [key, value] of Object.entries(traits.requires ?? {}))
    if (typeof config[key] === 'boolean' && config[key] !== value) reader.refuse(key, String(value));
  traits.check?.(reader);
  const heads = reader.size('num_attention_heads');
  const headDim = headDimOf(reader);
  const rope = (config.rope_parameters ?? config.rope_scaling ?? {}) as JsonObject;
  const { factorKey = '', thetaKey = '', theta: usualTheta = 10000 } = traits.rotary ?? {};
  const theta = Number(rope.rope_theta ?? config.rope_theta ?? config[thetaKey] ?? usualTheta);
  const factor = Number(
    rope.partial_rotary_factor ?? config.partial_rotary_factor ?? config[factorKey] ?? traits.rotaryFactor ?? 1,
  );
  const rotaryDim = Math.floor(headDim * factor);
  if (traits.rotaryFactor === undefined && rotaryDim !== headDim) reader.refuse('partial_rotary_factor', '1');
  const uint = (key: string, value: number) => [`${traits.name}.${key}`, { type: 'uint32', value }] as const;
  const float = (key: string, value: number) => [`${traits.name}.${key}`, { type: 'float32', value }] as const;
  return [
    uint('context_length', reader.size('max_position_embeddings')),
    uint('embedding_length', reader.size('hidden_size')),
    uint('block_count', reader.size('num_hidden_layers')),
    uint('feed_forward_length', reader.size('intermediate_size')),
    uint('attention.head_count', heads),
    uint('attention.head_count_kv', reader.optional('num_key_value_heads') ?? heads),
    uint('attention.key_length', headDim),
    uint('attention.value_length', headDim),
    float(normKey[traits.norm.kind], Number(config[traits.norm.key] ?? traits.norm.default)),
    float('rope.freq_base', theta),
    uint('rope.dimension_count', rotaryDim),
    uint('vocab_size', reader.size('vocab_size')),
    ...scalingFields(traits.name, reader, rope, traits.scalings === true),
    ...(traits.moreFields?.(reader) ?? []),
  ];
}
