// The data parses, the bytes are those of a hand computation, and docs/models.md is what the data gives.
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { modelsPage, modelsTable, sparseModelRows } from './models-page.js';
import { bytesPerToken } from './sparse-bytes.js';
import { sparseModels } from './sparse-models.js';
import { runCli } from './testing/run-cli.js';

describe('bytes per token', () => {
  const sizes = {
    hidden_size: 64,
    intermediate_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    vocab_size: 96,
  };
  const layer = 4 * 64 * 64; // q, k, v, o
  const head = 96 * 64;

  it('of a plain FFN: up whole, down by its density', () => {
    const { dense, sparse } = bytesPerToken({ ...sizes, model_type: 'arcee' }, 'f32', { down: 0.25 });
    expect(dense).toBe(4 * (2 * (layer + 2 * 64 * 256) + head));
    expect(sparse).toBe(4 * (2 * (layer + 64 * 256 * 1.25) + head));
  });

  it('of a gated FFN: gate whole, up by the gate, down by the product', () => {
    const config = { ...sizes, model_type: 'bamboo' };
    const { dense, sparse, speedup } = bytesPerToken(config, 'bf16', { down: 0.125, up: 0.5 });
    expect(dense).toBe(2 * (2 * (layer + 3 * 64 * 256) + head));
    expect(sparse).toBe(2 * (2 * (layer + 64 * 256 * 1.625) + head));
    expect(speedup).toBe(dense / sparse);
    expect(bytesPerToken(config, 'bf16', { down: 0.5 })).toEqual(bytesPerToken(config, 'bf16', { down: 0.5, up: 0.5 }));
  });

  it('in blocks: 34 bytes of int8 and 18 of int4 for 32 weights, rows padded to cache lines', () => {
    const config = { ...sizes, hidden_size: 1024, intermediate_size: 2048, model_type: 'arcee' };
    const weights = 2 * (4 * 1024 * 1024 + 2 * 1024 * 2048) + 96 * 1024;
    const bytes = (dtype: 'int8' | 'int4') => bytesPerToken(config, dtype, { down: 1 }).dense;
    expect(bytes('int8')).toBe((weights * 34) / 32);
    expect(bytes('int4')).toBe((weights * 18) / 32);
  });

  it('of a model without zeros: no gain', () => {
    expect(bytesPerToken({ ...sizes, model_type: 'qwen2' }, 'f32', { down: 0.1 }).speedup).toBe(1);
  });
});

describe('the list', () => {
  it('has published sizes', () => {
    const millions = Object.fromEntries(
      sparseModelRows().map(({ model, int8 }) => [model.id, Math.round(int8.parameters / 1e6)]),
    );
    expect(millions).toMatchObject({
      'llama-tales': 9,
      'arcee-ai/AFM-4.5B': 4619,
      'nvidia/Minitron-4B-Base': 4191,
      'microsoft/bitnet-b1.58-2B-4T': 2413,
      'openbmb/MiniCPM-S-1B-sft': 1360,
      'SparseLLM/ReluLLaMA-7B': 6738,
      'PowerInfer/SparseQwen2-7B': 7616,
      'facebook/opt-6.7b': 6658,
    });
  });

  it('every model gains, by less than its FFN', () => {
    for (const { model, int8, int4 } of sparseModelRows()) {
      expect(int8.speedup, model.id).toBeGreaterThan(1.1);
      expect(int8.speedup, model.id).toBeLessThan(3);
      expect(Math.abs(int4.speedup - int8.speedup), model.id).toBeLessThan(0.02);
    }
  });

  it('says where each number comes from', () => {
    for (const { id, density, evidence, source, licence } of sparseModels) {
      expect(density === undefined, id).toBe(evidence === 'none');
      expect([source.length > 5, licence.length > 2]).toEqual([true, true]);
    }
    expect(new Set(sparseModels.map(({ id }) => id)).size).toBe(sparseModels.length);
  });

  it('is docs/models.md', async () => {
    await expect(modelsPage()).toMatchFileSnapshot(fileURLToPath(new URL('../../../docs/models.md', import.meta.url)));
  });
});

describe('relufy models', () => {
  it('prints the table, or JSON', async () => {
    const { code, stdout, stderr } = await runCli(['models']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`${modelsTable()}\n`);
    const json = JSON.parse((await runCli(['models', '--json'])).stdout);
    expect(json).toHaveLength(sparseModels.length);
    expect(json[0]).toMatchObject({ id: 'llama-tales', activeShare: 0.077, assumed: false });
    expect(json[0].bytesPerToken.int8.speedup).toBeGreaterThan(1.3);
  });
});
