// Tiny models for tests, their way to GGUF, and the comparison of what comes back.
import { widen } from '@relufy/tensor';
import { expect } from 'vitest';
import type { GgufExportOptions } from '../src/gguf/export.js';
import {
  type Checkpoint,
  encodeSafetensors,
  type ModelFiles,
  memoryFiles,
  openCheckpoint,
  streamGguf,
  type TensorToWrite,
} from '../src/index.js';
import { random } from './craft.js';

const next = random(7);
export const weight = (name: string, ...shape: number[]): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() - 0.5),
});

export const llamaConfig = {
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

export const llamaTensors = [
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

export const byteLevel = {
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

export async function model(
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

export async function toGguf(files: ModelFiles, options: GgufExportOptions = { type: 'f32' }): Promise<ModelFiles> {
  const pieces: Uint8Array[] = [];
  for await (const piece of streamGguf(files, options)) pieces.push(piece.slice());
  return memoryFiles('exported', { 'model.gguf': new Uint8Array(Buffer.concat(pieces)) });
}

export async function values(checkpoint: Checkpoint, name: string, first = 0, count?: number): Promise<Float32Array> {
  const rows = checkpoint.tensors
    .get(name)!
    .shape.slice(0, -1)
    .reduce((a, b) => a * b, 1);
  const { dtype, data } = await checkpoint.readRows(name, first, count ?? rows - first);
  return widen(dtype, data);
}

export async function json(files: ModelFiles, file: string): Promise<Record<string, never>> {
  return JSON.parse((await files.readText(file)) as string);
}

export async function expectSameWeights(before: ModelFiles, after: ModelFiles, tolerance = 0): Promise<void> {
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
