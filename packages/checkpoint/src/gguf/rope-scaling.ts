// Scalings of rotary frequencies in GGUF, both ways: none, linear, llama3 (a tensor of factors, rope-factors.ts), YaRN.
// Does not own: applying them (models does).
import { show } from '@relufy/tensor';
import { malformed } from '../malformed.js';
import type { GgufField, JsonObject, TensorFacts } from './architecture.js';
import type { GgufConfig } from './gguf-config.js';
import type { GgufFields } from './metadata.js';
import { llama3Scaling, ropeFactors } from './rope-factors.js';
import { shortestF32 } from './shortest.js';

export const ropeFrequencies = 'rope_freqs.weight';

/** `rope_scaling` of config.json. */
export function scalingFromGguf(
  name: string,
  fields: GgufFields,
  tensors: TensorFacts | undefined,
  theta: number,
  headDim: number,
): JsonObject | null {
  const factors = tensors?.values(ropeFrequencies);
  if (factors) return { ...llama3Scaling(fields.where, factors, theta, headDim) };
  const key = (part: string): string => `${name}.rope.${part}`;
  const number = (part: string): number | undefined => {
    const value = fields.number(key(part));
    return value === undefined ? undefined : shortestF32(value);
  };
  const type = fields.string(key('scaling.type')) ?? 'none';
  const factor = number('scaling.factor') ?? number('scale_linear') ?? 0;
  if (type === 'linear' || (type === 'none' && fields.metadata.has(key('scale_linear'))))
    return factor === 0 || factor === 1 ? null : { rope_type: 'linear', type: 'linear', factor };
  if (type === 'none') return null;
  if (type === 'yarn')
    return {
      rope_type: 'yarn',
      factor,
      original_max_position_embeddings: fields.required(
        key('scaling.original_context_length'),
        fields.size(key('scaling.original_context_length')),
      ),
      beta_fast: number('scaling.yarn_beta_fast') ?? 32,
      beta_slow: number('scaling.yarn_beta_slow') ?? 1,
    };
  throw malformed(
    fields.where,
    `metadata ${show(key('scaling.type'))}, expected none, linear or yarn, got ${show(type)}`,
    'This scaling is not supported.',
  );
}

/** `scalings`: whether the architecture has others than linear. */
export function scalingFields(
  name: string,
  reader: GgufConfig,
  rope: JsonObject,
  scalings: boolean,
): readonly (readonly [string, GgufField])[] {
  const type = rope.rope_type ?? rope.type ?? 'default';
  const known = scalings ? ['default', 'linear', 'llama3', 'yarn'] : ['default', 'linear'];
  const asked = reader.config.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  if (!known.includes(String(type))) reader.refuse(asked, known.join(' or '));
  if (type !== 'linear' && type !== 'yarn') return [];
  const key = (part: string): string => `${name}.rope.scaling.${part}`;
  const float = (part: string, value: unknown) => [key(part), { type: 'float32', value: Number(value) }] as const;
  const common = [[key('type'), { type: 'string', value: type }] as const, float('factor', rope.factor)];
  if (type === 'linear') return common;
  // llama.cpp derives the attention factor from the factor, and so must the config
  if (rope.attention_factor !== undefined && rope.attention_factor !== null)
    reader.refuse(asked, 'no attention_factor');
  if (rope.truncate === false) reader.refuse(asked, 'no truncate: false');
  if (rope.mscale !== undefined && rope.mscale_all_dim !== undefined) reader.refuse(asked, 'no mscale_all_dim');
  const original = Number(rope.original_max_position_embeddings ?? reader.size('max_position_embeddings'));
  return [
    ...common,
    [key('original_context_length'), { type: 'uint32', value: original }],
    float('yarn_beta_fast', rope.beta_fast ?? 32),
    float('yarn_beta_slow', rope.beta_slow ?? 1),
  ];
}

/** The tensor that a llama3 scaling is written as; undefined for other scalings. */
export function ropeFrequencyTensor(config: JsonObject): { name: string; values: Float32Array } | undefined {
  const rope = (config.rope_parameters ?? config.rope_scaling ?? {}) as JsonObject;
  if ((rope.rope_type ?? rope.type) !== 'llama3') return undefined;
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
