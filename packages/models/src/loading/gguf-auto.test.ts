// A quantised GGUF in memory: blocks stay blocks, number for number where the formats are the same, in every order of
// rows and on every backend, in about the bytes of the file.
import { type Checkpoint, type ModelFiles, memoryFiles, openCheckpoint, streamGguf } from '@relufy/checkpoint';
import { nativeAvailability } from '@relufy/native';
import { byteCount, createReferenceBackend, type DType, dequantizeRow, isBlockDType, rowBytes } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { loadModel, openModelFiles, parseConfig, planModel } from '../node.js';
import { randomModel } from '../testing/random-model.js';
import { locateWeights } from './load-weights.js';

const sizes = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 32,
  max_position_embeddings: 32,
};
const silu = { ...sizes, hidden_act: 'silu' };
const relu = { ...sizes, hidden_act: 'relu' };
/** Rows of blocks that need no padding, as those of large models hardly do. */
const wide = { hidden_size: 1024, intermediate_size: 1024 };

const tokenizer = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [], ignore_merges: false },
};

async function asGguf(config: object, type: 'q8_0' | 'q4_0', change = (_bytes: Uint8Array) => {}): Promise<ModelFiles> {
  const original = await randomModel(config);
  const files: ModelFiles = {
    ...original,
    readText: async (file, options) =>
      file === 'tokenizer.json' ? JSON.stringify(tokenizer) : original.readText(file, options),
  };
  const pieces: Uint8Array[] = [];
  for await (const piece of streamGguf(files, { type })) pieces.push(piece.slice());
  const bytes = new Uint8Array(Buffer.concat(pieces));
  change(bytes);
  return openModelFiles(memoryFiles('quantised', { 'model.gguf': bytes }));
}

/** Every matrix as numbers, row by row in its family's order, as memory has it. */
async function matrices(files: ModelFiles, dtype: 'auto' | DType): Promise<Map<string, [DType, Float32Array]>> {
  const { decoder, limits, sources, checkpoint } = await planModel(files, { dtype: dtype as 'auto' });
  const session = await createReferenceBackend().createSession(decoder.buffers, limits);
  await sources.load({ name: 'test', session, buffers: decoder.buffers });
  await checkpoint.close();
  const all = new Map<string, [DType, Float32Array]>();
  for (const { name, kind, dtype, shape } of decoder.buffers) {
    if (kind !== 'weight' || shape.length < 2) continue;
    const [rows, columns] = shape as [number, number];
    const view = session.view(name);
    const stride = rowBytes(dtype, columns);
    const values = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++)
      values.set(
        isBlockDType(dtype)
          ? dequantizeRow(dtype, (view as Uint8Array).subarray(row * stride, (row + 1) * stride), columns)
          : (view as Float32Array).subarray(row * columns, (row + 1) * columns),
        row * columns,
      );
    all.set(name, [dtype, values.map((value) => value + 0)]);
  }
  await session.dispose();
  return all;
}

const largestOf = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

describe('a quantised GGUF, as it is', () => {
  it.each([
    ['q8_0', 'auto'],
    ['q4_0', 'auto'],
    ['q4_0', 'int8'], // has room for the integers of 4 bits
  ] as const)('%s as %s: every number of every matrix', async (type, dtype) => {
    const files = await asGguf(silu, type);
    const exact = await matrices(files, 'f32');
    for (const [name, [format, values]] of await matrices(files, dtype)) {
      expect([name, format]).toEqual([
        name,
        type === 'q4_0' && dtype === 'auto' && name !== 'lmHead' ? 'int4' : 'int8',
      ]);
      expect(values, name).toEqual(exact.get(name)?.[1]);
    }
  });

  it.each(['q8_0', 'q4_0'] as const)('%s: what is stored transposed is int8, cut anew', async (type) => {
    const files = await asGguf(relu, type);
    const exact = await matrices(files, 'f32');
    for (const [name, [format, values]] of await matrices(files, 'auto')) {
      const expected = exact.get(name)?.[1] as Float32Array;
      if (!name.endsWith('down.weight')) {
        expect(values, name).toEqual(expected);
        continue;
      }
      expect(format).toBe('int8');
      const bound = largestOf(expected) / 127;
      expect(values.every((value, i) => Math.abs(value - (expected[i] as number)) <= bound)).toBe(true);
    }
  });

  it.each([
    ['q8_0', silu, 1.1],
    ['q8_0', relu, 1.1],
    ['q4_0', silu, 1.1],
    ['q4_0', relu, 1.3],
  ] as const)('%s (%#): takes about the bytes of the file', async (type, config, most) => {
    const { decoder, limits, checkpoint } = await planModel(await asGguf({ ...config, ...wide }, type));
    const weights = decoder.buffers.filter(({ kind }) => kind === 'weight');
    const bytes = weights.reduce((sum, decl) => sum + byteCount(decl, limits), 0);
    expect(bytes / checkpoint.totalBytes).toBeLessThan(most);
    await checkpoint.close();
  });

  const native = nativeAvailability();
  it('computes the same on every backend, with integers that our quantiser never writes', async () => {
    // -128 in every block: the largest negative byte, which no quantiser that maps the largest value to 127 gives
    const files = await asGguf(silu, 'q8_0', (bytes) => {
      for (let i = bytes.byteLength >> 1; i < bytes.byteLength; i++) if (bytes[i] === 0x81) bytes[i] = 0x80;
    });
    const logits = async (backend: 'reference' | 'wasm' | 'native') => {
      await using model = await loadModel(files, { backend });
      return (await model.forward([1, 5, 2])).logits;
    };
    const expected = await logits('reference');
    for (const backend of ['wasm', ...(native.available ? (['native'] as const) : [])] as const) {
      const got = await logits(backend);
      const off = largestOf(got.map((value, i) => value - (expected[i] as number)));
      expect(off / largestOf(expected)).toBeLessThan(0.01);
    }
  });

  it('is refused with a scale that is not finite', async () => {
    for (const scale of [0x7c00, 0xfe00]) {
      const files = await asGguf(silu, 'q8_0', (bytes) => {
        // the last tensor ends the file: the first block of its last row but one
        new DataView(bytes.buffer).setUint16(bytes.byteLength - 34 * (64 / 32) * 2, scale, true);
      });
      await expect(loadModel(files, { backend: 'reference' })).rejects.toThrow(
        /quantised tensor "[\w.]+": expected finite numbers, got NaN or infinity/,
      );
    }
  });
});

it('parts of several formats take the one that has room for all', async () => {
  const checkpoint = await openCheckpoint(await randomModel(silu));
  const { family, spec } = parseConfig(silu);
  const formatOf = (parts: Readonly<Record<string, string>>, transposed = false): DType => {
    const tensors = new Map(
      [...checkpoint.tensors].map(([name, info]) => {
        const part = parts[name.split('.').at(-2)?.[0] as string];
        const floats = part === 'f32' || part === 'bf16';
        return [name, { ...info, ...(floats ? { floatDType: part } : { blockDType: part }) }];
      }),
    ) as Checkpoint['tensors'];
    const sources = locateWeights('m', family, family.weights(spec), { ...checkpoint, tensors });
    return sources.storedDType('layers.0.qkv.weight', transposed);
  };
  for (const [q, k, v, expected] of [
    ['int4', 'int4', 'int4', 'int4'],
    ['int4', 'int4', 'int8', 'int8'],
    ['uint4', 'uint4', 'uint4', 'uint4'],
    ['uint4', 'int4', 'uint4', 'int8'],
    ['int8', 'int8', 'int8', 'int8'],
    ['int8', 'int8', 'f32', 'f32'],
    ['int8', 'int8', 'bf16', 'f32'],
    ['bf16', 'bf16', 'bf16', 'bf16'],
    ['bf16', 'bf16', 'f32', 'f32'],
  ] as const)
    expect(formatOf({ q, k, v })).toBe(expected);
  expect(formatOf({ q: 'int4', k: 'int4', v: 'int4' }, true)).toBe('int8');
  await checkpoint.close();
});

describeShared('SmolLM2 in Q4_1', 'models/smollm2-135m-instruct', () => {
  it('stays what it is, block by block, in about the bytes of the file', async () => {
    const { decoder, limits, checkpoint } = await planModel(
      await openModelFiles(shared('models/smollm2-135m-instruct')),
    );
    const weights = decoder.buffers.filter(({ kind }) => kind === 'weight');
    const matrices = weights.filter(({ shape }) => shape.length > 1);
    expect(
      new Set(matrices.map(({ name, dtype }) => `${name.startsWith('layers.') ? 'layers' : name} ${dtype}`)),
    ).toEqual(new Set(['embedTokens int8', 'layers uint4']));
    const bytes = weights.reduce((sum, decl) => sum + byteCount(decl, limits), 0);
    expect(bytes / checkpoint.totalBytes).toBeLessThan(1.1);
    await checkpoint.close();
  });
});
