// Numbers that leave f32: computed where they can be, an error that names the layer where they cannot, the same on every
// backend and for every call.
import type { ModelFiles } from '@relufy/checkpoint';
import { createWasmBackend } from '@relufy/kernels';
import { createNativeBackend, nativeAvailability } from '@relufy/native';
import { type Backend, createReferenceBackend } from '@relufy/tensor';
import { afterAll, describe, expect, it } from 'vitest';
import type { LoadFilesOptions, Model } from '../../dist/index.js';
import { loadModelFiles } from '../../dist/index.js';
import { expectWithin } from '../testing/golden.js';
import { type ChangeTensors, randomModel } from '../testing/random-model.js';

const config = {
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 40,
  max_position_embeddings: 64,
  hidden_act: 'relu',
  tie_word_embeddings: false,
};

const falcon = { model_type: 'falcon', multi_query: true, parallel_attn: true, bias: false };
const minicpm = { ...config, model_type: 'minicpm', max_position_embeddings: 256, scale_emb: 12 };

/** Every number of the tensors whose name ends so, times a factor. */
const scaled =
  (ending: string, factor: number): ChangeTensors =>
  (tensors) => {
    const found = [...tensors].filter(([name]) => name.endsWith(ending));
    expect(found.length).toBeGreaterThan(0);
    for (const [, { data }] of found) for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * factor;
  };

const both =
  (one: string, factor: number, other: string, otherFactor: number): ChangeTensors =>
  (tensors) => {
    scaled(one, factor)(tensors);
    scaled(other, otherFactor)(tensors);
  };

const native = nativeAvailability();
const makers: Readonly<Record<string, () => Promise<Backend> | Backend>> = {
  reference: createReferenceBackend,
  'wasm, 1 thread': () => createWasmBackend({ threads: 1 }),
  'wasm, 2 threads': () => createWasmBackend({ threads: 2, everyThread: true }),
  'wasm without relaxed SIMD': () => createWasmBackend({ threads: 2, relaxedSimd: false }),
  'wasm without shared memory': () => createWasmBackend({ sharedMemory: false }),
  ...(native.available && {
    'native, 1 thread': () => createNativeBackend({ threads: 1 }),
    'native, 2 threads': () => createNativeBackend({ threads: 2, everyThread: true }),
  }),
};
if (!native.available) describe.skip(`native (${native.reason})`, () => it('is skipped', () => {}));

const prompt = [3, 17, 5, 29, 11];
const greedy = { maxNewTokens: 4, temperature: 0, stopTokenIds: [] };

const reference = createReferenceBackend();
async function expected(files: ModelFiles): Promise<{ logits: Float32Array; tokenIds: readonly number[] }> {
  const model = await loadModelFiles(files, { dtype: 'f32', backend: reference });
  const { logits } = await model.forward(prompt, { logits: 'all' });
  const { tokenIds } = await model.generate(prompt, greedy).result;
  await model.dispose();
  return { logits, tokenIds };
}

for (const [name, make] of Object.entries(makers))
  describe(`numbers that leave f32: ${name}`, async () => {
    const backend = await make();
    afterAll(() => backend.dispose());
    const load = async (
      change: ChangeTensors,
      options: LoadFilesOptions = { dtype: 'f32' },
      more = {},
    ): Promise<Model> => loadModelFiles(await randomModel({ ...config, ...more }, change), { ...options, backend });

    it.each([
      ['an embedding of 1e30', scaled('embed_tokens.weight', 1e30), {}],
      ['an embedding of 1e30 behind LayerNorm', scaled('word_embeddings.weight', 1e30), falcon],
      ['outputs of 1e30 in the middle', scaled('layers.1.mlp.down_proj.weight', 1e30), {}],
      ['scores of 1e50', both('layers.0.self_attn.q_proj.weight', 1e25, 'layers.0.self_attn.k_proj.weight', 1e25), {}],
    ] as const)('computes %s', async (_, change, more) => {
      const files = await randomModel({ ...config, ...more }, change);
      const want = await expected(files);
      const model = await loadModelFiles(files, { dtype: 'f32', backend });
      const { logits } = await model.forward(prompt, { logits: 'all' });
      expectWithin('logits', logits, want.logits, 1e-4);
      expect(new Set(logits.subarray(0, config.vocab_size)).size).toBeGreaterThan(30);
      expect((await model.generate(prompt, greedy).result).tokenIds).toEqual(want.tokenIds);
      await model.dispose();
    });

    const layer1 = 'layer 1: linear with "layers.1';
    it.each<[string, ChangeTensors, LoadFilesOptions, string]>([
      [
        'gate',
        both('layers.1.mlp.gate_proj.weight', 3e38, 'layers.1.post_attention_layernorm.weight', 1e3),
        { dtype: 'f32' },
        `${layer1}.gate.weight"`,
      ],
      [
        'down',
        both('layers.1.mlp.down_proj.weight', 1e25, 'layers.1.mlp.up_proj.weight', 1e25),
        { dtype: 'f32' },
        'layer 1: axpyRows with "layers.1.down.weight"',
      ],
      [
        'qkv',
        both('layers.2.self_attn.v_proj.weight', 3e38, 'layers.2.input_layernorm.weight', 1e4),
        { dtype: 'f32' },
        'layer 2: linear with "layers.2.qkv.weight"',
      ],
      ['head', both('lm_head.weight', 3e38, 'model.norm.weight', 1e4), { dtype: 'f32' }, 'head: linear with "lmHead"'],
      [
        'int8',
        both('layers.1.mlp.down_proj.weight', 1e6, 'layers.1.post_attention_layernorm.weight', 2.3e38),
        { dtype: 'int8' },
        'layer 1: ',
      ],
      [
        'f16 keys',
        scaled('layers.1.self_attn.k_proj.weight', 1e6),
        { dtype: 'f32', kvCache: 'f16' },
        'layer 1: storeKv: expected keys and values within f16',
      ],
    ])('ends with an error that names the layer: %s', async (what, change, options, message) => {
      const model = await load(change, options);
      const calls: Readonly<Record<string, () => Promise<unknown>>> = {
        generate: () => model.generate(prompt, greedy).result,
        forward: () => model.forward(prompt),
        'forward, all': () => model.forward(prompt, { logits: 'all', capture: ['hidden.1'] }),
        score: () => model.score(prompt),
        scoreBatch: () => model.scoreBatch([{ context: prompt, continuations: [[1, 2], [3]] }]),
      };
      // a head is not computed by who asks for no outputs of it
      for (const [call, run] of Object.entries(calls)) {
        const error = await run().then(
          () => undefined,
          (reason: unknown) => reason as Error & { code: string },
        );
        expect(error?.message, `${what}, ${call}`).toContain(message);
        expect(error?.message, call).toMatch(/got (NaN|-?Infinity|[-\d.e+]+) at position \d \(token id \d+\)\. /);
        expect(error?.code, call).toBe('backend');
      }
      await model.dispose();
    });

    it('names the token, in steps without outputs too, and goes on with what the cache held before', async () => {
      // its embedding times 12 leaves f32; the others are as they were
      const poison = 7;
      const files = await randomModel(minicpm, (tensors) => {
        const { data } = tensors.get('model.embed_tokens.weight') as { data: Float32Array };
        data.fill(3e38, poison * config.hidden_size, (poison + 1) * config.hidden_size);
      });
      const model = await loadModelFiles(files, { dtype: 'f32', backend });
      const message = (position: number) =>
        `embedding: activate: expected finite numbers, got Infinity at position ${position} (token id 7). The model leaves f32`;
      const long = Array.from({ length: 150 }, (_, i) => (i === 5 ? poison : (i * 3) % 6));
      await expect(model.generate(long, greedy).result).rejects.toThrowError(message(5));
      await expect(model.score(long)).rejects.toThrowError(message(5));
      const first = await model.generate(prompt, greedy).result;
      expect(first.usage.cachedTokens).toBe(0);
      await expect(model.generate([...prompt, poison], greedy).result).rejects.toThrowError(message(5));
      // what was computed before is still there, and of the failed step nothing
      const second = await model.generate(prompt, greedy).result;
      expect(second.usage.cachedTokens).toBe(prompt.length - 1);
      expect(second.tokenIds).toEqual(first.tokenIds);
      await model.dispose();
    });
  });
