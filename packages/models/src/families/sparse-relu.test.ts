// SparseLM: ReLU whatever hidden_act says, gated or plain as stored; against the formula in f64, against a Llama with
// ReLU bit for bit, and through every conversion.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelFiles, memoryFiles, openCheckpoint } from '@relufy/checkpoint';
import { folderFiles, writeGguf } from '@relufy/checkpoint/node';
import { nativeAvailability } from '@relufy/native';
import { widen } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertModel, type LoadOptions, loadModel, parseConfig } from '../node.js';
import { relufiedConfig } from '../sparsity/relufied-config.js';
import { expectWithin } from '../testing/golden.js';
import { randomModel } from '../testing/random-model.js';
import { byteLevel } from '../testing/tiny-folder.js';

/** As the published ones say it, but small. */
const config = {
  architectures: ['SparseLlamaForCausalLM'],
  model_type: 'llama_sparse_relu',
  hidden_act: 'silu',
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  vocab_size: 40,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  tie_word_embeddings: true,
  sparsity_gated_mlp: false,
  sparsity_l1_coeff: 2e-5,
  sparsity_mlp_execution_logic: 'training',
};
const reluLlama = { ...config, model_type: 'llama', hidden_act: 'relu' };
const ids = [3, 17, 8, 39, 0, 25, 11];
const backends = ['reference', 'wasm', ...(nativeAvailability().available ? (['native'] as const) : [])] as const;

/** The same weights under another config; `keep` says which tensors stay. */
async function folder(changes: object = {}, keep: (tensor: string) => boolean = () => true): Promise<ModelFiles> {
  const files = await randomModel(config, (tensors) => {
    for (const name of [...tensors.keys()]) if (!keep(name)) tensors.delete(name);
  });
  const source = await files.open('model.safetensors');
  return memoryFiles('sparse', {
    'model.safetensors': (await source?.read(0, source.size)) as Uint8Array,
    'config.json': JSON.stringify({ ...config, ...changes }),
    'tokenizer.json': JSON.stringify(byteLevel),
  });
}
const withoutGates = (tensor: string) => !tensor.includes('gate_proj');

async function run(files: ModelFiles | string, options: LoadOptions = {}) {
  await using model = await loadModel(files, { backend: 'reference', threads: 2, ...options });
  const { logits } = await model.forward(ids, { logits: 'all' });
  return { logits, ffn: model.spec.ffn, density: model.stats().density };
}

/** One token at position 0 attends to itself alone, without rotation: attention gives its values. */
async function oneToken(files: ModelFiles, id: number, gated: boolean): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(files);
  const matrix = async (name: string): Promise<number[][]> => {
    const { shape } = checkpoint.tensors.get(`${name}.weight`) as { shape: readonly number[] };
    const columns = shape.at(-1) as number;
    const { dtype, data } = await checkpoint.readRows(
      `${name}.weight`,
      0,
      shape.length === 1 ? 1 : (shape[0] as number),
    );
    const values = [...widen(dtype, data)];
    return Array.from({ length: values.length / columns }, (_, row) =>
      values.slice(row * columns, (row + 1) * columns),
    );
  };
  const times = (w: number[][], x: number[]) =>
    w.map((row) => row.reduce((s, value, i) => s + value * (x[i] as number), 0));
  const norm = async (name: string, x: number[]) => {
    const [weight] = (await matrix(name)) as [number[]];
    const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + 1e-5);
    return x.map((value, i) => value * scale * (weight[i] as number));
  };
  const add = (x: number[], y: number[]) => x.map((value, i) => value + (y[i] as number));
  const embedding = await matrix('model.embed_tokens');
  let x = embedding[id] as number[];
  for (const layer of [0, 1]) {
    const at = (part: string) => `model.layers.${layer}.${part}`;
    const v = times(await matrix(at('self_attn.v_proj')), await norm(at('input_layernorm'), x));
    x = add(x, times(await matrix(at('self_attn.o_proj')), v));
    const input = await norm(at('post_attention_layernorm'), x);
    const up = times(await matrix(at('mlp.up_proj')), input);
    const gate = gated ? times(await matrix(at('mlp.gate_proj')), input) : up;
    const h = gate.map((value, i) => Math.max(0, value) * (gated ? (up[i] as number) : 1));
    x = add(x, times(await matrix(at('mlp.down_proj')), h));
  }
  const last = await norm('model.norm', x);
  await checkpoint.close();
  return Float32Array.from(times(embedding, last));
}

describe('SparseLM', () => {
  it('is a Llama with ReLU, whatever hidden_act says', () => {
    const { gateIsOptional, spec } = parseConfig(config);
    expect(gateIsOptional).toBe(true);
    expect(spec).toEqual(parseConfig(reluLlama).spec);
    for (const hidden_act of ['silu', 'gelu', 'relu', null])
      expect(parseConfig({ ...config, hidden_act }).spec.ffn.activation).toEqual({ kind: 'relu', threshold: 0 });
    const { sparsity_gated_mlp: _, ...unsaid } = config;
    expect(parseConfig(unsaid)).toMatchObject({ gateIsOptional: false, spec });
    const qwen2 = parseConfig({ ...config, model_type: 'qwen2_sparse_relu' }).spec;
    expect(qwen2).toEqual(parseConfig({ ...reluLlama, model_type: 'qwen2' }).spec);
  });

  it.each([false, true])('with gates stored computes relu(gate) * up, sparsity_gated_mlp: %s', async (flag) => {
    const files = await folder({ sparsity_gated_mlp: flag });
    await using model = await loadModel(files, { backend: 'reference' });
    const { logits } = await model.forward([7], { logits: 'all' });
    expectWithin('logits', logits, await oneToken(files, 7, true), 1e-5);
    expect(model.spec.ffn).toMatchObject({ kind: 'gated', activation: { kind: 'relu' } });
  });

  it('without gates computes relu(up)', async () => {
    const files = await folder({}, withoutGates);
    await using model = await loadModel(files, { backend: 'reference' });
    const { logits } = await model.forward([7], { logits: 'all' });
    expectWithin('logits', logits, await oneToken(files, 7, false), 1e-5);
    expect(model.spec.ffn).toMatchObject({ kind: 'plain', activation: { kind: 'relu' } });
  });

  for (const backend of backends)
    it(`skips what is zero and changes no bit: ${backend}`, async () => {
      for (const keep of [undefined, withoutGates]) {
        const files = await folder({}, keep);
        const [sparse, dense] = [await run(files, { backend }), await run(files, { backend, sparsity: 'dense' })];
        expect(sparse.logits).toEqual(dense.logits);
        for (const density of sparse.density.down) expect(density).toBeLessThan(0.8);
      }
      const [ours, llama] = [await run(await folder(), { backend }), await run(await folder(reluLlama), { backend })];
      expect(ours.logits).toEqual(llama.logits);
      expect(ours.logits).not.toEqual((await run(await folder({ model_type: 'llama' }), { backend })).logits);
    });

  it('takes the size that its layers were made with', async () => {
    const size = { intermediate_size: 96, sparsity_new_intermediate_size: 64 };
    expect((await run(await folder(size))).logits).toEqual((await run(await folder())).logits);
  });

  it('trained further with another activation, its config says so', () => {
    const { spec } = parseConfig(config);
    for (const activation of [{ kind: 'fatrelu', threshold: 0.1 } as const, { kind: 'relu2', threshold: 0 } as const]) {
      const changed = { ...spec, ffn: { ...spec.ffn, activation } };
      expect(parseConfig(relufiedConfig(config, changed)).spec).toEqual(changed);
    }
  });

  const refused: [string, object, string][] = [
    ['a flag that is none', { sparsity_gated_mlp: 'yes' }, '"sparsity_gated_mlp": expected true or false, got "yes"'],
    [
      'the other layout',
      { sparsity_use_hybrid_kernel: true },
      '"sparsity_use_hybrid_kernel": expected false, got true',
    ],
    [
      'a size that is none',
      { sparsity_new_intermediate_size: 0 },
      '"sparsity_new_intermediate_size": expected a whole',
    ],
  ];
  it.each(refused)('refuses %s', (_, changes, message) => {
    expect(() => parseConfig({ ...config, ...changes })).toThrowError(message);
  });

  it('misses its gates where the config says that there are some', async () => {
    const files = await folder({ sparsity_gated_mlp: true }, withoutGates);
    await expect(loadModel(files)).rejects.toThrowError('mlp.gate_proj.weight": expected it among');
  });
});

describe('converted', () => {
  let to: string;
  beforeAll(async () => {
    to = await mkdtemp(join(tmpdir(), 'relufy-sparse-'));
  });
  afterAll(() => rm(to, { recursive: true }));

  it.each([
    ['gated', undefined],
    ['plain', withoutGates],
  ] as const)('%s: a folder, packed, and a GGUF are the same model', async (name, keep) => {
    const files = await folder({}, keep);
    const before = await run(files);
    for (const layout of ['hf', 'packed'] as const) {
      const path = join(to, `${name}-${layout}`);
      await convertModel(files, path, { dtype: 'f32', layout });
      expect(await run(path)).toEqual(before);
    }
    const path = join(to, `${name}.gguf`);
    await writeGguf(path, files, { type: 'f32' });
    expect(await run(path)).toEqual(before);
    const read = JSON.parse((await (await folderFiles(path)).readText('config.json')) ?? '');
    expect(read).toMatchObject({ model_type: 'llama_sparse_relu', sparsity_gated_mlp: false });
  });
});
