// Packed BitNet: a tiny checkpoint in the published layout gives what transformers computes; others are refused.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { encodeSafetensors, memoryFiles, openCheckpoint, type TensorToWrite } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { nativeAvailability } from '@relufy/native';
import { RelufyError, widen } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { type LoadOptions, loadModel } from '../node.js';
import { expectWithin, readGoldenFile } from '../testing/golden.js';
import { unpackTernary } from './ternary.js';

const folder = fileURLToPath(new URL('../../fixtures/bitnet-packed/', import.meta.url));
const golden = readGoldenFile(`${folder}golden.safetensors`);
const config = JSON.parse(readFileSync(`${folder}config.json`, 'utf8'));
const native = nativeAvailability().available;
const backends = ['reference', 'wasm', ...(native ? (['native'] as const) : [])] as const;

async function run(options: LoadOptions) {
  await using model = await loadModel(folder, { threads: 2, ...options });
  const { logits, captured } = await model.forward(golden.inputIds, { logits: 'all', capture: ['down.0', 'down.1'] });
  const { tokenIds, stats } = await model.generate(golden.inputIds, {
    maxNewTokens: 8,
    temperature: 0,
    stopTokenIds: [],
  }).result;
  return { logits, captured, tokenIds, density: stats.density };
}

describe('a packed BitNet', () => {
  for (const backend of backends)
    it(`computes what transformers does: ${backend}`, async () => {
      const { logits, captured, tokenIds } = await run({ backend });
      expectWithin('logits', logits, golden.tensors.get('logits') as Float32Array, 1e-5);
      const down = golden.tensors.get('down_input') as Float32Array;
      const size = down.length / 2;
      for (const layer of [0, 1]) {
        const ours = captured[`down.${layer}`] as Float32Array;
        expectWithin(`down.${layer}`, ours, down.subarray(layer * size, (layer + 1) * size), 1e-5);
      }
      expect(tokenIds).toEqual(golden.greedy);
    });

  it('is sparse exactly: rounding leaves fewer neurons than ReLU does', async () => {
    for (const backend of backends) {
      const [sparse, dense] = [await run({ backend }), await run({ backend, sparsity: 'dense' })];
      expect(sparse.logits).toEqual(dense.logits);
      expect(sparse.captured).toEqual(dense.captured);
      expect(sparse.tokenIds).toEqual(dense.tokenIds);
      for (const [layer, density] of sparse.density.down.entries())
        expect(density).toBeLessThan(sparse.density.up[layer] as number);
    }
  });

  it('is close in int8, where only embeddings and the rounding of the scales change', async () => {
    const { logits } = await run({ backend: 'reference', dtype: 'int8' });
    expectWithin('logits', logits, golden.tensors.get('logits') as Float32Array, 0.1);
  });
});

const scale = (name: string, value: number[] = [0.5], dtype = 'F32'): TensorToWrite => ({
  name: `${name}.weight_scale`,
  dtype,
  shape: [value.length],
  data: dtype === 'F32' ? Float32Array.from(value) : Uint16Array.of(0x3f00),
});
const bytes = (name: string, shape: number[], data: number[]): TensorToWrite => ({
  name: `${name}.weight`,
  dtype: 'U8',
  shape,
  data: Uint8Array.from(data),
});

async function unpacked(...tensors: TensorToWrite[]) {
  const files = memoryFiles('tiny', { 'model.safetensors': await encodeSafetensors(tensors) });
  return unpackTernary('tiny', await openCheckpoint(files));
}

describe('unpacking', () => {
  it.each(['F32', 'BF16'])('gives rows by quarters, times the %s scale', async (dtype) => {
    // rows 0, 2, 4, 6 come from byte row 0, low bits first; rows 1, 3, 5, 7 from byte row 1
    const checkpoint = await unpacked(
      bytes('x', [2, 2], [0b10_01_00_10, 0b00_00_00_00, 0b01_01_01_01, 0b10_10_10_00]),
      scale('x', [0.5], dtype),
    );
    expect(checkpoint.tensors.get('x.weight')).toMatchObject({
      shape: [8, 2],
      floatDType: dtype === 'F32' ? 'f32' : 'bf16',
    });
    expect(checkpoint.tensors.has('x.weight_scale')).toBe(false);
    const read = async (first: number, count: number) => {
      const rows = await checkpoint.readRows('x.weight', first, count);
      return [...widen(rows.dtype, rows.data)];
    };
    const all = [0.5, -0.5, 0, -0.5, -0.5, -0.5, 0, 0.5, 0, -0.5, 0, 0.5, 0.5, -0.5, 0, 0.5];
    expect(await read(0, 8)).toEqual(all);
    expect(await read(3, 3)).toEqual(all.slice(6, 12));
  });

  it('leaves a checkpoint without packed tensors as it is', async () => {
    const files = memoryFiles('tiny', {
      'model.safetensors': await encodeSafetensors([{ name: 'w', dtype: 'F32', shape: [1], data: Float32Array.of(1) }]),
    });
    const checkpoint = await openCheckpoint(files);
    expect(unpackTernary('tiny', checkpoint)).toBe(checkpoint);
  });

  it.each([
    [[scale('x')], 'tiny tensor "x.weight": expected bytes (U8), which its weight_scale is for, got nothing.'],
    [[bytes('x', [1, 1], [0])], 'tiny tensor "x.weight": expected a weight_scale beside its bytes, got none.'],
    [[bytes('x', [2], [0, 0]), scale('x')], 'tiny tensor "x.weight": expected two dimensions, got [2].'],
    [[bytes('x', [1, 1], [0]), scale('x', [1, 2])], 'tiny tensor "x.weight_scale": expected one number, got [2].'],
  ])('refuses what does not belong together', async (tensors, message) => {
    const error = await unpacked(...tensors).catch((thrown: unknown) => thrown);
    expect(RelufyError.is(error) && error.code).toBe('checkpoint');
    expect((error as Error).message).toContain(message);
  });

  it.each([
    [{ linear_class: 'bitlinear' }, '"quantization_config.linear_class": expected autobitlinear, got "bitlinear".'],
    [{ quantization_mode: 'online' }, '"quantization_config.quantization_mode": expected offline, got "online". Take'],
    [{ quant_method: 'gptq' }, '"quantization_config.quant_method": expected bitnet, got "gptq".'],
    [{ use_rms_norm: true }, '"quantization_config.use_rms_norm": expected false, got true.'],
    [{ modules_to_not_convert: ['mlp'] }, '"quantization_config.modules_to_not_convert": expected none, got ["mlp"].'],
  ])('refuses another quantisation: %j', async (change, message) => {
    const files = await folderFiles(folder);
    const changed = { ...config, quantization_config: { ...config.quantization_config, ...change } };
    const text = JSON.stringify(changed);
    const error = await loadModel(
      { ...files, readText: async (file, more) => (file === 'config.json' ? text : files.readText(file, more)) },
      { backend: 'reference' },
    ).catch((thrown: unknown) => thrown);
    expect((error as Error).message).toContain(`bitnet config ${message}`);
  });
});

describe('a byte that holds no number', () => {
  it('is refused when it is read', async () => {
    const files = await folderFiles(folder);
    const broken = {
      ...files,
      async open(file: string, signal?: AbortSignal) {
        const source = await files.open(file, signal);
        if (source === undefined || !file.endsWith('.safetensors')) return source;
        return {
          ...source,
          read: async (from: number, length: number, more?: AbortSignal) => {
            const data = await source.read(from, length, more);
            return from > 8192 ? data.map(() => 0xff) : data;
          },
        };
      },
    };
    await expect(loadModel(broken, { backend: 'reference' })).rejects.toThrowError(/expected finite numbers/);
  });
});
