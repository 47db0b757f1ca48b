// Checkpoints that do not fit their config, or hold what cannot be computed with: one clear error each, nothing leaks.
import { encodeSafetensors, memoryFiles } from '@relufy/checkpoint';
import { blockDTypes, RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../index.js';
import { type LoadOptions, parseConfig } from '../node.js';

const config = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 16,
  max_position_embeddings: 32,
  hidden_act: 'relu',
};

interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint16Array;
}

/** A whole tiny Llama, by name. */
function tensors(): Map<string, Tensor> {
  const { family, spec } = parseConfig(config);
  const shapes: Record<string, number[]> = {
    'model.embed_tokens.weight': [16, 8],
    'model.norm.weight': [8],
    'lm_head.weight': [16, 8],
  };
  for (const parts of family.weights(spec).values())
    for (const { tensor, tensorRows } of parts)
      shapes[tensor] ??= tensor.includes('norm') ? [tensorRows] : [tensorRows, tensor.includes('down_proj') ? 12 : 8];
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i + name.length) * 0.3);
      return [name, { name, dtype: 'F32', shape, data }];
    }),
  );
}

async function load(change: (tensors: Map<string, Tensor>) => void, options: LoadOptions = {}, json: object = config) {
  const map = tensors();
  change(map);
  const bytes = await encodeSafetensors(map.values());
  const files = memoryFiles('tiny', { 'config.json': JSON.stringify(json), 'model.safetensors': bytes });
  return loadModel(files, { backend: 'reference', ...options });
}

async function failure(...args: Parameters<typeof load>): Promise<string> {
  const error = await load(...args).catch((thrown: unknown) => thrown);
  expect(RelufyError.is(error), String(error)).toBe(true);
  return (error as Error).message;
}

const up = 'model.layers.0.mlp.up_proj.weight';

describe('a checkpoint that fits', () => {
  it('loads, and runs without a tokenizer on ids', async () => {
    await using model = await load(() => {});
    const { tokenIds, text } = await model.generate([1, 2, 3], { maxNewTokens: 4, temperature: 0 }).result;
    expect(tokenIds).toHaveLength(4);
    expect(text).toBe('');
    await expect(model.encode('x')).rejects.toThrowError(/expected a tokenizer.json/);
    await expect(model.generate('x').result).rejects.toThrowError(/Pass token ids/);
    await expect(model.generate([1], { stop: 'x' }).result).rejects.toThrowError(/Use stopTokenIds/);
  });

  it('may lack the prefix in its names, hold old buffers, and store f16', async () => {
    await using model = await load((map) => {
      for (const [name, tensor] of [...map]) {
        map.delete(name);
        const bare = name.replace(/^model\./, '');
        map.set(bare, { ...tensor, name: bare });
      }
      const inv = 'layers.0.self_attn.rotary_emb.inv_freq';
      map.set(inv, { name: inv, dtype: 'F32', shape: [2], data: new Float32Array(2) });
    });
    await using plain = await load(() => {});
    const [a, b] = [await model.forward([1, 2]), await plain.forward([1, 2])];
    expect(a.logits).toEqual(b.logits);
  });

  it('may be tied and still store a head', async () => {
    await using model = await load(() => {}, {}, { ...config, tie_word_embeddings: true });
    expect((await model.forward([1])).shape).toEqual([1, 16]);
  });
});

describe('a checkpoint that does not fit', () => {
  it('lacks a tensor', async () => {
    expect(await failure((map) => map.delete(up))).toMatch(
      /^tiny tensor "model.layers.0.mlp.up_proj.weight": expected it among the 11 tensors of the checkpoint \(.*\), got none\. /,
    );
  });

  it('has a tensor of another shape', async () => {
    expect(await failure((map) => map.set(up, { ...(map.get(up) as Tensor), shape: [8, 12] }))).toContain(
      'expected [12, 8], got [8, 12]. config.json and weights do not belong together.',
    );
    expect(
      await failure((map) =>
        map.set('model.norm.weight', { ...(map.get('model.norm.weight') as Tensor), shape: [1, 8] }),
      ),
    ).toContain('expected [8], got [1, 8].');
  });

  it('has a tensor of a dtype that is no float', async () => {
    expect(
      await failure((map) => map.set(up, { ...(map.get(up) as Tensor), dtype: 'I32', data: new Int32Array(96) })),
    ).toContain('I32');
  });

  it('has more layers or parts than its config', async () => {
    const extra = (name: string) => (map: Map<string, Tensor>) =>
      map.set(name, { name, dtype: 'F32', shape: [8], data: new Float32Array(8) });
    expect(await failure(extra('model.layers.0.self_attn.q_proj.bias'))).toContain(
      'tiny tensor "model.layers.0.self_attn.q_proj.bias": expected no such tensor in this model, got one.',
    );
    expect(await failure(extra('model.layers.1.input_layernorm.weight'))).toContain('expected no such tensor');
  });

  it.each([
    ['NaN', Number.NaN],
    ['infinity', Number.NEGATIVE_INFINITY],
  ])('holds %s', async (_, value) => {
    for (const dtype of ['auto', 'bf16'] as const)
      expect(await failure((map) => ((map.get(up) as Tensor).data[50] = value), { dtype })).toContain(
        `tiny tensor "${up}": expected finite numbers, got NaN or infinity.`,
      );
  });

  it.each(blockDTypes)('holds numbers that are too large for %s, in any matrix', async (dtype) => {
    const down = 'model.layers.0.mlp.down_proj.weight'; // stored transposed: its blocks run along the other axis
    for (const name of [up, down, 'model.embed_tokens.weight', 'model.layers.0.self_attn.v_proj.weight']) {
      const change = (map: Map<string, Tensor>) => {
        (map.get(name) as Tensor).data[5] = -1e30;
      };
      const message = await failure(change, { dtype });
      expect(message).toContain(`"${name}"`);
      expect(message).toContain(`expected numbers whose ${dtype} block scale fits f16`);
      await using model = await load(change, { dtype: 'f32' });
      expect(model.spec.hiddenSize).toBe(8);
    }
  });

  it('has files that are not what they should be', async () => {
    const bytes = await encodeSafetensors(tensors().values());
    const attempt = async (files: Record<string, string | Uint8Array>) => {
      const error = await loadModel(memoryFiles('tiny', files), { backend: 'reference' }).catch(
        (thrown: unknown) => thrown,
      );
      expect(RelufyError.is(error), String(error)).toBe(true);
      return (error as Error).message;
    };
    expect(await attempt({})).toContain('tiny: expected a config.json, found none.');
    expect(await attempt({ 'config.json': '{' })).toContain('tiny config.json: expected JSON, got "{".');
    expect(await attempt({ 'config.json': JSON.stringify(config) })).toContain('model.safetensors');
    const good = { 'config.json': JSON.stringify(config), 'model.safetensors': bytes };
    expect(await attempt({ ...good, 'model.safetensors': bytes.subarray(0, bytes.length - 4) })).toContain(
      'model.safetensors',
    );
    expect(await attempt({ ...good, 'generation_config.json': '[]' })).toContain(
      'generation_config.json: expected an object',
    );
    expect(await attempt({ ...good, 'tokenizer.json': '{"version":"1.0"}' })).toContain('tokenizer');
  });

  it('survives thousands of mutations: loads, or one error', async () => {
    const bytes = await encodeSafetensors(tensors().values());
    const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    let loaded = 0;
    for (let n = 0; n < 2000; n++) {
      const mutated = bytes.slice(0, random(4) === 0 ? random(bytes.length) : bytes.length);
      // most changes hit the header, where the lies are
      for (let k = 0; k <= random(3) && mutated.length > 0; k++)
        mutated[random(4) ? random(Math.min(header, mutated.length)) : random(mutated.length)] = random(256);
      const files = memoryFiles('tiny', { 'config.json': JSON.stringify(config), 'model.safetensors': mutated });
      try {
        await using model = await loadModel(files, { backend: 'reference' });
        expect(model.spec.hiddenSize).toBe(8);
        loaded++;
      } catch (error) {
        if (!RelufyError.is(error)) throw error;
      }
    }
    expect(loaded).toBeGreaterThan(0);
    expect(loaded).toBeLessThan(2000);
  });
});
