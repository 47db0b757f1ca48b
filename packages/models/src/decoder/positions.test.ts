// Scaled rotary frequencies: YaRN as transformers computes it (ROPE_INIT_FUNCTIONS, 5.23.0), read from a config.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../index.js';
import type { PositionSpec } from '../spec.js';
import { ropeFrequencies, ropeTable } from './positions.js';

function rope(rope_parameters: object) {
  const sizes = { hidden_size: 64, intermediate_size: 96, num_hidden_layers: 1, num_attention_heads: 4, vocab_size: 9 };
  const { spec } = parseConfig({ ...sizes, model_type: 'arcee', max_position_embeddings: 96, rope_parameters });
  return spec.positions as Extract<PositionSpec, { kind: 'rope' }>;
}

describe('YaRN', () => {
  it.each([
    [
      { factor: 4, original_max_position_embeddings: 24 },
      [1, 0.19764235615730286, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455],
      1.138629436111989,
    ],
    [
      { factor: 20, original_max_position_embeddings: 4096, mscale: 1, beta_fast: 32, beta_slow: 1 },
      [1, 0.3162277638912201, 0.10000000149011612, 0.024112368002533913, 0.005249999929219484, 0.0009091548854485154],
      1.299573227355399,
    ],
    [
      { factor: 4, original_max_position_embeddings: 24, mscale: 1, mscale_all_dim: 0.5, beta_fast: 4, beta_slow: 2 },
      [1, 0.07905694097280502, 0.02500000037252903, 0.007905694656074047],
      1.0648216253695715,
    ],
    [
      { factor: 4, original_max_position_embeddings: 24, truncate: false },
      [1, 0.11248373985290527, 0.02500000037252903, 0.007905694656074047],
      1.138629436111989,
    ],
    [
      { factor: 20, original_max_position_embeddings: 4096, truncate: false },
      [1, 0.3162277638912201, 0.10000000149011612, 0.027811164036393166, 0.0056388298980891705, 0.0007851930567994714],
      1.299573227355399,
    ],
  ])('%j', (parameters, expected, attentionFactor) => {
    const positions = rope({ rope_type: 'yarn', rope_theta: 10000, ...parameters });
    const frequencies = ropeFrequencies(positions);
    for (const [i, frequency] of expected.entries()) expect(frequencies[i]! / frequency).toBeCloseTo(1, 6);
    // at position 0 the angle is 0: cosines are the factor, sines 0
    const table = ropeTable(positions, 2);
    expect(table[0]).toBeCloseTo(attentionFactor, 6);
    expect(table[8]).toBe(0);
    expect(table[16]! / Math.cos(1)).toBeCloseTo(attentionFactor, 6);
  });

  it('refuses what it does not compute', () => {
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 24 };
    expect(() => rope({ ...yarn, beta_fast: 1 })).toThrowError('"rope_parameters.beta_fast": expected more than');
    expect(() => rope({ ...yarn, factor: undefined })).toThrowError('"rope_parameters.factor": expected a positive');
  });
});
