// Conversion: a converted folder computes, bit for bit, what converting while loading computes; it is written whole or
// not at all; and a packed file is refused where it does not fit.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeSafetensors, memoryFiles } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { createNativeBackend, type NativeSession, nativeAvailability } from '@relufy/native';
import {
  type Backend,
  type BlockDType,
  blockDTypes,
  blocksOf,
  hasMinimum,
  isBlockDType,
  RelufyError,
  scalesOffset,
  weightDTypes,
} from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConversionOptions, convertModel, type LoadOptions, loadModel } from '../node.js';
import { randomModel } from '../testing/random-model.js';

const published = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));
const ids = [0, 3, 761, 484, 265];
const native = nativeAvailability();

let folder: string;
/** The bundled model with fewer blocks, of random weights, and one of its width in which there is little else. */
let bundled: string;
let small: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-convert-'));
  const companions = (await readdir(published)).filter((file) => !/^(config\.json|model\..*)$/.test(file));
  bundled = await shrunk('bundled', { num_hidden_layers: 2 }, companions);
  small = await shrunk('small', { vocab_size: 300, num_hidden_layers: 1, intermediate_size: 256 }, []);
});
afterAll(() => rm(folder, { recursive: true }));

/** In bf16, as the bundled one. */
async function shrunk(name: string, config: object, companions: readonly string[]): Promise<string> {
  const out = join(folder, name);
  const files = await randomModel({ ...JSON.parse(await readFile(join(published, 'config.json'), 'utf8')), ...config });
  await convertModel(files, out, { dtype: 'bf16', layout: 'hf' });
  for (const file of companions) await cp(join(published, file), join(out, file));
  return out;
}

let count = 0;
async function convert(options: ConversionOptions, from = bundled): Promise<string> {
  const out = join(folder, `model-${count++}`);
  await convertModel(await folderFiles(from), out, options);
  return out;
}

async function logits(source: string, options: LoadOptions): Promise<Float32Array> {
  await using model = await loadModel(source, { backend: 'reference', ...options });
  return (await model.forward(ids)).logits;
}

async function failure(work: Promise<unknown>): Promise<RelufyError> {
  const error = await work.catch((thrown: unknown) => thrown);
  expect(RelufyError.is(error), String(error)).toBe(true);
  return error as RelufyError;
}

describe('convert', () => {
  it('copies the tokens that were added beside the vocabulary', async () => {
    const source = join(folder, 'with-added-tokens');
    await cp(bundled, source, { recursive: true });
    await writeFile(join(source, 'added_tokens.json'), '{"<|user|>": 50257}');
    const out = await convert({ dtype: 'int8' }, source);
    expect(await readFile(join(out, 'added_tokens.json'), 'utf8')).toBe('{"<|user|>": 50257}');
  });

  it.each(weightDTypes)('to %s: the same bits as converting while loading', async (dtype) => {
    const progress: number[] = [];
    const out = await convert({ dtype, onProgress: ({ loaded, total }) => progress.push(loaded / total) });
    expect(await logits(out, {})).toEqual(await logits(bundled, { dtype }));
    expect(progress.at(-1)).toBeCloseTo(1, 3);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await using model = await loadModel(out, { backend: 'reference' });
    expect(model.tokenizer?.hasChatTemplate).toBe(true);
  });

  it.each(blockDTypes)('packed %s on WASM: the logits of the reference', async (dtype) => {
    const out = await convert({ dtype });
    const [expected, actual] = [await logits(out, {}), await logits(out, { backend: 'wasm', threads: 2 })];
    expect(await logits(bundled, { dtype, backend: 'wasm', threads: 1 })).toEqual(actual);
    const largest = Math.max(...expected.map(Math.abs));
    const off = Math.max(...expected.map((value, i) => Math.abs(value - (actual[i] as number))));
    // an activation that lies between two integers may be rounded to either
    expect(off / largest).toBeLessThan(0.01);
  });

  it('packs f32 and bf16 too, at offsets that can be mapped', async () => {
    const out = await convert({ dtype: 'bf16', layout: 'packed' });
    expect(await logits(out, {})).toEqual(await logits(bundled, {}));
    const bytes = await readFile(join(out, 'model.safetensors'));
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    expect(header['layers.0.down.weight']).toMatchObject({ dtype: 'BF16', shape: [1024, 256] });
    for (const [name, { data_offsets }] of Object.entries<{ data_offsets: [number, number] }>(header))
      if (name !== '__metadata__' && !name.startsWith('__padding__'))
        expect((8 + length + data_offsets[0]) % 64).toBe(0);
  });

  const skipReason = native.available ? '' : ` (skipped: ${native.reason})`;
  it.skipIf(!native.available)(`the native backend maps what is packed, in every format${skipReason}`, async () => {
    const plain = await createNativeBackend({ threads: 2 });
    let mapped = 0;
    const mapping: Backend = {
      ...plain,
      createSession: async (...args) => {
        const session = (await plain.createSession(...args)) as NativeSession;
        const adopt = session.adopt.bind(session);
        session.adopt = (path, places) => {
          adopt(path, places);
          mapped += session.mappedBytes;
        };
        return session;
      },
    };
    for (const dtype of ['bf16', 'int8', 'int4'] as const) {
      const out = await convert({ dtype, layout: 'packed' });
      const { size } = await stat(join(out, 'model.safetensors'));
      mapped = 0;
      const got = await logits(out, { backend: mapping });
      expect(mapped / size).toBeGreaterThan(0.98);
      expect(got).toEqual(await logits(bundled, { backend: plain, dtype }));
    }
    await plain.dispose();
  });

  it('records relufication, so that loading needs no option', async () => {
    const relufy = { stage: 2, shift: 0.1 } as const;
    const expected = await logits(bundled, { relufy });
    for (const dtype of ['bf16', 'int8'] as const) {
      const out = await convert({ dtype, relufy });
      const again = dtype === 'bf16' ? expected : await logits(bundled, { dtype, relufy });
      expect(await logits(out, {})).toEqual(again);
    }
  });

  it('refuses an occupied folder, and leaves nothing behind when it fails or is aborted', async () => {
    const out = join(folder, 'occupied');
    await mkdir(out);
    await writeFile(join(out, 'mine.txt'), 'keep me');
    const error = await failure(convertModel(await folderFiles(bundled), out, { dtype: 'f32' }));
    expect(error.message).toContain('expected no folder, or an empty one, got 1 files.');
    expect(await readFile(join(out, 'mine.txt'), 'utf8')).toBe('keep me');

    const before = await readdir(folder);
    const controller = new AbortController();
    const options = {
      dtype: 'int8',
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    } as const;
    await expect(convert(options)).rejects.toThrowError('enough');
    await failure(convert({ dtype: 'int8', layout: 'hf' }));
    expect(await readdir(folder)).toEqual(before);
  });

  it('refuses to convert what is converted, and to load it as something else', async () => {
    const out = await convert({ dtype: 'int8' });
    expect((await failure(convert({ dtype: 'int4' }, out))).message).toContain('which is packed already');
    expect((await failure(logits(out, { dtype: 'int4' }))).message).toContain(
      'expected int4 [4096, 256], got int8 [4096, 256]. The weights were converted for other options',
    );
    expect((await failure(logits(out, { relufy: { stage: 2 } }))).message).toContain(
      'expected int8 [256, 512]T, got int8 [512, 256].',
    );
  });

  it.each(weightDTypes)('refuses packed %s with NaN or infinity anywhere, on every backend', async (dtype) => {
    const out = await convert({ dtype, layout: 'packed' }, small);
    const path = join(out, 'model.safetensors');
    const bytes = await readFile(path);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    const backends = ['reference', 'wasm', ...(native.available ? (['native'] as const) : [])] as const;
    for (const [name, bits] of [
      ['layers.0.down.weight', 0xfc00],
      ['embedTokens', 0x7e00],
      ['finalNorm.weight', 0x7fc0],
    ] as const) {
      const { data_offsets, shape, dtype: stored } = header[name];
      const end = 8 + length + data_offsets[1];
      // of blocks: the last scale, or minimum, of the last row; else the upper half of the last number
      const scalesEnd = (of: BlockDType) => scalesOffset(of, 256) + (hasMinimum(of) ? 4 : 2) * blocksOf(256);
      const at = (isBlockDType(dtype) && stored === 'U8' ? end - shape[1] + scalesEnd(dtype) : end) - 2;
      const before = bytes.readUInt16LE(at);
      bytes.writeUInt16LE(stored === 'U8' ? bits : 0xff80, at);
      await writeFile(path, bytes);
      for (const backend of backends)
        expect((await failure(loadModel(out, { backend }))).message).toContain(
          `tensor "${name}": expected finite numbers, got NaN or infinity.`,
        );
      bytes.writeUInt16LE(before, at);
    }
    await writeFile(path, bytes);
    for (const backend of backends) await (await loadModel(out, { backend })).dispose();
  });

  it('refuses to pack numbers that do not fit, and names the tensor', async () => {
    const config = await readFile(join(bundled, 'config.json'), 'utf8');
    const files = await randomModel(JSON.parse(config), (tensors) => {
      const { data } = tensors.get('model.layers.1.mlp.down_proj.weight') as { data: Float32Array };
      data[300] = 3e38;
    });
    for (const dtype of [...blockDTypes, 'bf16'] as const) {
      const out = join(folder, `too-large-${dtype}`);
      const done = convertModel(files, out, { dtype });
      if (dtype === 'bf16') await done;
      else
        expect((await failure(done)).message).toContain(
          'tensor "model.layers.1.mlp.down_proj.weight": expected numbers',
        );
    }
  });

  it('refuses packed files that lie', async () => {
    const config = await readFile(join(bundled, 'config.json'), 'utf8');
    const attempt = async (metadata: Record<string, string>, shape = [4096, 320]) => {
      const data = new Uint8Array(shape.reduce((a, b) => a * b, 1));
      const bytes = await encodeSafetensors([{ name: 'embedTokens', dtype: 'U8', shape, data }], { metadata });
      const files = memoryFiles('lies', { 'config.json': config, 'model.safetensors': bytes });
      return (await failure(loadModel(files, { backend: 'reference' }))).message;
    };
    expect(await attempt({ 'relufy.layout': '2' })).toContain('expected 1, got 2.');
    expect(await attempt({ 'relufy.layout': '1' })).toContain('expected a description of every buffer');
    const buffers = JSON.stringify({ embedTokens: 'int8 [4096, 256]' });
    expect(await attempt({ 'relufy.layout': '1', 'relufy.buffers': buffers })).toContain('got none');
    expect(await attempt({ 'relufy.layout': '1', 'relufy.buffers': buffers }, [4096, 300])).toContain(
      'expected U8 [4096, 320], got U8 [4096, 300].',
    );
  });
});
