import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { widen } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { messageOf, random } from '../../testing/craft.js';
import { itSurvivesMutation } from '../../testing/fuzz.js';
import {
  type Checkpoint,
  encodeSafetensors,
  type ModelFiles,
  memoryFiles,
  openCheckpoint,
  openGguf,
  streamGguf,
  type TensorToWrite,
} from '../index.js';
import { folderFiles, writeGguf } from '../node.js';
import type { GgufExportOptions } from './export.js';
import { llama3Scaling, ropeFactors } from './rope-factors.js';
import { shortestF32 } from './shortest.js';

const next = random(7);
const weight = (name: string, ...shape: number[]): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() - 0.5),
});

const llamaConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  rope_theta: 500000,
  rope_scaling: null,
  max_position_embeddings: 128,
  vocab_size: 9,
  tie_word_embeddings: false,
  attention_bias: true,
  mlp_bias: false,
};

const llamaTensors = [
  weight('model.embed_tokens.weight', 9, 64),
  weight('model.norm.weight', 64),
  weight('lm_head.weight', 9, 64),
  ...[0, 1].flatMap((n) => [
    weight(`model.layers.${n}.input_layernorm.weight`, 64),
    weight(`model.layers.${n}.post_attention_layernorm.weight`, 64),
    ...(['q', 'k', 'v', 'o'] as const).flatMap((part) => {
      const rows = part === 'k' || part === 'v' ? 32 : 64;
      return [
        weight(`model.layers.${n}.self_attn.${part}_proj.weight`, rows, 64),
        weight(`model.layers.${n}.self_attn.${part}_proj.bias`, rows),
      ];
    }),
    weight(`model.layers.${n}.mlp.gate_proj.weight`, 96, 64),
    weight(`model.layers.${n}.mlp.up_proj.weight`, 96, 64),
    weight(`model.layers.${n}.mlp.down_proj.weight`, 64, 96),
  ]),
];

const byteLevel = {
  added_tokens: [
    { id: 6, content: '<s>', special: true },
    { id: 7, content: '<tool>', special: false },
  ],
  normalizer: null,
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Digits', individual_digits: true },
      { type: 'ByteLevel', add_prefix_space: false },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  },
  model: {
    type: 'BPE',
    vocab: { a: 0, b: 1, Ġ: 2, ab: 3, Ġa: 4, '1': 5 },
    merges: ['a b', ['Ġ', 'a']],
    ignore_merges: false,
  },
};

async function model(
  changes: { config?: object; tokenizer?: object; tensors?: TensorToWrite[]; files?: Record<string, string> } = {},
): Promise<ModelFiles> {
  return memoryFiles('tiny', {
    'config.json': JSON.stringify({ ...llamaConfig, ...changes.config }),
    'tokenizer.json': JSON.stringify({ ...byteLevel, ...changes.tokenizer }),
    'tokenizer_config.json': JSON.stringify({
      bos_token: '<s>',
      eos_token: { content: '<s>' },
      chat_template: '{{ messages }}',
    }),
    'model.safetensors': await encodeSafetensors(changes.tensors ?? llamaTensors),
    ...changes.files,
  });
}

async function toGguf(files: ModelFiles, options: GgufExportOptions = { type: 'f32' }): Promise<ModelFiles> {
  const pieces: Uint8Array[] = [];
  for await (const piece of streamGguf(files, options)) pieces.push(piece.slice());
  return memoryFiles('exported', { 'model.gguf': new Uint8Array(Buffer.concat(pieces)) });
}

async function values(checkpoint: Checkpoint, name: string, first = 0, count?: number): Promise<Float32Array> {
  const rows = checkpoint.tensors
    .get(name)!
    .shape.slice(0, -1)
    .reduce((a, b) => a * b, 1);
  const { dtype, data } = await checkpoint.readRows(name, first, count ?? rows - first);
  return widen(dtype, data);
}

async function json(files: ModelFiles, file: string): Promise<Record<string, never>> {
  return JSON.parse((await files.readText(file)) as string);
}

async function expectSameWeights(before: ModelFiles, after: ModelFiles, tolerance = 0): Promise<void> {
  const [a, b] = [await openCheckpoint(before), await openCheckpoint(after)];
  expect([...b.tensors.keys()].sort()).toEqual([...a.tensors.keys()].sort());
  for (const [name, { shape }] of a.tensors) {
    const [x, y] = [await values(a, name), await values(b, name)];
    const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(
      x.every((value, i) => Math.abs(value - y[i]!) <= tolerance * largest),
      name,
    ).toBe(true);
    if (shape.length === 2 && shape[0]! > 3)
      expect(await values(b, name, 1, 2)).toEqual(y.slice(shape[1], 3 * shape[1]!));
  }
  await a.close();
  await b.close();
}

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
      vocab: { ...byteLevel.model.vocab, '[PAD8]': 8 },
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

it('a stub config beside a GGUF does not count, a tokenizer does', async () => {
  const source = (await (await toGguf(await model())).open('model.gguf'))!;
  const bytes = await source.read(0, source.size);
  const files = memoryFiles('folder', {
    'm.gguf': bytes,
    'config.json': '{"model_type":"llama"}',
    'tokenizer.json': '{"a":1}',
  });
  expect(await json(files, 'config.json')).toMatchObject({ hidden_size: 64 });
  expect(await json(files, 'tokenizer.json')).toEqual({ a: 1 });
  expect(await files.readText('vocab.json')).toBeUndefined();
  const beside = memoryFiles('folder', { 'm.gguf': bytes, 'config.json': '{}', 'model.safetensors': bytes });
  expect(await beside.readText('config.json')).toBe('{}');
});

it('SentencePiece tokenizers come back, scores or merges', async () => {
  const vocab = { '<unk>': 0, '<s>': 1, '<0x0A>': 2, '▁': 3, a: 4, b: 5, '▁a': 6, ab: 7, '▁ab': 8 };
  const merges = [
    ['▁', 'a'],
    ['a', 'b'],
    ['▁', 'ab'],
    ['▁a', 'b'],
  ];
  const tokenizer = {
    added_tokens: [
      { id: 0, content: '<unk>', special: true },
      { id: 1, content: '<s>', special: true },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    model: { type: 'BPE', vocab, merges, byte_fallback: true, unk_token: '<unk>' },
  };
  const after = await json(await toGguf(await model({ tokenizer })), 'tokenizer.json');
  expect(after.model).toMatchObject({ vocab, merges, byte_fallback: true, unk_token: '<unk>' });
  expect(after.normalizer).toEqual(tokenizer.normalizer);
  expect(after.added_tokens).toMatchObject(tokenizer.added_tokens);
});

describe('falcon', () => {
  const config = (changes: object) => ({
    model_type: 'falcon',
    hidden_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    vocab_size: 9,
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
    max_position_embeddings: 64,
    ...changes,
  });
  const tensors = (qkvRows: number, norms: string[]) => [
    weight('transformer.word_embeddings.weight', 9, 64),
    ...['transformer.ln_f', ...norms.map((norm) => `transformer.h.0.${norm}`)].flatMap((name) => [
      weight(`${name}.weight`, 64),
      weight(`${name}.bias`, 64),
    ]),
    weight('transformer.h.0.self_attention.query_key_value.weight', qkvRows, 64),
    weight('transformer.h.0.self_attention.dense.weight', 64, 64),
    weight('transformer.h.0.mlp.dense_h_to_4h.weight', 256, 64),
    weight('transformer.h.0.mlp.dense_4h_to_h.weight', 64, 256),
  ];
  const cases = [
    {
      name: 'multi-query',
      config: config({ multi_query: true, num_kv_heads: 4, new_decoder_architecture: false }),
      tensors: tensors(96, ['input_layernorm']),
    },
    {
      name: 'grouped, two norms',
      config: config({ num_kv_heads: 2, new_decoder_architecture: true }),
      tensors: tensors(128, ['ln_attn', 'ln_mlp']),
    },
    {
      name: 'grouped, one norm',
      config: config({ num_kv_heads: 2, new_decoder_architecture: true, num_ln_in_parallel_attn: 1 }),
      tensors: tensors(128, ['input_layernorm']),
    },
  ];
  for (const { name, config: given, tensors: weights } of cases)
    it(`(${name}) comes back from GGUF as it was`, async () => {
      const before = memoryFiles('tiny', {
        'config.json': JSON.stringify(given),
        'tokenizer.json': JSON.stringify(byteLevel),
        'model.safetensors': await encodeSafetensors(weights),
      });
      const after = await toGguf(before);
      await expectSameWeights(before, after);
      expect(await json(after, 'config.json')).toMatchObject(given);
    });

  it('with ALiBi is refused', async () => {
    const files = memoryFiles('tiny', {
      'config.json': JSON.stringify(config({ alibi: true })),
      'model.safetensors': await encodeSafetensors([]),
    });
    expect(await messageOf(() => toGguf(files))).toContain('"alibi"');
  });
});

describe('refusing', () => {
  const cases: [string, Parameters<typeof model>[0], RegExp][] = [
    ['another family', { config: { model_type: 'opt' } }, /"model_type", expected llama or falcon/],
    ['another scaling', { config: { rope_scaling: { type: 'yarn', factor: 2 } } }, /"rope_scaling"/],
    ['a missing size', { config: { hidden_size: null } }, /"hidden_size"/],
    [
      'an unknown tensor',
      { tensors: [...llamaTensors, weight('model.layers.0.self_attn.q_norm.weight', 16)] },
      /q_norm/,
    ],
    ['a missing tensor', { tensors: llamaTensors.slice(0, -1) }, /blk.1.ffn_down.weight/],
    ['wrong heads', { config: { num_attention_heads: 2 } }, /expected 32 rows/],
    ['another tokenizer', { tokenizer: { pre_tokenizer: { type: 'Whitespace' } } }, /"pre_tokenizer"/],
    ['a token beyond the vocabulary', { config: { vocab_size: 7 } }, /"<tool>", expected an id below/],
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
