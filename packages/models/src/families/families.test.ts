// Configs: the published ones give the published sizes; values that cannot be run are refused by their key.
import { readdirSync, readFileSync } from 'node:fs';
import { RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import {
  attentionOf,
  hasNormRelu,
  type ModelSpec,
  parameterCount,
  parseConfig,
  type RelufyOptions,
  relufy,
} from '../index.js';

const llama = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 192,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 512,
  hidden_act: 'relu',
};
const opt = {
  model_type: 'opt',
  hidden_size: 64,
  ffn_dim: 192,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 512,
};
const falcon = { model_type: 'falcon', hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 512 };

describeShared('published configs', 'configs', () => {
  // of OPT's position table two rows belong to no token, and are not loaded
  const parameters: Record<string, number> = {
    'facebook__opt-125m.json': 125_239_296 - 2 * 768,
    'facebook__opt-350m.json': 331_196_416 - 2 * 1024,
    'facebook__opt-1.3b.json': 1_315_758_080 - 2 * 2048,
    'facebook__opt-6.7b.json': 6_658_473_984 - 2 * 4096,
    'facebook__opt-13b.json': 12_853_473_280 - 2 * 5120,
    'meta-llama__Llama-2-7b-hf.json': 6_738_415_616,
    'SparseLLM__ReluLLaMA-7B.json': 6_738_415_616,
    'tiiuae__falcon-7b.json': 6_921_720_704,
    'HuggingFaceTB__SmolLM2-135M.json': 134_515_008,
  };
  it('parse, and have the published numbers of parameters', () => {
    const found: Record<string, number> = {};
    for (const file of readdirSync(shared('configs'))) {
      if (file.startsWith('openbmb')) continue; // its config names no model_type
      const { spec } = parseConfig(JSON.parse(readFileSync(shared(`configs/${file}`), 'utf8')));
      if (file in parameters) found[file] = parameterCount(spec);
    }
    expect(found).toEqual(parameters);
  });
});

describe('what a config means', () => {
  it('Llama: sizes, groups, rotary positions', () => {
    const { spec } = parseConfig({
      ...llama,
      num_key_value_heads: 2,
      head_dim: 24,
      rope_theta: 5e5,
      attention_bias: true,
    });
    expect(spec.mixer).toEqual({
      kind: 'attention',
      numAttentionHeads: 4,
      numKeyValueHeads: 2,
      headDim: 24,
      qkvBias: true,
      outBias: true,
    });
    expect(spec.positions).toMatchObject({ kind: 'rope', ropeTheta: 5e5, rotaryDim: 24, scaling: { kind: 'none' } });
  });

  it('rope scaling in the old style and the new', () => {
    const scaling = (config: object) =>
      (parseConfig({ ...llama, ...config }).spec.positions as { scaling: object }).scaling;
    expect(scaling({ rope_scaling: { type: 'linear', factor: 2 } })).toEqual({ kind: 'linear', factor: 2 });
    expect(scaling({ rope_parameters: { rope_type: 'linear', factor: 4, rope_theta: 1e4 } })).toEqual({
      kind: 'linear',
      factor: 4,
    });
    const llama3 = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const expected = {
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 8192,
    };
    expect(scaling({ rope_scaling: llama3, rope_theta: 5e5 })).toEqual(expected);
    expect(scaling({ rope_parameters: { ...llama3, rope_theta: 5e5 } })).toEqual(expected);
  });

  it('activations by their names', () => {
    const activation = (config: object) => parseConfig({ ...llama, ...config }).spec.ffn.activation;
    expect(activation({ hidden_act: 'fatrelu', hidden_act_param: 0.01 })).toEqual({ kind: 'fatrelu', threshold: 0.01 });
    expect(activation({ hidden_act: 'gelu_pytorch_tanh' })).toEqual({ kind: 'geluTanh', threshold: 0 });
    expect(parseConfig({ ...opt, activation_function: 'gelu' }).spec.ffn.activation.kind).toBe('gelu');
    expect(parseConfig(falcon).spec.ffn.activation.kind).toBe('gelu');
  });

  it('Falcon in its three shapes and two spellings', () => {
    const shape = (config: object) => {
      const { spec } = parseConfig({ ...falcon, ...config });
      return [attentionOf(spec).numKeyValueHeads, spec.block, spec.positions.kind];
    };
    expect(shape({})).toEqual([1, { kind: 'parallel', norms: 1 }, 'rope']);
    expect(shape({ new_decoder_architecture: true, num_kv_heads: 2 })).toEqual([
      2,
      { kind: 'parallel', norms: 2 },
      'rope',
    ]);
    expect(shape({ multi_query: false, parallel_attn: false, alibi: true })).toEqual([4, { kind: 'preNorm' }, 'alibi']);
    const { spec } = parseConfig({
      model_type: 'RefinedWeb',
      hidden_size: 64,
      n_layer: 2,
      n_head: 4,
      n_head_kv: 2,
      vocab_size: 512,
    });
    expect(spec.block).toEqual({ kind: 'parallel', norms: 2 });
  });

  it('ignores keys that it does not know', () => {
    expect(parseConfig({ ...llama, _name_or_path: 'x', transformers_version: '9', pretraining_tp: 4 }).spec).toEqual(
      parseConfig(llama).spec,
    );
  });

  it.each([
    [
      { ...llama, hidden_act: 'swiglu' },
      'llama config "hidden_act": expected relu, relu2, fatrelu, shifted_relu, silu, swish_beta, gelu or gelu_pytorch_tanh, got "swiglu".',
    ],
    [
      { ...llama, hidden_act: 'fatrelu' },
      'llama config "hidden_act_param": expected a number >= 0 for fatrelu, got nothing.',
    ],
    [
      { ...llama, hidden_size: '64' },
      'llama config "hidden_size": expected a whole number from 1 to 16777216, got "64".',
    ],
    [{ ...llama, hidden_size: 2 ** 53 }, 'llama config "hidden_size": expected a whole number from 1 to 16777216'],
    [
      { ...llama, num_hidden_layers: 0 },
      'llama config "num_hidden_layers": expected a whole number from 1 to 1024, got 0.',
    ],
    [
      { ...llama, vocab_size: undefined },
      'llama config "vocab_size": expected a whole number from 1 to 16777216, got nothing.',
    ],
    [
      { ...llama, num_attention_heads: 5 },
      'llama config "num_attention_heads": expected a divisor of hidden_size (64)',
    ],
    [
      { ...llama, num_key_value_heads: 3 },
      'llama config "num_key_value_heads": expected a divisor of num_attention_heads (4), got 3.',
    ],
    [
      { ...llama, rope_scaling: { type: 'dynamic', factor: 2 } },
      'llama config "rope_scaling.type": expected default, linear, llama3 or yarn, got "dynamic".',
    ],
    [
      { ...llama, rope_scaling: { type: 'linear' } },
      'llama config "rope_scaling.factor": expected a positive number, got nothing.',
    ],
    [{ ...llama, rope_parameters: [] }, 'llama config "rope_parameters": expected an object, got [].'],
    [{ ...llama, rope_interleaved: true }, 'llama config "rope_interleaved": expected false, got true.'],
    [
      { ...llama, quantization_config: { bits: 4 } },
      'llama config "quantization_config": expected no quantised weights, got {"bits":4}. Use the original',
    ],
    [{ ...llama, attention_bias: 'yes' }, 'llama config "attention_bias": expected true or false, got "yes".'],
    [{ ...llama, rms_norm_eps: -1 }, 'llama config "rms_norm_eps": expected a positive number, got -1.'],
    [{ ...llama, scale_emb: 12 }, 'llama config "scale_emb": expected 1 (multipliers are not Llama), got 12.'],
    [{ ...llama, eos_token_id: 512 }, 'llama config "eos_token_id": expected token ids below 512, got 512.'],
    [
      { ...falcon, parallel_attn: false, new_decoder_architecture: true },
      'falcon config "parallel_attn": expected true with new_decoder_architecture, got false.',
    ],
    [
      { ...llama, model_type: 'mamba' },
      'config.json "model_type": expected llama, sparsellama, opt, falcon, RefinedWeb, RefinedWebModel, arcee, ',
    ],
    [{}, 'got undefined.'],
    [[], 'config.json: expected an object, got [].'],
    [null, 'config.json: expected an object, got null.'],
  ])('refuses %j', (config, message) => {
    let error: unknown;
    try {
      parseConfig(config);
    } catch (thrown) {
      error = thrown;
    }
    expect(RelufyError.is(error) && error.code).toBe('config');
    expect((error as Error).message).toContain(message);
  });
});

describe('relufication', () => {
  const silu = parseConfig({ ...llama, hidden_act: 'silu' }).spec;
  const relu = parseConfig(llama).spec;

  it('stage 1 makes the activation ReLU and leaves ReLU-like ones alone', () => {
    expect(relufy(silu, { stage: 1 })).toEqual(relu);
    expect(relufy(relu, { stage: 1 })).toEqual(relu);
    const squared: ModelSpec = { ...relu, ffn: { ...relu.ffn, activation: { kind: 'relu2', threshold: 0 } } };
    expect(relufy(squared, { stage: 1 })).toEqual(squared);
  });

  it('another activation is what is asked for, whatever the model had; the up projection takes it too', () => {
    const activationOf = (options: RelufyOptions) => relufy(silu, options).ffn;
    expect(activationOf({ stage: 1, activation: 'relu2' }).activation).toEqual({ kind: 'relu2', threshold: 0 });
    const barred = activationOf({ stage: 1, activation: 'fatrelu', threshold: 0.02, activateUp: true });
    expect(barred).toMatchObject({ activation: { kind: 'fatrelu', threshold: 0.02 }, activateUp: true });
    const shifted = { stage: 1, activation: 'relu', shift: 0.1 } as const;
    expect(activationOf(shifted).activation).toEqual({ kind: 'relu', threshold: 0.1 });
    expect(relufy(relufy(silu, { stage: 1, activation: 'relu2' }), { stage: 1, activation: 'relu' })).toEqual(relu);
  });

  it('stage 2 implies stage 1; a shift is the FFN activation alone', () => {
    const spec = relufy(silu, { stage: 2, shift: 0.5 });
    expect(hasNormRelu(spec)).toBe(true);
    expect(spec.ffn.activation).toEqual({ kind: 'relu', threshold: 0.5 });
    expect(hasNormRelu(relufy(silu, { stage: 1, shift: 0.5 }))).toBe(false);
  });

  it.each([
    [relu, { stage: 3 as 1 }, 'relufy "stage": expected 1 or 2, got 3.'],
    [relu, { stage: 1 as const, shift: -1 }, 'relufy "shift": expected a number >= 0, got -1.'],
    [relu, { stage: 1 as const, activation: 'gelu' as 'relu' }, 'relufy "activation": expected relu, relu2 or fatrelu'],
    [
      relu,
      { stage: 1 as const, activation: 'fatrelu' as const },
      'relufy "threshold": expected one with activation fatrelu',
    ],
    [relu, { stage: 1 as const, threshold: 0.1 }, 'relufy "threshold": expected one with activation fatrelu'],
    [
      relu,
      { stage: 1 as const, activation: 'fatrelu' as const, threshold: -1 },
      'relufy "threshold": expected a number >= 0, got -1.',
    ],
    [
      relu,
      { stage: 1 as const, activation: 'relu2' as const, shift: 1 },
      'relufy "shift": expected none with relu2, got 1.',
    ],
    [relu, { stage: 1 as const, shfit: 1 } as { stage: 1 }, 'relufy option "shfit": unknown.'],
    [
      parseConfig({ ...opt, do_layer_norm_before: false }).spec,
      { stage: 2 as const },
      'in a post-norm model the norms are on the residual stream. Use stage 1.',
    ],
  ])('refuses what has no meaning', (spec, options, message) => {
    expect(() => relufy(spec, options)).toThrowError(message);
  });
});
