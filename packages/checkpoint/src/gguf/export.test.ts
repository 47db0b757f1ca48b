import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { torchBin } from '../../testing/bin.js';
import { messageOf } from '../../testing/craft.js';
import { itSurvivesMutation } from '../../testing/fuzz.js';
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
import { type ModelFiles, memoryFiles, openCheckpoint, openGguf, type TensorToWrite } from '../index.js';
import { folderFiles, writeGguf } from '../node.js';
import { llama3Scaling, ropeFactors } from './rope-factors.js';
import { shortestF32 } from './shortest.js';

describe('llama', () => {
  it('comes back from GGUF as it was', async () => {
    const before = await model();
    const after = await toGguf(before);
    await expectSameWeights(before, after);
    expect(await json(after, 'config.json')).toMatchObject(llamaConfig);
    expect((await openGguf(after)).ggufMetadata.has('relufy.config')).toBe(false);
    expect(await json(after, 'generation_config.json')).toEqual({ bos_token_id: 6, eos_token_id: 6 });
    const tokenizer = await json(after, 'tokenizer.json');
    expect(tokenizer.model).toMatchObject({
      vocab: byteLevel.model.vocab,
      merges: [
        ['a', 'b'],
        ['Ġ', 'a'],
      ],
    });
    expect(tokenizer.added_tokens).toMatchObject(byteLevel.added_tokens);
    expect(tokenizer.post_processor).toMatchObject({
      single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
    });
    expect(await json(after, 'tokenizer_config.json')).toMatchObject({
      bos_token: '<s>',
      eos_token: '<s>',
      chat_template: '{{ messages }}',
    });
  });

  it('interleaves the halves of every query and key head in the file', async () => {
    const files = await model();
    const [before, raw] = [await openCheckpoint(files), await openGguf(await toGguf(files))];
    const rows = await values(before, 'model.layers.1.self_attn.k_proj.weight');
    const stored = await values(raw, 'blk.1.attn_k.weight');
    for (const [row, at] of [
      [0, 0],
      [8, 1],
      [1, 2],
      [9, 3],
      [16, 16],
      [24, 17],
    ] as const)
      expect(stored.slice(at * 64, at * 64 + 64)).toEqual(rows.slice(row * 64, row * 64 + 64));
  });

  it('keeps what GGUF has no key for', async () => {
    const after = await toGguf(await model(), { type: 'f32', config: { hidden_act: 'relu', relufy: { shift: 0.1 } } });
    expect(await json(after, 'config.json')).toMatchObject({ hidden_act: 'relu', relufy: { shift: 0.1 } });
    expect((await openGguf(after)).ggufMetadata.get('relufy.config')).toBe(
      '{"hidden_act":"relu","relufy":{"shift":0.1}}',
    );
  });

  it('takes tied embeddings, linear and llama3 scaling, and bare names', async () => {
    const bare = llamaTensors
      .filter(({ name }) => name !== 'lm_head.weight')
      .map((tensor) => ({ ...tensor, name: tensor.name.replace('model.', '') }));
    const llama3 = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    for (const scaling of [{ rope_type: 'linear', factor: 2.5 }, llama3]) {
      const before = await model({
        config: { tie_word_embeddings: true, rope_parameters: { rope_theta: 500000, ...scaling } },
        tensors: bare,
      });
      expect(await json(await toGguf(before), 'config.json')).toMatchObject({
        tie_word_embeddings: true,
        rope_theta: 500000,
        rope_scaling: scaling,
      });
    }
  });

  it('is quantised as asked, within the blocks’ precision', async () => {
    const before = await model();
    for (const [type, tolerance] of [
      ['f16', 1e-3],
      ['q8_0', 6e-3],
      ['q4_0', 0.13],
    ] as const)
      await expectSameWeights(before, await toGguf(before, { type }), tolerance);
    const { tensors } = await openGguf(await toGguf(before, { type: 'q4_0' }));
    expect(tensors.get('blk.0.ffn_up.weight')?.dtype).toBe('Q4_0');
    expect(tensors.get('output.weight')?.dtype).toBe('Q8_0');
    expect(tensors.get('blk.0.attn_norm.weight')?.dtype).toBe('F32');
  });
});

it('keeps the dtype that a config names: rotary frequencies may be rounded to it', async () => {
  for (const [dtype, expected] of [
    ['bfloat16', '{"dtype":"bfloat16"}'],
    ['float32', undefined],
  ]) {
    const after = await toGguf(await model({ config: { dtype, torch_dtype: dtype } }));
    expect((await openGguf(after)).ggufMetadata.get('relufy.config')).toBe(expected);
  }
});

describe('a tied model', () => {
  const head = llamaTensors.find(({ name }) => name === 'lm_head.weight') as TensorToWrite;
  const embedding = llamaTensors.find(({ name }) => name === 'model.embed_tokens.weight') as TensorToWrite;
  const others = llamaTensors.filter((tensor) => tensor !== head && tensor !== embedding);
  const cases = [
    { name: 'with a head that differs keeps it', tensors: [embedding, head], tied: false, table: embedding },
    { name: 'with the head alone', tensors: [head], tied: true, table: head },
    { name: 'with the embedding alone', tensors: [embedding], tied: true, table: embedding },
    {
      name: 'with the same numbers twice writes them once',
      tensors: [embedding, { ...head, data: embedding.data }],
      tied: true,
      table: embedding,
    },
  ];
  const written = (tensors: readonly TensorToWrite[]) => ({
    'safetensors, the config ties': model({ config: { tie_word_embeddings: true }, tensors: [...others, ...tensors] }),
    'safetensors, the architecture ties': model({
      config: { model_type: 'smollm3', attention_bias: true, tie_word_embeddings: undefined },
      tensors: [...others, ...tensors],
    }),
    '.bin': memoryBin(tensors),
  });
  const memoryBin = async (tensors: readonly TensorToWrite[]): Promise<ModelFiles> => {
    const files = await model({ config: { tie_word_embeddings: true } });
    const bin = memoryFiles('bin', { 'pytorch_model.bin': torchBin([...others, ...tensors]) });
    const has = (file: string) => /\.json$/.test(file) && !file.includes('.index.');
    return {
      ...bin,
      open: (file, signal) => (has(file) ? files.open(file, signal) : bin.open(file, signal)),
      readText: (file, options) => (has(file) ? files.readText(file, options) : bin.readText(file, options)),
    };
  };

  for (const { name, tensors, tied, table } of cases)
    it.each(Object.entries(written(tensors)))(`${name}: %s`, async (_, files) => {
      const after = await toGguf(await files);
      const raw = await openGguf(after);
      expect(await values(raw, 'token_embd.weight')).toEqual(table.data);
      expect(raw.tensors.has('output.weight')).toBe(!tied);
      if (!tied) expect(await values(raw, 'output.weight')).toEqual(head.data);
      expect(raw.ggufMetadata.get('relufy.config') ?? '').not.toContain('tie_word');
      expect((await json(after, 'config.json')).tie_word_embeddings).toBe(tied);
    });

  it('that is none needs a head, and an embedding', async () => {
    for (const [stored, missing] of [
      [embedding, 'output.weight'],
      [head, 'token_embd.weight'],
    ] as const)
      expect(await messageOf(async () => toGguf(await model({ tensors: [...others, stored] })))).toContain(
        `tensor for "${missing}", expected among its`,
      );
  });
});

describe('refusing', () => {
  it.each([
    ['f16', 65536, /expected numbers that fit f16 .*got 6.55e\+4/],
    ['q8_0', 1e7, /expected numbers whose Q8_0 block scale fits f16 .*got 1.00e\+7/],
    ['q4_0', -1e6, /expected numbers whose Q4_0 block scale fits f16 .*got 1.00e\+6/],
    ['f32', Number.NaN, /expected finite numbers/],
    ['f16', Number.POSITIVE_INFINITY, /expected finite numbers/],
    ['q8_0', Number.NEGATIVE_INFINITY, /expected finite numbers/],
    ['q4_0', Number.NaN, /expected finite numbers/],
  ] as const)('numbers that %s cannot hold: %d', async (type, value, expected) => {
    const name = 'model.layers.1.mlp.up_proj.weight';
    const tensors = llamaTensors.map((tensor) => {
      if (tensor.name !== name) return tensor;
      const data = Float32Array.from(tensor.data as Float32Array);
      data[37] = value;
      return { ...tensor, data };
    });
    const message = await messageOf(async () => toGguf(await model({ tensors }), { type }));
    expect(message).toContain(`tensor "${name}": `);
    expect(message).toMatch(expected);
  });

  const cases: [string, Parameters<typeof model>[0], RegExp][] = [
    ['another family', { config: { model_type: 'opt' } }, /"model_type", expected llama, mistral, sparsellama, falcon/],
    ['another scaling', { config: { rope_scaling: { type: 'dynamic', factor: 2 } } }, /"rope_scaling"/],
    ['a missing size', { config: { hidden_size: null } }, /"hidden_size"/],
    [
      'an unknown tensor',
      { tensors: [...llamaTensors, weight('model.layers.0.self_attn.q_norm.weight', 16)] },
      /q_norm/,
    ],
    ['a missing tensor', { tensors: llamaTensors.slice(0, -1) }, /blk.1.ffn_down.weight/],
    ['wrong heads', { config: { num_attention_heads: 2 } }, /expected 32 rows/],
    ['another tokenizer', { tokenizer: { pre_tokenizer: { type: 'Whitespace' } } }, /"pre_tokenizer"/],
    ['another vocabulary', { config: { vocab_size: 7 } }, /shape of the embedding, expected \[7,64\]/],
    ['a token beyond it', { tokenizer: { added_tokens: [{ id: 9, content: '<x>' }] } }, /"<x>", expected an id below/],
  ];
  for (const [name, changes, expected] of cases)
    it(name, async () => {
      const files = await model(changes);
      expect(await messageOf(() => toGguf(files))).toMatch(expected);
    });
});

itSurvivesMutation(
  'gguf as a Hugging Face folder',
  async () => {
    const small = {
      hidden_size: 32,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      attention_bias: false,
      tie_word_embeddings: true,
    };
    const tensors = llamaTensors
      .filter(({ name }) => !/lm_head|layers\.1|bias/.test(name))
      .map(({ name, shape }) =>
        weight(name, ...shape.map((size) => (name.includes('norm') ? 32 : size === 9 ? 9 : 32))),
      );
    const files = await toGguf(await model({ config: small, tensors }), { type: 'q8_0' });
    const source = (await files.open('model.gguf'))!;
    const original = await source.read(0, source.size);
    return [
      {
        file: 'model.gguf',
        original,
        headerEnd: 5600,
        read: async (mutated, opened) => {
          for (const file of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
            JSON.parse((await mutated.readText(file)) ?? '{}');
          const checkpoint = await openCheckpoint(mutated);
          opened();
          try {
            for (const { name } of checkpoint.tensors.values()) await values(checkpoint, name);
          } finally {
            await checkpoint.close();
          }
        },
      },
    ];
  },
  500,
);

it('rope factors give the scaling back', () => {
  for (const [factor, high, original] of [
    [8, 4, 8192],
    [32, 4, 8192],
    [4, 8, 2048],
  ] as const) {
    const scaling = { factor, low_freq_factor: 1, high_freq_factor: high, original_max_position_embeddings: original };
    expect(llama3Scaling('x', ropeFactors(scaling, 500000, 128), 500000, 128)).toEqual({
      rope_type: 'llama3',
      ...scaling,
    });
  }
  expect(() => llama3Scaling('x', Float32Array.of(1, 2, 1, 2), 10000, 8)).toThrow(
    'expected the factors of a llama3 scaling',
  );
});

it('decimals come back from f32', () => {
  for (const value of [1e-5, 1e-6, 0.1, 10000, 500000.5, 2.345678]) expect(shortestF32(Math.fround(value))).toBe(value);
});

describeShared('golden models', 'golden/llama-silu', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'relufy-gguf-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('come back from GGUF as they were', async () => {
    for (const name of [
      'llama-silu',
      'llama-rope-llama3',
      'llama-headdim-biases',
      'falcon-7b-shape',
      'falcon-40b-shape',
    ]) {
      const original = await folderFiles(shared(`golden/${name}`));
      const tokenizer = { ...byteLevel, model: { ...byteLevel.model, merges: [] } };
      const before: ModelFiles = {
        ...original,
        readText: async (file, options) =>
          file === 'tokenizer.json' ? JSON.stringify(tokenizer) : original.readText(file, options),
      };
      const path = join(folder, `${name}.gguf`);
      await writeGguf(path, before, { type: 'f32' });
      const after = await folderFiles(path);
      await expectSameWeights(before, after);
      const config = await json(before, 'config.json');
      const again = await json(after, 'config.json');
      for (const [key, value] of Object.entries(config))
        if (value !== null && key in again && !/token_id$/.test(key))
          expect(again[key], `${name} ${key}`).toEqual(value);
    }
  });
});
