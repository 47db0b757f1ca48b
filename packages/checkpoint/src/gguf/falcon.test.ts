import { describe, expect, it } from 'vitest';
import { messageOf } from '../../testing/craft.js';
import { byteLevel, expectSameWeights, json, toGguf, weight } from '../../testing/tiny-model.js';
import { encodeSafetensors, memoryFiles } from '../index.js';

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
