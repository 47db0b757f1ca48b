// Every GGUF architecture that is Llama with differences: a golden checkpoint comes back as it was, rows lie where
// llama.cpp's converter puts them, and what llama.cpp would compute otherwise is not written.
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { messageOf } from '../../testing/craft.js';
import {
  byteLevel,
  expectSameWeights,
  json,
  llamaConfig,
  llamaTensors,
  model,
  toGguf,
  values,
  weight,
} from '../../testing/tiny-model.js';
import { type ModelFiles, openCheckpoint, openGguf } from '../index.js';
import { folderFiles } from '../node.js';

/** A golden folder has no tokenizer. */
async function withTokenizer(path: string, config?: object): Promise<ModelFiles> {
  const files = await folderFiles(path);
  const tokenizer = { ...byteLevel, model: { ...byteLevel.model, merges: [] } };
  return {
    ...files,
    async readText(file, options) {
      if (file === 'tokenizer.json') return JSON.stringify(tokenizer);
      const text = await files.readText(file, options);
      return file === 'config.json' ? JSON.stringify({ ...JSON.parse(text as string), ...config }) : text;
    },
  };
}

describeShared('golden models', 'golden/zoo', () => {
  const cases = ['arcee', 'nemotron', 'jais2', 'mistral', 'qwen2', 'qwen3', 'smollm3', 'stablelm', 'gpt_neox'];
  for (const name of cases)
    it(`${name} comes back from GGUF as it was`, async () => {
      const before = await withTokenizer(shared(`golden/zoo/${name}`));
      const after = await toGguf(before);
      await expectSameWeights(before, after, name === 'nemotron' ? 1e-6 : 0); // 1 is added to norms and taken again
      const [config, again] = [await json(before, 'config.json'), await json(after, 'config.json')];
      for (const [key, value] of Object.entries(config))
        if (value !== null && key in again && !/token_id$|^architectures$/.test(key))
          expect(again[key], key).toEqual(value);
      const { rope_type, ...rope } = config.rope_parameters as unknown as Record<string, unknown>;
      expect(again).toMatchObject({ model_type: config.model_type, ...rope });
    });

  it('stores the norms of nemotron whole, and the heads of gpt_neox apart', async () => {
    const nemotron = await withTokenizer(shared('golden/zoo/nemotron'));
    const [near, file] = [await openCheckpoint(nemotron), await openGguf(await toGguf(nemotron))];
    const norm = await values(near, 'model.layers.1.post_attention_layernorm.weight');
    expect(await values(file, 'blk.1.ffn_norm.weight')).toEqual(norm.map((value) => value + 1));
    const neox = await withTokenizer(shared('golden/zoo/gpt_neox'));
    const [before, stored] = [await openCheckpoint(neox), await openGguf(await toGguf(neox))];
    const fused = await values(before, 'gpt_neox.layers.0.attention.query_key_value.bias');
    const parts = await values(stored, 'blk.0.attn_qkv.bias');
    // of head 1 (of 4): its query, key and value
    const width = fused.length / 12;
    for (const part of [0, 1, 2])
      expect(parts.slice((4 * part + 1) * width, (4 * part + 2) * width)).toEqual(
        fused.slice((3 + part) * width, (4 + part) * width),
      );
    for (const opened of [near, file, before, stored]) await opened.close();
  });

  it.each([
    ['gpt_neox', { rotary_pct: 0.5, rotary_emb_base: 5000 }, { partial_rotary_factor: 0.5, rope_theta: 5000 }],
    ['nemotron', { rope_percent: 0.25 }, { partial_rotary_factor: 0.25, rope_theta: 10000 }],
    ['smollm3', {}, { rope_theta: 2e6 }],
  ])('%s with %j, as older configs say it or leave it out', async (name, change, expected) => {
    const files = await withTokenizer(shared(`golden/zoo/${name}`), { ...change, rope_parameters: null });
    expect(await json(await toGguf(files), 'config.json')).toMatchObject(expected);
  });

  it.each([
    ['arcee', { mlp_bias: true }, '"mlp_bias": expected false for GGUF'],
    ['nemotron', { head_dim: 20 }, '"head_dim": expected hidden_size over num_attention_heads'],
    ['jais2', { mlp_bias: false }, '"mlp_bias": expected true for GGUF'],
    ['bitnet', {}, '"tie_word_embeddings": expected true for GGUF'],
    [
      'bitnet',
      { tie_word_embeddings: true },
      '(with a head that is not its embedding) "tie_word_embeddings": expected true',
    ],
    ['qwen2', { use_sliding_window: true }, '"use_sliding_window": expected false for GGUF'],
    ['qwen3', { attention_bias: true }, '"attention_bias": expected false for GGUF'],
    ['smollm3', { no_rope_layers: [0, 1, 1] }, '"no_rope_layers": expected every fourth for GGUF'],
    ['smollm3', { no_rope_layers: null, no_rope_layer_interval: 3 }, '"no_rope_layer_interval": expected 4 for GGUF'],
    ['stablelm', { qk_layernorm: true }, '"qk_layernorm": expected false for GGUF'],
    ['gpt_neox', { attention_bias: false }, '"attention_bias": expected true for GGUF'],
    [
      'gpt_neox',
      { rope_parameters: { rope_type: 'yarn', factor: 2 } },
      '"rope_parameters": expected default or linear',
    ],
    [
      'arcee',
      { rope_parameters: { rope_type: 'yarn', factor: 2, truncate: false } },
      '"rope_parameters": expected no truncate: false',
    ],
    ['qwen3', { partial_rotary_factor: 0.5 }, '"partial_rotary_factor": expected 1 for GGUF'],
    ['persimmon', {}, '"model_type", expected llama, mistral'],
  ])('%s with %j is not written', async (name, change, expected) => {
    const files = await withTokenizer(shared(`golden/zoo/${name}`), change);
    expect(await messageOf(() => toGguf(files))).toContain(expected);
  });
});

it.each([
  ['nemotron', {}, '"tie_word_embeddings": expected false for GGUF'],
  ['bitnet', { quantization_config: { quant_method: 'bitnet' } }, '"quantization_config"'],
])('a %s that is tied, with %j, is not written', async (model_type, change, expected) => {
  const config = { model_type, attention_bias: false, tie_word_embeddings: true, ...change };
  const tensors = llamaTensors.filter(({ name }) => name !== 'lm_head.weight');
  expect(await messageOf(async () => toGguf(await model({ config, tensors })))).toContain(expected);
});

describe('scalings', () => {
  const yarn = { rope_type: 'yarn', factor: 20, original_max_position_embeddings: 64, beta_fast: 16, beta_slow: 2 };

  it('YaRN comes back, and only what llama.cpp derives itself is written', async () => {
    const before = await model({ config: { rope_scaling: yarn } });
    const after = await toGguf(before);
    expect(await json(after, 'config.json')).toMatchObject({ rope_scaling: yarn });
    expect((await openGguf(after)).ggufMetadata.get('llama.rope.scaling.type')).toBe('yarn');
    for (const [key, value] of [
      ['attention_factor', 1.1],
      ['mscale_all_dim', 1],
    ] as const) {
      const files = await model({ config: { rope_scaling: { ...yarn, mscale: 1, [key]: value } } });
      expect(await messageOf(() => toGguf(files))).toContain(`expected no ${key} for GGUF`);
    }
  });

  it('a Llama and what runs as one', async () => {
    for (const model_type of ['mistral', 'sparsellama']) {
      const after = await toGguf(await model({ config: { model_type, sliding_window: 8 } }));
      expect((await openGguf(after)).ggufMetadata.get('general.architecture')).toBe('llama');
      expect(await json(after, 'config.json')).toMatchObject({ ...llamaConfig, model_type, sliding_window: 8 });
    }
  });
});

it('the multipliers of a MiniCPM come back', async () => {
  const config = { ...llamaConfig, model_type: 'minicpm', attention_bias: false, tie_word_embeddings: true };
  const scales = { scale_emb: 12, scale_depth: 1.4, dim_model_base: 16 };
  const tensors = llamaTensors.filter(({ name }) => !/bias|lm_head/.test(name));
  const before = await model({
    config: { ...config, ...scales, hidden_act: 'fatrelu', hidden_act_param: 0.03 },
    tensors,
  });
  const after = await toGguf(before);
  await expectSameWeights(before, after);
  expect(await json(after, 'config.json')).toMatchObject(scales);
  const { ggufMetadata } = await openGguf(after);
  expect(ggufMetadata.get('minicpm.logit_scale')).toBe(4);
  expect(ggufMetadata.get('relufy.config')).toBe('{"hidden_act":"fatrelu","hidden_act_param":0.03}');
});

it('a BitNet whose head is tied is written, its activation beside it', async () => {
  const config = {
    ...llamaConfig,
    model_type: 'bitnet',
    hidden_act: 'relu2',
    attention_bias: false,
    tie_word_embeddings: true,
  };
  const plain = llamaTensors.filter(({ name }) => !/bias|lm_head/.test(name));
  const inner = [0, 1].flatMap((n) => [
    weight(`model.layers.${n}.self_attn.attn_sub_norm.weight`, 64),
    weight(`model.layers.${n}.mlp.ffn_sub_norm.weight`, 96),
  ]);
  const before = await model({ config, tensors: [...plain, ...inner] });
  const after = await toGguf(before);
  await expectSameWeights(before, after);
  expect(await json(after, 'config.json')).toMatchObject({ model_type: 'bitnet', hidden_act: 'relu2' });
  expect((await openGguf(after)).ggufMetadata.get('relufy.config')).toContain('"hidden_act":"relu2"');
});
