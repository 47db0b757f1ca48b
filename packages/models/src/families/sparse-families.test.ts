// Families that are sparse as published: dReLU skips at up and down without changing a bit, MiniCPM's multipliers agree
// with its formula in f64, and configs and weights that do not fit give one error that names the key or the tensor.
import { readFileSync } from 'node:fs';
import { openCheckpoint } from '@relufy/checkpoint';
import { nativeAvailability } from '@relufy/native';
import { RelufyError, widen } from '@relufy/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { type LoadOptions, loadModel, parameterCount, parseConfig } from '../node.js';
import { expectWithin } from '../testing/golden.js';
import { randomModel } from '../testing/random-model.js';

const sizes = {
  hidden_size: 24,
  intermediate_size: 50,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 40,
  max_position_embeddings: 32,
};
const bamboo = { ...sizes, model_type: 'bamboo', num_key_value_heads: 2, hidden_act: 'relu', sliding_window: 5 };
const backends = ['reference', 'wasm', ...(nativeAvailability().available ? (['native'] as const) : [])] as const;
const ids = [3, 17, 8, 39, 0, 25, 11];

async function run(config: object, options: LoadOptions) {
  await using model = await loadModel(await randomModel(config), { threads: 2, ...options });
  const { logits, captured } = await model.forward(ids, { logits: 'all', capture: ['down.0', 'down.1'] });
  const { tokenIds, stats } = await model.generate(ids, { maxNewTokens: 8, temperature: 0, stopTokenIds: [] }).result;
  return { logits, captured, tokenIds, density: stats.density };
}

describe('dReLU', () => {
  for (const backend of backends)
    it(`skips at up and, more, at down, and changes no bit: ${backend}`, async () => {
      const sparse = await run(bamboo, { backend });
      const dense = await run(bamboo, { backend, sparsity: 'dense' });
      expect(sparse.logits).toEqual(dense.logits);
      expect(sparse.captured).toEqual(dense.captured);
      expect(sparse.tokenIds).toEqual(dense.tokenIds);
      const up = sparse.density.up as number[];
      up.forEach((density, layer) => {
        expect(density).toBeGreaterThan(0.2);
        expect(density).toBeLessThan(0.8);
        expect(sparse.density.down[layer]).toBeLessThan(0.8 * density);
      });
      expect(dense.density.down).toEqual([1, 1]);
    });

  it('is an option for checkpoints that do not say it, such as SparseQwen2', async () => {
    const qwen2 = { ...sizes, model_type: 'qwen2', num_key_value_heads: 2, hidden_act: 'silu' };
    const asked = await run(qwen2, { backend: 'reference', relufy: { stage: 1, activateUp: true } });
    const recorded = await run({ ...qwen2, relufy: { stage: 1, activateUp: true } }, { backend: 'reference' });
    expect(recorded).toEqual(asked);
    expect((await run({ ...qwen2, hidden_act: 'relu' }, { backend: 'reference' })).logits).not.toEqual(asked.logits);
    expect(() => parseConfig({ ...sizes, model_type: 'arcee', relufy: { stage: 1, activateUp: true } })).toThrowError(
      'relufy "activateUp": expected a gated FFN, got a plain one. Leave it out.',
    );
  });
});

describe('MiniCPM', () => {
  const config = {
    ...sizes,
    num_key_value_heads: 2,
    architectures: ['MiniCPMForCausalLM'],
    hidden_act: 'fatrelu',
    hidden_act_param: 0.05,
    rms_norm_eps: 1e-5,
    scale_emb: 12,
    dim_model_base: 6,
    scale_depth: 1.4,
  };

  it('is known by its class, and multiplies embeddings, branches and logits as it should', async () => {
    const files = await randomModel(config);
    await using model = await loadModel(files, { backend: 'reference' });
    const { logits } = await model.forward([7], { logits: 'all' });
    expectWithin('logits', logits, Float32Array.from(await oneToken(files, 7)), 1e-5);
  });

  /** One token at position 0 attends to itself alone, without rotation: attention gives its values. */
  async function oneToken(files: Awaited<ReturnType<typeof randomModel>>, id: number): Promise<number[]> {
    const checkpoint = await openCheckpoint(files);
    const matrix = async (name: string) => {
      const { shape } = checkpoint.tensors.get(`${name}.weight`) as { shape: readonly number[] };
      const [rows, columns] = shape.length === 1 ? [1, shape[0] as number] : (shape as [number, number]);
      const { dtype, data } = await checkpoint.readRows(`${name}.weight`, 0, rows);
      const values = [...widen(dtype, data)];
      return Array.from({ length: rows }, (_, row) => values.slice(row * columns, (row + 1) * columns));
    };
    const times = (w: number[][], x: number[]) =>
      w.map((row) => row.reduce((sum, value, i) => sum + value * (x[i] as number), 0));
    const norm = async (name: string, x: number[]) => {
      const [weight] = (await matrix(name)) as [number[]];
      const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + 1e-5);
      return x.map((value, i) => value * scale * (weight[i] as number));
    };
    const branch = 1.4 / Math.sqrt(2);
    const embedding = await matrix('model.embed_tokens');
    let x = (embedding[id] as number[]).map((value) => value * 12);
    for (const layer of [0, 1]) {
      const at = (part: string) => `model.layers.${layer}.${part}`;
      const v = times(await matrix(at('self_attn.v_proj')), await norm(at('input_layernorm'), x));
      const heads = [...v.slice(0, 6), ...v.slice(0, 6), ...v.slice(6), ...v.slice(6)]; // two queries a key
      const attention = times(await matrix(at('self_attn.o_proj')), heads);
      x = x.map((value, i) => value + (attention[i] as number) * branch);
      const input = await norm(at('post_attention_layernorm'), x);
      const gate = times(await matrix(at('mlp.gate_proj')), input);
      const up = times(await matrix(at('mlp.up_proj')), input);
      const h = gate.map((value, i) => (value > 0.05 ? value * (up[i] as number) : 0));
      const ffn = times(await matrix(at('mlp.down_proj')), h);
      x = x.map((value, i) => value + (ffn[i] as number) * branch);
    }
    const last = (await norm('model.norm', x)).map((value) => value / (24 / 6));
    await checkpoint.close();
    return times(embedding, last); // the head is tied where the config does not say
  }
});

describeShared('published sparse configs', 'configs', () => {
  const read = (name: string) => parseConfig(JSON.parse(readFileSync(shared(`configs/${name}.json`), 'utf8')));

  it('MiniCPM-S-1B: multipliers, FATReLU, size', () => {
    const { modelType, spec } = read('openbmb__MiniCPM-S-1B-sft');
    expect(modelType).toBe('minicpm');
    expect(spec.ffn.activation).toEqual({ kind: 'fatrelu', threshold: 0.03 });
    expect(spec.multipliers).toEqual({ embedding: 12, residual: 1.4 / Math.sqrt(52), logits: 256 / 1536 });
    expect(parameterCount(spec)).toBe(1_360_246_272);
  });

  it('ProSparse: FATReLU at 0.01', () => {
    const { modelType, spec } = read('SparseLLM__prosparse-llama-2-7b');
    expect(modelType).toBe('sparsellama');
    expect(spec.ffn.activation).toEqual({ kind: 'fatrelu', threshold: 0.01 });
  });
});

describe('older configs', () => {
  it('GPT-NeoX says rotary_pct and rotary_emb_base', () => {
    const config = { ...sizes, model_type: 'gpt_neox', hidden_size: 64 };
    const positions = (more: object) => parseConfig({ ...config, ...more }).spec.positions;
    expect(positions({})).toMatchObject({ rotaryDim: 4, ropeTheta: 10000 });
    expect(positions({ rotary_pct: 0.5, rotary_emb_base: 5000 })).toMatchObject({ rotaryDim: 8, ropeTheta: 5000 });
    expect(positions({ rope_parameters: { rope_theta: 7, partial_rotary_factor: 1 } })).toMatchObject({
      rotaryDim: 16,
      ropeTheta: 7,
    });
  });

  it('Nemotron says rope_percent', () => {
    const config = { ...sizes, model_type: 'nemotron', hidden_size: 64, rope_percent: 0.25 };
    expect(parseConfig(config).spec.positions).toMatchObject({ rotaryDim: 4 });
    expect(parseConfig({ ...config, partial_rotary_factor: 1 }).spec.positions).toMatchObject({ rotaryDim: 16 });
  });

  it('what a config leaves out is what the family has', () => {
    const of = (model_type: string) => parseConfig({ ...sizes, hidden_size: 64, model_type }).spec;
    for (const type of ['arcee', 'nemotron', 'nanochat', 'jais2', 'persimmon', 'bitnet'])
      expect(of(type).ffn.activation.kind, type).toBe('relu2');
    expect(of('nemotron').positions).toMatchObject({ rotaryDim: 8 });
    expect(of('persimmon').positions).toMatchObject({ rotaryDim: 8 });
    expect(of('stablelm').positions).toMatchObject({ rotaryDim: 4 });
    expect(of('bitnet').positions).toMatchObject({ ropeTheta: 500000 });
    expect(of('smollm3')).toMatchObject({ tieWordEmbeddings: true, positions: { ropeTheta: 2e6 } });
    expect(of('nanochat').logitsSoftcap).toBe(15);
    expect(of('jais2')).toMatchObject({ mixer: { qkvBias: true }, ffn: { bias: true } });
  });
});

const zoo = [
  { model_type: 'arcee', rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 } },
  { model_type: 'nemotron', partial_rotary_factor: 1 },
  { model_type: 'nanochat', final_logit_softcapping: 15 },
  { model_type: 'jais2', attention_bias: true, mlp_bias: false },
  { model_type: 'persimmon', hidden_size: 32, qk_layernorm: true },
  { model_type: 'bitnet' },
  { model_type: 'mistral', sliding_window: 4 },
  bamboo,
  {
    model_type: 'qwen2',
    use_sliding_window: true,
    sliding_window: 3,
    layer_types: ['full_attention', 'sliding_attention'],
  },
  { model_type: 'qwen3', head_dim: 6 },
  { model_type: 'smollm3', no_rope_layers: [1, 0] },
  { model_type: 'stablelm', hidden_size: 64, qk_layernorm: true, use_parallel_residual: true },
  { model_type: 'gpt_neox', hidden_size: 64, rotary_pct: 0.25 },
  { model_type: 'minicpm', scale_emb: 2, scale_depth: 1.4, dim_model_base: 8 },
].map((config) => ({ ...sizes, ...config }));

describe('what does not fit', () => {
  const wrong = fc.oneof(
    fc.constantFrom(null, undefined, '', 'x', 0, -1, 0.5, 1e300, Number.NaN, true, false, [], {}, [1], ['x']),
    fc.integer(),
    fc.double(),
    fc.string(),
  );

  it.each(zoo)('a config with one value changed parses or gives one error that names a key: $model_type', (config) => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(config)), wrong, (key, value) => {
        try {
          const { spec } = parseConfig({ ...config, [key]: value });
          expect(Number.isFinite(parameterCount(spec))).toBe(true);
        } catch (error) {
          expect(RelufyError.is(error) && error.code, String(error)).toBe('config');
          expect((error as Error).message).toMatch(/config(\.json)? "[\w.]+": expected .+, got .+\./s);
        }
      }),
      { numRuns: 120 },
    );
  });

  it.each(zoo)('a tensor of another shape, or none, is named: $model_type', async (config) => {
    const { family, spec } = parseConfig(config);
    const names = new Set([...family.weights(spec).values()].flat().map(({ tensor }) => tensor));
    for (const name of [...names].filter((_, i) => i % 5 === 0)) {
      const failure = async (change: Parameters<typeof randomModel>[1]) => {
        const error = await loadModel(await randomModel(config, change), { backend: 'reference' }).catch(
          (e: unknown) => e,
        );
        expect(RelufyError.is(error) && error.code, `${name}: ${error}`).toBe('checkpoint');
        return (error as Error).message;
      };
      const longer = await failure((tensors) => {
        const { shape, data, ...rest } = tensors.get(name)!;
        const [rows, ...columns] = shape as [number, ...number[]];
        const more = new Float32Array(data.length + data.length / rows);
        tensors.set(name, { ...rest, shape: [rows + 1, ...columns], data: more });
      });
      expect(longer).toContain(`tensor "${name}": expected [`);
      expect(await failure((tensors) => tensors.delete(name))).toContain(`tensor "${name}": expected it among`);
    }
  });
});
