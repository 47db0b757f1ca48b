// A memory budget: the bits of the model in memory on every backend and at any number of threads, what is refused in which
// words, files that change, and what is given back.
import { closeSync, openSync } from 'node:fs';
import { appendFile, mkdtemp, readdir, readlink, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderFiles } from '@relufy/checkpoint/node';
import { createWasmBackend } from '@relufy/kernels';
import { createNativeBackend, nativeAvailability } from '@relufy/native';
import { type Backend, parseBytes, RelufyError, type RowFile } from '@relufy/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { convertModel, type LoadOptions, loadModel, type Model, type ModelFiles, planModel } from '../node.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { sessionBytes } from './memory-budget.js';

const native = nativeAvailability();
const config = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 1056,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  vocab_size: 300,
  max_position_embeddings: 256,
  hidden_act: 'relu',
};
const opt = {
  model_type: 'opt',
  hidden_size: 64,
  ffn_dim: 1056,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  vocab_size: 300,
  max_position_embeddings: 256,
  do_layer_norm_before: true,
  activation_function: 'relu',
};
const prompt = Array.from({ length: 40 }, (_, i) => (i * 37) % 300);
const short = { contextLength: 64 };

let folder: string;
const made = new Map<string, string>();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-budget-'));
  for (const [name, of] of Object.entries({ config, opt }))
    for (const dtype of ['int8', 'bf16'] as const) {
      const out = join(folder, `${name}-${dtype}`);
      await convertModel(await randomModel(of), out, { dtype, layout: 'packed' });
      made.set(`${name} ${dtype}`, out);
    }
});
afterAll(() => rm(folder, { recursive: true }));

/** The least budget of a converted model, or, with `more`, what also holds so many further neurons. */
async function budgetOf(
  source: string,
  more = 0,
  options: Omit<LoadOptions, 'plan'> & { plan?: ModelFiles } = short,
): Promise<number> {
  const plan = await planModel(await folderFiles(source), { ...options, memoryBudget: 1e15 } as object);
  const own = await ownBytes(options);
  try {
    return sessionBytes(plan.build(plan.spec.intermediateSize + more), plan.limits) + 1024 + own;
  } finally {
    await plan.close();
  }
}

/** What the backend of a model takes itself. */
async function ownBytes({ backend, threads }: Pick<LoadOptions, 'backend' | 'threads'>): Promise<number> {
  if (typeof backend === 'object') return backend.ownBytes ?? 0;
  if (backend !== 'wasm') return 0;
  const made = await createWasmBackend(threads === undefined ? {} : { threads });
  await made.dispose();
  return made.ownBytes ?? 0;
}

const backends: Readonly<Record<string, (() => Promise<Backend>) | 'reference'>> = {
  reference: 'reference',
  ...Object.fromEntries(
    [1, 2, 3].map((threads) => [`wasm ${threads}`, () => createWasmBackend({ threads, everyThread: true })]),
  ),
  'wasm alone': () => createWasmBackend({ sharedMemory: false }),
  ...(native.available &&
    Object.fromEntries(
      [1, 2, 3].map((threads) => [`native ${threads}`, () => createNativeBackend({ threads, everyThread: true })]),
    )),
};

/** Logits of a prompt, and what is written after it. */
async function answer(model: Model, ids = prompt) {
  const { logits } = await model.forward(ids, { logits: 'all' });
  const { tokenIds } = await model.generate(ids, { maxNewTokens: ids.length / 5, temperature: 0, stopTokenIds: [] })
    .result;
  return { logits, tokenIds };
}

for (const [name, create] of Object.entries(backends))
  test(`${name}: a budget that evicts gives the bits of the model in memory`, async () => {
    const backend = create === 'reference' ? create : await create();
    // the reference is slow
    const ids = create === 'reference' ? prompt.slice(0, 10) : prompt;
    for (const [of, source] of made) {
      const isBoth = of === 'config int8' || of === 'opt bf16';
      if (create === 'reference' ? of !== 'config int8' : !isBoth) continue;
      const options = { ...short, backend };
      const expected = await loadModel(source, options).then(async (model) => {
        await using held = model;
        return await answer(held, ids);
      });
      await using model = await loadModel(source, { ...options, memoryBudget: await budgetOf(source, 100, options) });
      expect(await answer(model, ids)).toEqual(expected);
      const { neurons } = model.stats();
      if (neurons === undefined) throw new Error(`${of}: no neurons stay in the file`);
      expect(neurons.slots).toBeLessThan(neurons.neurons / 2);
      expect(neurons.read).toBeGreaterThan(neurons.slots);
      expect(neurons.hitShare).toBeGreaterThan(0);
      expect(neurons.hitShare).toBeLessThan(1);
      model.resetStats();
      expect(model.stats().neurons?.read).toBe(0);
    }
    if (typeof backend !== 'string') await backend.dispose();
  });

test('bundled rows give the same bits, in memory and within a budget, and hold the same numbers', async () => {
  const source = join(folder, 'bundled');
  await convertModel(await randomModel(config), source, { dtype: 'int8', bundle: true });
  for (const backend of ['wasm', ...(native.available ? (['native'] as const) : [])] as const) {
    await using plain = await loadModel(made.get('config int8') as string, { ...short, backend, threads: 1 });
    const expected = await answer(plain);
    const options = { ...short, backend, threads: 2 };
    for (const memoryBudget of ['1GB', await budgetOf(source, 100, options)]) {
      await using model = await loadModel(source, { ...options, memoryBudget });
      expect(model.stats().neurons === undefined).toBe(memoryBudget === '1GB');
      expect(await answer(model)).toEqual(expected);
    }
  }
  const refused = convertModel(await randomModel(opt), join(folder, 'refused'), { dtype: 'int8', bundle: true });
  expect((await failure(refused)).message).toContain('only those of down');
});

test('a predictor leaves the rows of the gate in the file too', async () => {
  const plan = { method: 'test', predictor: { rank: [4, 4, 4] } };
  const files = await randomModel(config);
  const spec = (await planModel(files)).spec;
  const unit = (index: number) => Math.sin(index * 12.9898) * 0.5;
  const tensors = planTensors(spec, plan, (buffer, index) => (buffer.endsWith('threshold') ? 0 : unit(index)));
  const planned = await planFolder(plan, tensors);
  const out = join(folder, 'predicted');
  await convertModel(files, out, { dtype: 'int8', plan: planned, bundle: true });
  const options = { ...short, backend: 'wasm', threads: 1, plan: planned } as const;
  await using whole = await loadModel(out, options);
  const expected = await answer(whole);
  await using model = await loadModel(out, {
    ...options,
    memoryBudget: await budgetOf(out, 50, options),
  });
  expect(await answer(model)).toEqual(expected);
  const { rowsRead = 0, read = 1 } = model.stats().neurons ?? {};
  expect(rowsRead / read).toBe(3);
});

test('a predictor that looks ahead tells the file which rows a layer will need while the one before computes', async () => {
  const plan = { method: 'test', predictor: { rank: [4, 4, 4], input: 'lookahead' } } as const;
  const files = await randomModel(config);
  const { spec } = await planModel(files);
  const unit = (index: number) => Math.sin(index * 12.9898) * 0.5;
  const tensors = planTensors(spec, plan, (buffer, index) => (buffer.endsWith('threshold') ? 0 : unit(index)));
  const planned = await planFolder(plan, tensors);
  const out = join(folder, 'ahead');
  await convertModel(files, out, { dtype: 'int8', plan: planned, bundle: true });
  for (const backend of ['wasm', ...(native.available ? (['native'] as const) : [])] as const) {
    const options = { ...short, backend, threads: 2, plan: planned };
    await using whole = await loadModel(out, options);
    const expected = await answer(whole);
    await using model = await loadModel(out, { ...options, memoryBudget: await budgetOf(out, 50, options) });
    expect(await answer(model)).toEqual(expected);
    expect(model.stats().neurons?.read).toBeGreaterThan(0);
  }
  const memoryBudget = await budgetOf(out, 50, { ...short, plan: planned });
  const held = await planModel(await folderFiles(out), { ...short, plan: planned, memoryBudget } as object);
  const { ops } = held.build(held.spec.intermediateSize + 50).build({ sparsity: 'exact' }).program;
  const order = ops.flatMap(({ kind, attributes }) =>
    kind === 'announceRows' || kind === 'fetchRows' ? [`${kind} ${attributes.layer}`] : [],
  );
  expect(order).toEqual([
    ...['announceRows 0', 'announceRows 1', 'fetchRows 0'],
    ...['announceRows 2', 'fetchRows 1', 'fetchRows 2'],
  ]);
  await held.close();
});

async function failure(work: Promise<unknown>): Promise<RelufyError> {
  const error = await work.catch((thrown: unknown) => thrown);
  expect(RelufyError.is(error), String(error)).toBe(true);
  return error as RelufyError;
}

test('what cannot keep to a budget is refused, with what helps', async () => {
  const source = made.get('config int8') as string;
  const load = (from: Parameters<typeof loadModel>[0], options: LoadOptions) =>
    failure(loadModel(from, { ...short, backend: 'wasm', ...options }));
  expect((await load(source, { memoryBudget: 'much' })).message).toContain('expected bytes, or a size such as 600MB');
  const small = await load(source, { memoryBudget: '2MB' });
  expect(small.message).toMatch(/memoryBudget: expected at least \d+MB: all but the neurons.*got 2MB\./);
  // the budget that it names works
  const named = /at least (\d+MB)/.exec(small.message)?.[1] as string;
  await (await loadModel(source, { ...short, backend: 'wasm', memoryBudget: named })).dispose();
  const random = await randomModel(config);
  expect((await load(random, { memoryBudget: '2MB' })).message).toContain('relufy convert MODEL --dtype int8');
  const silu = await randomModel({ ...config, hidden_act: 'silu' });
  expect((await load(silu, { memoryBudget: '2MB' })).message).toContain('every token needs every neuron');
  expect((await load(source, { memoryBudget: '2MB', sparsity: 'dense' })).message).toContain('sparsity "exact"');
  await using whole = await loadModel(source, { ...short, backend: 'wasm', memoryBudget: '1GB' });
  expect(whole.stats().neurons).toBeUndefined();
  await using model = await loadModel(source, {
    ...short,
    backend: 'wasm',
    memoryBudget: await budgetOf(source, 0, { ...short, backend: 'wasm' }),
  });
  const dense = model.generate(prompt, { maxNewTokens: 2, sparsity: 'dense' }).result;
  expect((await failure(dense)).message).toContain('expected exact for a model that was loaded with a memoryBudget');
});

test('neurons in memory are favoured where that is asked for', async () => {
  const ids = prompt.slice(0, 8);
  for (const [name, of] of Object.entries({ config, opt })) {
    // wide: what the program keeps for the thresholds is less than the rows that stay in the file
    const source = join(folder, `wide-${name}`);
    await convertModel(await randomModel({ ...of, hidden_size: 512 }), source, { dtype: 'int8' });
    const options = { ...short, backend: 'wasm', threads: 1 } as const;
    /** What a second answer read, and its tokens. */
    const read = async (favour: Pick<LoadOptions, 'favourHeld'>) => {
      // as many slots with its thresholds as without
      const memoryBudget = await budgetOf(source, 600, { ...options, ...favour });
      await using model = await loadModel(source, { ...options, ...favour, memoryBudget });
      const generate = () => model.generate(ids, { maxNewTokens: 12, temperature: 0, stopTokenIds: [] }).result;
      await generate();
      model.resetStats();
      const { tokenIds } = await generate();
      return { tokenIds, ...(model.stats().neurons as NonNullable<ReturnType<typeof model.stats>['neurons']>) };
    };
    const all = await read({});
    expect(await read({ favourHeld: 0 })).toEqual(all);
    const half = await read({ favourHeld: 1 });
    expect(half.read).toBeGreaterThan(0);
    expect(half.read).toBeLessThan(0.8 * all.read);
    expect(half.hitShare).toBeGreaterThan(all.hitShare);
    // nothing is a hundred times the mean: whoever is not in memory does not come there
    const none = await read({ favourHeld: 100 });
    expect([none.read, none.needed > 0]).toEqual([0, true]);
  }
  const source = made.get('config int8') as string;
  const refused = await failure(loadModel(source, { ...short, backend: 'wasm', favourHeld: 1 }));
  expect(refused.message).toContain('"favourHeld": expected a memoryBudget beside it');
});

const able = ['reference', 'wasm', ...(native.available ? (['native'] as const) : [])] as const;
for (const backend of able)
  test(`${backend}: a file that changes ends the step with an error, and its descriptors go with the model`, async () => {
    const original = made.get('opt int8') as string;
    const memoryBudget = await budgetOf(original, 10, { ...short, backend });
    for (const harm of ['append', 'truncate'] as const) {
      const source = join(folder, `${backend}-${harm}`);
      await convertModel(await randomModel(opt), source, { dtype: 'int8' });
      const file = join(source, 'model.safetensors');
      const model = await loadModel(source, { ...short, backend, memoryBudget });
      const { logits } = await model.forward(prompt.slice(0, 4));
      expect(logits.every(Number.isFinite)).toBe(true);
      if (harm === 'append') await appendFile(file, 'more');
      else await truncate(file, 4096);
      const error = await failure(model.forward(prompt));
      expect(error.code).toBe('io');
      expect(error.message).toContain(file);
      await failure(model.forward(prompt)); // and the one after it
      await model.dispose();
      expect(await openFiles(file)).toBe(0);
    }
  });

/** The same files, but for what steps read rows from. */
function withRowFile(files: ModelFiles, openRows: () => RowFile): ModelFiles {
  return {
    ...files,
    open: async (file, signal) => {
      const source = await files.open(file, signal);
      return source && file === 'model.safetensors' ? { ...source, openRows } : source;
    },
  };
}

const onLinux = process.platform === 'linux';
for (const backend of ['wasm', ...(native.available ? (['native'] as const) : [])] as const)
  test.skipIf(!onLinux)(`${backend}: a disk error ends the step with its number, and the process lives`, async () => {
    const source = made.get('opt int8') as string;
    const memoryBudget = await budgetOf(source, 10, { ...short, backend });
    // at places that nothing is mapped to, reading the process's own memory is an I/O error, as from a failing disk
    const descriptor = openSync('/proc/self/mem', 'r');
    const broken = (): RowFile => ({
      ...{ path: 'broken', size: 2 ** 40, descriptor },
      read: () => {},
      check: () => {},
      close: () => closeSync(descriptor),
    });
    const files = withRowFile(await folderFiles(source), broken);
    await using model = await loadModel(files, { ...short, backend, memoryBudget });
    const error = await failure(model.forward(prompt));
    expect([error.code, error.message]).toEqual([
      'io',
      'broken: expected the rows of weights that a step needs, got error 5 of the system. Check the disk, and load the model again.',
    ]);
    await failure(model.generate(prompt, { maxNewTokens: 2 }).result); // and the one after it
  });

for (const backend of able)
  test(`${backend}: a file that shrinks during an answer ends it, and an answer that is aborted leaves the model whole`, async () => {
    const original = made.get('opt int8') as string;
    const source = join(folder, `${backend}-shrinks`);
    await convertModel(await randomModel(opt), source, { dtype: 'int8' });
    const memoryBudget = await budgetOf(original, 10, { ...short, backend });
    await using model = await loadModel(source, { ...short, backend, memoryBudget });
    const ids = prompt.slice(0, 6);
    const options = { maxNewTokens: 12, temperature: 0, stopTokenIds: [] } as const;
    const expected = await model.generate(ids, options).result;
    const controller = new AbortController();
    const aborted = model.generate(ids, { ...options, signal: controller.signal });
    const reads = (async () => {
      for await (const _ of aborted) controller.abort();
    })();
    await Promise.allSettled([reads, aborted.result]);
    expect((await model.generate(ids, options).result).tokenIds).toEqual(expected.tokenIds);
    // other tokens than those whose neurons are there
    const answer = model.generate(prompt.slice(6, 12), options);
    let tokens = 0;
    const error = await failure(
      (async () => {
        for await (const _ of answer) if (++tokens === 2) await truncate(join(source, 'model.safetensors'), 4096);
        await answer.result;
      })(),
    );
    answer.result.catch(() => {});
    expect(error.code).toBe('io');
    expect(tokens).toBeLessThan(12);
  });

test('loading that is aborted closes what steps would have read', async () => {
  const source = made.get('opt int8') as string;
  const memoryBudget = await budgetOf(source, 10, { ...short, backend: 'wasm' });
  const controller = new AbortController();
  const onProgress = ({ status }: { readonly status: string }) => {
    if (status === 'progress') controller.abort();
  };
  const loading = loadModel(source, { ...short, backend: 'wasm', memoryBudget, signal: controller.signal, onProgress });
  await expect(loading).rejects.toThrow(/abort/i);
  expect(await openFiles(join(source, 'model.safetensors'))).toBe(0);
});

/** How often this process has a file open; 0 where the system does not say. */
async function openFiles(path: string): Promise<number> {
  if (process.platform !== 'linux') return 0;
  const names = await readdir('/proc/self/fd');
  const links = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
  return links.filter((link) => link === path).length;
}

test('sizes as people write them', () => {
  expect(['600MB', '1.5 GiB', '10k', '4096', '2mi'].map(parseBytes)).toEqual([
    600e6,
    1.5 * 2 ** 30,
    10_000,
    4096,
    2 ** 21,
  ]);
  expect(['', '0', '-1', '5 apples', 'GB'].map(parseBytes)).toEqual(Array.from({ length: 5 }, () => undefined));
});

test('what a session is said to take is what it takes', async () => {
  const source = made.get('config int8') as string;
  const options = { ...short, backend: 'wasm', threads: 2 } as const;
  const memoryBudget = await budgetOf(source, 500, options);
  const own = await ownBytes(options);
  expect(own).toBeGreaterThan(2 * 5e6);
  const plan = await planModel(await folderFiles(source), { ...short, memoryBudget }, { threads: 2, ownBytes: own });
  const said = sessionBytes(plan.decoder, plan.limits);
  await plan.close();
  await using model = await loadModel(source, { ...options, memoryBudget });
  await answer(model);
  expect(said + own).toBeLessThanOrEqual(memoryBudget);
  expect(model.memoryBytes).toBeLessThanOrEqual(memoryBudget);
});
