// The list of a block's linear layers against what a checkpoint must fill, and the error where nothing fills a buffer.
import { expect, test } from 'vitest';
import { isSparse, type ModelSpec, parameterCount, parseConfig, projections, relufy, sparseSites } from '../index.js';
import { declareBuffers } from './decoder-buffers.js';

const sizes = { vocab_size: 32, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 4 };
const configs = {
  llama: { ...sizes, model_type: 'llama', intermediate_size: 24, num_key_value_heads: 2, mlp_bias: true },
  opt: { ...sizes, model_type: 'opt', ffn_dim: 24, max_position_embeddings: 8 },
  falcon: { ...sizes, model_type: 'falcon' },
  stablelm: {
    ...sizes,
    model_type: 'stablelm',
    intermediate_size: 24,
    num_key_value_heads: 2,
    qk_layernorm: true,
    partial_rotary_factor: 0.5,
  },
  rwkv: { ...sizes, model_type: 'rwkv', attention_hidden_size: 24 },
};
const parsed = Object.entries(configs).map(([name, config]) => ({ name, ...parseConfig(config) }));
const skips = (spec: ModelSpec) => Object.fromEntries(projections(spec).map((one) => [one.role, one.skips]));

test.each(parsed)(
  '$name: every weight has a source, and the parameters are those of the buffers',
  ({ spec, family }) => {
    const options = {
      limits: { maxRows: 1, maxOutputs: 1 },
      slots: 1,
      contextLength: 4,
      matrixDType: () => 'f32' as const,
    };
    const weights = declareBuffers(spec, options).filter(({ kind }) => kind === 'weight');
    expect([...family.weights(spec).keys()].sort()).toEqual(weights.map(({ name }) => name).sort());
    const numbers = weights.reduce((sum, { shape }) => sum + (shape as number[]).reduce((a, b) => a * b, 1), 0);
    expect(parameterCount(spec)).toBe(numbers);
  },
);

test('what is skipped follows from where zeros are', () => {
  const [llama, opt] = parsed.map(({ spec }) => spec) as [ModelSpec, ModelSpec];
  expect(isSparse(llama)).toBe(false);
  expect(skips(llama)).toEqual({});
  expect(skips(relufy(llama, { stage: 1 }))).toEqual({ up: 'outputs', down: 'inputs' });
  expect(skips(relufy(llama, { stage: 2 }))).toEqual({ qkv: 'inputs', gate: 'inputs', up: 'outputs', down: 'inputs' });
  expect(skips(opt)).toEqual({ down: 'inputs' });
  expect(skips(relufy(opt, { stage: 2 }))).toEqual({ qkv: 'inputs', up: 'inputs', down: 'inputs' });
  expect([...sparseSites(relufy(opt, { stage: 2 }))].sort()).toEqual(['down', 'qkv', 'upGate']);
});
