// Plans, packed weights and tensors of a stranger: each loads or is one error, before anything large is read or computed.
// Does not own what plans mean (plan.test.ts), nor weights that are damaged (load-weights.test.ts).
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  encodeSafetensors,
  memoryFiles,
  openCheckpoint,
  planWeightsFile,
  type TensorToWrite,
} from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { createWasmBackend } from '@relufy/kernels';
import { nativeAvailability } from '@relufy/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sessionBytes } from '../loading/memory-budget.js';
import { convertModel, fingerprint, loadModel, type ModelFiles, parsePlan, planModel } from '../node.js';
import { planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';
import { planConfigFile, type SparsityPlan } from './plan.js';

const ids = [5, 9, 31, 4, 17, 26];
const options = { backend: 'wasm', threads: 1 } as const;
const predictor = { rank: [4], dtype: 'bf16' } as const;

let folder: string;
let model: ModelFiles;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-hostile-'));
  model = await randomModel(tinyConfig);
});
afterAll(() => rm(folder, { recursive: true }));

async function failure(work: Promise<unknown>): Promise<unknown> {
  const error = await work.then(
    () => new Error('nothing was refused'),
    (caught: unknown) => caught,
  );
  return { code: (error as { code?: unknown }).code, message: (error as Error).message };
}
/** What a budget counts for the one worker of WebAssembly. */
async function workerBytes(): Promise<number> {
  const backend = await createWasmBackend({ threads: options.threads });
  await backend.dispose();
  return backend.ownBytes ?? 0;
}

const refusal = (code: string, message: string | RegExp) => ({
  code,
  message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
});

const plan = (more: object) => JSON.stringify({ format: 1, method: 'm', ...more });
const planFiles = (config: string, more: Record<string, Uint8Array> = {}) =>
  memoryFiles('plan', { [planConfigFile]: config, ...more });

describe('what a plan says', () => {
  it.each([
    ['names that every object inherits', plan({ constructor: 1 }), 'unknown'],
    ['__proto__', '{"format":1,"method":"m","__proto__":{"masks":[]}}', 'unknown'],
    ['a kind that every object inherits', plan({ masks: [{ at: ['q'], kind: 'toString' }] }), '"kind": expected relu'],
    ['numbers beyond f64', '{"format":1,"method":"m","predictor":{"kind":"signs","alpha":[1e999]}}', 'from 0 on'],
    ['NaN as Python writes it', '{"format":1,"method":"m","predictor":{"kind":"signs","alpha":[NaN]}}', 'from 0 on'],
    ['ranks of a larger world', plan({ predictor: { rank: [9e15] } }), 'whole numbers from 0 to 128'],
    [
      'as many ranks as fit into a file',
      plan({ predictor: { rank: new Array(100_000).fill(1) } }),
      'for each of 1 layers',
    ],
    ['half a neuron', plan({ predictor: { kind: 'partial', inputs: [0.5] } }), 'whole numbers'],
    [
      'a mask over and over',
      plan({ masks: new Array(20_000).fill({ at: ['q', 'k', 'v'], kind: 'relu' }) }),
      'each place once',
    ],
    [
      'lists in lists',
      plan({ calibration: { options: JSON.parse(`${'['.repeat(190)}${']'.repeat(190)}`) } }),
      'an object',
    ],
    ['lists too deep', `{"format":1,"method":"m","calibration":${'['.repeat(1e5)}`, 'expected JSON'],
    ['tokens before the beginning', plan({ dense_tokens: -1 }), 'a whole number'],
    ['windows of no token', plan({ reuse: { interval: 0 } }), 'a whole number'],
    ['text to a terminal', plan({ 'method\u001b[2J': 1 }), '\\u001b[2J'],
  ])('%s is refused', async (_, config, message) => {
    const began = process.cpuUsage();
    const loading = loadModel(model, { ...options, plan: planFiles(config) });
    const found = (await failure(loading)) as { code: string; message: string };
    expect(found.message).toContain(message);
    expect(['config', 'option']).toContain(found.code);
    expect(found.message.length).toBeLessThan(700);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(3);
  });

  it('a description of megabytes is not read', async () => {
    const large = plan({ calibration: { text: 'x'.repeat(2 << 20) } });
    expect(await failure(loadModel(model, { ...options, plan: planFiles(large) }))).toMatchObject({
      message: expect.stringContaining('1048576'),
    });
  });

  it('a link out of its folder is not followed', async () => {
    const planned = join(folder, 'linked');
    await mkdir(planned);
    await writeFile(join(folder, 'secret.json'), plan({}));
    await symlink(join(folder, 'secret.json'), join(planned, planConfigFile));
    expect(await failure(loadModel(model, { ...options, plan: planned }))).toMatchObject(
      refusal('checkpoint', 'stay inside the folder'),
    );
  });
});

describe('the numbers of a plan', () => {
  const withNumbers = async (of: SparsityPlan, numberAt: (buffer: string) => number) => {
    const { spec, close } = await planModel(model);
    await close();
    const tensors = [...planTensors(spec, of, numberAt)].map(
      ([name, { shape, values }]): TensorToWrite => ({ name, dtype: 'F32', shape, data: Float32Array.from(values) }),
    );
    const config = JSON.stringify({ format: 1, method: 'm', ...(of.predictor && { predictor: of.predictor }) });
    return planFiles(config, { [planWeightsFile]: await encodeSafetensors(tensors) });
  };

  it.each([
    ['numbers that bf16 rounds to infinity', predictor, 3.4e38, /predictor\.a.*3.39e38/],
    ['blocks whose scale overflows', { rank: [4], dtype: 'int8' } as const, 3e38, /predictor\.a/],
    ['NaN', { rank: [4] }, Number.NaN, /predictor\.a.*NaN/],
    ['infinity', { rank: [4] }, Number.POSITIVE_INFINITY, /predictor\.a.*infinity/],
  ])('%s are refused by name', async (_, of, number, message) => {
    const files = await withNumbers({ method: 'm', predictor: of }, (name) => (name.endsWith('.a') ? number : 0));
    const found = (await failure(loadModel(model, { ...options, plan: files }))) as { message: string };
    expect(found.message).toMatch(message);
  });

  it('a predictor that is stored in bf16 comes along in a conversion', async () => {
    const { spec, close } = await planModel(model);
    await close();
    const tensors = [...planTensors(spec, { method: 'm', predictor }, (_, i) => Math.sin(i))].map(
      ([name, { shape, values }]): TensorToWrite =>
        name.endsWith('threshold')
          ? { name, dtype: 'F32', shape, data: Float32Array.from(values, () => 0) }
          : { name, dtype: 'BF16', shape, data: new Uint8Array(2 * values.length).fill(0x3c) },
    );
    const files = planFiles(plan({ predictor }), { [planWeightsFile]: await encodeSafetensors(tensors) });
    const out = join(folder, 'converted');
    await convertModel(model, out, { dtype: 'int8', plan: files });
    await using expected = await loadModel(model, { ...options, dtype: 'int8', plan: files });
    await using found = await loadModel(out, { ...options, plan: out });
    expect((await found.forward(ids)).logits).toEqual((await expected.forward(ids)).logits);
  });
});

/** A converted model with other metadata, or other bytes of tensors. */
async function altered(
  dtype: 'int8' | 'f32',
  change: { metadata?: Record<string, string>; bytes?: (name: string, bytes: Uint8Array) => void; bundle?: boolean },
  from = model,
): Promise<string> {
  const out = join(folder, `packed-${Math.random().toString(36).slice(2)}`);
  await convertModel(from, out, { dtype, layout: 'packed', ...(change.bundle && { bundle: true }) });
  const checkpoint = await openCheckpoint(await folderFiles(out));
  const tensors: TensorToWrite[] = [];
  for (const { name, dtype: stored, shape } of checkpoint.tensors.values()) {
    const rows = shape.length === 1 ? 1 : (shape[0] as number);
    const data = (await checkpoint.readStored(name, 0, rows)).slice();
    change.bytes?.(name, data);
    tensors.push({ name, dtype: stored, shape, data });
  }
  const metadata = { ...checkpoint.metadata, ...change.metadata };
  await checkpoint.close();
  await writeFile(join(out, 'model.safetensors'), await encodeSafetensors(tensors, { metadata, alignment: 64 }));
  return out;
}

describe('packed weights', () => {
  const buffersOf = async (dtype: 'int8' | 'f32') => {
    const out = await altered(dtype, {});
    const checkpoint = await openCheckpoint(await folderFiles(out));
    await checkpoint.close();
    return checkpoint.metadata['relufy.buffers'] as string;
  };

  it('formats that there are not are refused where the description says them', async () => {
    const described = await buffersOf('int8');
    for (const wrong of ['int99', 'constructor', '__proto__', 'i8', '', 'f64']) {
      const source = await altered('int8', {
        metadata: { 'relufy.buffers': described.replaceAll('int8 [', `${wrong} [`) },
      });
      expect(await failure(loadModel(source, options)), wrong).toMatchObject(refusal('checkpoint', 'relufy.buffers'));
    }
  });

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['numbers', '{"embedTokens":1}'],
    ['lists in lists', `${'['.repeat(1e5)}${']'.repeat(1e5)}`],
  ])('a description that is %s is refused', async (_, text) => {
    const source = await altered('int8', { metadata: { 'relufy.buffers': text } });
    expect(await failure(loadModel(source, options))).toMatchObject(refusal('checkpoint', ''));
  });

  it.each(['down', 'gate gate', 'up gate down evil', ' ', '__proto__ up'])(
    'a bundle of "%s" that the file does not hold is refused, in memory and within a budget',
    async (bundle) => {
      const source = await altered('int8', { metadata: { 'relufy.bundle': bundle } });
      for (const memoryBudget of [undefined, 9e6 + (await workerBytes())] as const)
        expect(
          await failure(
            loadModel(source, { ...options, ...(memoryBudget && { memoryBudget }) }).then((m) => m.dispose()),
          ),
        ).toMatchObject(bundle === ' ' || bundle === '__proto__ up' ? {} : refusal('checkpoint', 'tensor'));
    },
  );
});

describe('rows of neurons that stay in a file', () => {
  it('NaN in them ends a step with an error on every backend, and with no answer', async () => {
    const wide = await randomModel({ ...tinyConfig, intermediate_size: 2048, num_hidden_layers: 3 });
    const source = await altered(
      'int8',
      { bundle: true, bytes: (name, bytes) => name === 'layers.1.neurons' && bytes.fill(0x7e) },
      wide,
    );
    const plan = await planModel(await folderFiles(source));
    const budget = sessionBytes(plan.build(plan.spec.intermediateSize + 100), plan.limits);
    await plan.close();
    const own = await workerBytes();
    // in memory all weights are looked at
    expect(await failure(loadModel(source, options))).toMatchObject(refusal('checkpoint', 'finite'));
    for (const [backend, refused] of [
      ['wasm', refusal('checkpoint', 'expected finite numbers in the rows of weights')],
      ...(nativeAvailability().available ? [['native', refusal('backend', 'layer 1')] as const] : []),
      ['reference', refusal('backend', 'layer 1')],
    ] as const) {
      await using held = await loadModel(source, {
        ...{ backend, threads: 1 },
        // of WebAssembly, the worker is counted too
        memoryBudget: budget + (backend === 'wasm' ? own : 0),
      });
      expect(held.stats().neurons, backend).toBeDefined();
      expect(await failure(held.forward(ids)), backend).toMatchObject(refused);
      expect(await failure(held.generate(ids, { maxNewTokens: 2 }).result), backend).toMatchObject(refused);
    }
  });
});

describe('tensors that are no weights', () => {
  it.each([
    ['truth values', { name: 'mask', dtype: 'BOOL', shape: [2, 3], data: new Uint8Array(6) }],
    ['narrow floats', { name: 'scale', dtype: 'F8_E4M3', shape: [4], data: new Uint8Array(4) }],
    ['no rows', { name: 'none', dtype: 'F32', shape: [0, 7], data: new Float32Array(0) }],
    ['whole numbers', { name: 'position_ids', dtype: 'I64', shape: [1, 2], data: new Uint8Array(16) }],
  ] as const)('%s do not keep a model from being converted, or told apart', async (what, extra) => {
    const files = await randomModel(tinyConfig, (tensors) => tensors.set(extra.name, extra as never));
    const { spec, checkpoint, close } = await planModel(files);
    expect(await fingerprint(spec, checkpoint)).toMatch(/^[0-9a-f]{16}$/);
    await close();
    const out = join(folder, `extra ${what}`);
    await convertModel(files, out, { dtype: 'int8' });
    await (await loadModel(out, options)).dispose();
  });
});

it('parsePlan words what is no JSON', () => {
  expect(() => parsePlan('p', 'method: teal')).toThrow(expect.objectContaining({ code: 'config' }));
});
