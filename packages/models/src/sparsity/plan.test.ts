// Sparsity plans: files there and back, what is refused in which words, exact equal to dense for every kind of mask on
// every backend, thresholds that change between steps, and packed files that are laid out for a plan.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderFiles } from '@relufy/checkpoint/node';
import { nativeAvailability } from '@relufy/native';
import { expect, test } from 'vitest';
import {
  convertModel,
  formatFreeFingerprint,
  loadModel,
  type ModelFiles,
  parseConfig,
  parsePlan,
  planJson,
  planModel,
  type SparsityPlan,
} from '../node.js';
import { each, plans, silu } from '../testing/plan-cases.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';

const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];

/** Thresholds in the midst of the numbers of random models, factors that are small. */
const numbersOf =
  (signs: boolean) =>
  (buffer: string, index: number): number => {
    const noise = Math.sin(index * 12.9898 + buffer.length * 78.233) * 43758.5453;
    const unit = noise - Math.floor(noise);
    // some neurons are hot
    if (buffer.endsWith('predictor.threshold')) return index % 7 === 3 ? Number.NEGATIVE_INFINITY : 15 * Number(signs);
    if (buffer.endsWith('.threshold')) return 0.2 + 0.4 * unit;
    return buffer.endsWith('.scale') ? 0.5 + unit : unit - 0.5;
  };

const filesOf = async (config: object, rest: Omit<SparsityPlan, 'method'>) => {
  const plan: SparsityPlan = { method: 'test', ...rest };
  const { spec } = parseConfig(config);
  // of 32 signs, 15 agree more often than not
  const numbers = numbersOf(plan.predictor?.kind === 'signs');
  return { model: await randomModel(config), plan, folder: await planFolder(plan, planTensors(spec, plan, numbers)) };
};

const backends = ['reference', 'wasm', ...(nativeAvailability().available ? (['native'] as const) : [])] as const;

test.each(Object.entries(plans))('%s: exact equals dense on every backend, and less is read', async (_, given) => {
  const { model: files, folder, plan } = await filesOf(given.config, given.plan);
  expect(parsePlan('p', planJson(plan))).toEqual(plan);
  const logits: Float32Array[] = [];
  for (const backend of backends)
    for (const dtype of backend === 'reference' ? (['f32'] as const) : (['f32', 'int8'] as const)) {
      const results = [];
      for (const [sparsity, threads] of [
        ['exact', 1],
        ['exact', 3],
        ['dense', 2],
      ] as const) {
        const model = await loadModel(files, { backend, threads, dtype, sparsity, plan: folder });
        const { logits: all } = await model.forward(ids, { logits: 'all' });
        const { tokenIds, stats } = await model.generate(ids, { maxNewTokens: 6, temperature: 0, stopTokenIds: [] })
          .result;
        results.push({ all, tokenIds, bytes: stats.weightBytesPerToken });
        await model.dispose();
      }
      const [one, three, dense] = results;
      expect(three).toEqual(one);
      expect({ ...dense, bytes: 0 }).toEqual({ ...one, bytes: 0 });
      expect(one?.bytes).toBeLessThan(dense?.bytes as number);
      if (dtype === 'f32') logits.push(one?.all as Float32Array);
    }
  for (const other of logits.slice(1))
    for (const [i, logit] of other.entries()) expect(logit).toBeCloseTo(logits[0]?.[i] as number, 4);
});

test('a plan changes answers, and none is taken up unasked', async () => {
  const { model: files, folder } = await filesOf(silu, { masks: [{ at: ['down'], kind: 'magnitude' }] });
  const beside: ModelFiles = {
    ...files,
    open: async (file, signal) => (await files.open(file, signal)) ?? folder.open(file, signal),
    readText: async (file, options) => (await files.readText(file, options)) ?? folder.readText(file, options),
  };
  const logitsOf = async (source: ModelFiles, plan?: ModelFiles) => {
    const model = await loadModel(source, { backend: 'reference', ...(plan && { plan }) });
    const { logits } = await model.forward(ids);
    await model.dispose();
    return logits;
  };
  const plain = await logitsOf(files);
  expect(await logitsOf(beside)).toEqual(plain);
  const planned = await logitsOf(files, folder);
  expect(planned).not.toEqual(plain);
  expect(await logitsOf(beside, beside)).toEqual(planned);
});

test('the first tokens pass whole where the plan says so', async () => {
  const masks = [{ at: ['q', 'k', 'v'], kind: 'magnitude' }] as const;
  const { spec } = parseConfig(silu);
  const none = () => Number.POSITIVE_INFINITY;
  const files = await randomModel(silu);
  const kept = async (denseTokens: number) => {
    const plan: SparsityPlan = { method: 'test', masks, denseTokens };
    const folder = await planFolder(plan, planTensors(spec, plan, none));
    const model = await loadModel(files, { backend: 'reference', plan: folder });
    const { captured } = await model.forward(ids, { capture: ['qkv.0'] });
    await model.dispose();
    const values = captured['qkv.0'] as Float32Array;
    return ids.map((_, row) => values.subarray(row * 32, (row + 1) * 32).some((value) => value !== 0));
  };
  expect(await kept(2)).toEqual(ids.map((_, row) => row < 2));
  expect(await kept(0)).toEqual(ids.map(() => false));
});

test.each<[string, string, string]>([
  ['{', 'x sparsity_config.json: expected JSON, got "{".', ''],
  ['[]', 'x sparsity_config.json: expected an object', ''],
  ['{"format": 2, "method": "m"}', 'x sparsity_config.json option "format": expected 1, got 2.', ''],
  ['{"format": 1}', 'x sparsity_config.json "method": expected a text, got undefined.', ''],
  ['{"format": 1, "method": "m", "mask": []}', 'x sparsity_config.json option "mask": unknown.', ''],
  [
    '{"format": 1, "method": "m", "masks": [{"at": ["q"], "kind": "magnitud"}]}',
    'masks[0] "kind": expected relu, magnitude or top, got "magnitud".',
    '',
  ],
  [
    '{"format": 1, "method": "m", "masks": [{"at": ["qkv"], "kind": "relu"}]}',
    'masks[0] option "at": expected a list of q, k, receptance, v, o, gate, ffnReceptance, up, neurons, down',
    '',
  ],
  [
    '{"format": 1, "method": "m", "masks": [{"at": ["q"], "kind": "magnitude", "k": [1, 1]}]}',
    'masks[0] option "k": unknown.',
    '',
  ],
  [
    '{"format": 1, "method": "m", "masks": [{"at": ["q"], "kind": "top"}]}',
    'masks[0] "k": expected a list of whole numbers, one a layer, got undefined.',
    '',
  ],
  ['', 'masks: expected places that read the same numbers, got q, o.', '{"at": ["o", "q"], "kind": "relu"}'],
  ['', 'masks: expected at least one place, got none.', '{"at": [], "kind": "relu"}'],
  ['', 'expected one number for each of 2 layers, got 1.', '{"at": ["q"], "kind": "top", "k": [1]}'],
  ['', 'expected whole numbers from 0 to 32, got 33.', '{"at": ["q"], "kind": "top", "k": [1, 33]}'],
  ['', 'within: expected a divisor of 32, got 5.', '{"at": ["q"], "kind": "top", "k": [1, 1], "within": 5}'],
])('refused: %s%s', async (config, message, mask) => {
  const text = config || `{"format": 1, "method": "m", "masks": [${mask}]}`;
  const files = await randomModel(silu);
  const { folder } = await filesOf(silu, {});
  const plan: ModelFiles = { ...folder, name: 'x', readText: async () => text };
  await expect(loadModel(files, { backend: 'reference', plan })).rejects.toThrow(message);
});

test('tensors that do not fit, and other models, are refused in one sentence', async () => {
  const masks = [{ at: ['down'], kind: 'magnitude', perChannel: true }] as const;
  const plan: SparsityPlan = { method: 'test', masks };
  const { spec } = parseConfig(silu);
  const files = await randomModel(silu);
  const load = (folder: ModelFiles, model = files) => loadModel(model, { backend: 'reference', plan: folder });
  const tensors = planTensors(spec, plan, numbersOf(false));
  const [first] = tensors.keys();
  const name = first as string;
  const changed = (values: readonly number[]) => new Map([...tensors, [name, { shape: [values.length], values }]]);
  await expect(load(await planFolder(plan, new Map()))).rejects.toThrow(
    `plan plan sparsity_model.safetensors tensor "${name}": expected F32 [48], got none.`,
  );
  await expect(load(await planFolder(plan, changed([1])))).rejects.toThrow('expected F32 [48], got F32 [1].');
  const nan = Array.from({ length: 48 }, (_, i) => (i === 7 ? Number.NaN : 1));
  await expect(load(await planFolder(plan, changed(nan)))).rejects.toThrow('expected numbers, got NaN. Make the plan');
  const more = new Map([...tensors, ['layers.0.q.threshold', { shape: [1], values: [1] }]]);
  await expect(load(await planFolder(plan, more))).rejects.toThrow('expected no such tensor, got one.');
  const named = { ...plan, baseModel: { name: 'a/b', fingerprint: '0123456789abcdef' } };
  await expect(load(await planFolder(named, tensors))).rejects.toThrow(
    /^plan plan: expected the model that it was made for, "a\/b" \(fingerprint 0123456789abcdef\), got random \([\da-f]{16}\)\. Calibrate/,
  );
  await expect(load(files)).rejects.toThrow('plan random: expected a sparsity_config.json, found none.');
  const stage2 = await randomModel({ ...silu, model_type: 'relufy_llama', hidden_act: 'relu', relufy: { stage: 2 } });
  const before = await planFolder({ method: 'm', masks: [{ at: ['q'], kind: 'top', k: [1, 1] }] }, new Map());
  await expect(load(before, stage2)).rejects.toThrow("expected a plan that leaves the model's own ReLU at q, k, v");
});

test('a packed file records the plan that it is laid out for, takes another of the same layout, and is refused without', async () => {
  const { model: files, folder, plan } = await filesOf(silu, { masks: [{ at: ['gate', 'up'], kind: 'magnitude' }] });
  const out = await mkdtemp(join(tmpdir(), 'relufy-plan-'));
  try {
    await convertModel(files, join(out, 'm'), { dtype: 'int8', plan: folder });
    const packed = await folderFiles(join(out, 'm'));
    const logitsOf = async (source: ModelFiles, from: ModelFiles) => {
      const model = await loadModel(source, { backend: 'wasm', dtype: 'int8', plan: from });
      const { logits } = await model.forward(ids);
      await model.dispose();
      return logits;
    };
    const expected = await logitsOf(files, folder);
    // the plan lies beside the weights
    expect(await logitsOf(packed, packed)).toEqual(expected);
    expect(parsePlan('p', (await packed.readText('sparsity_config.json')) as string)).toEqual(plan);
    await expect(loadModel(packed, { backend: 'wasm' })).rejects.toThrow(
      'The weights were converted for the sparsity plan "test", or other options (dtype, relufy); load them with that plan',
    );
    await expect(convertModel(files, join(out, 'n'), { dtype: 'bf16', plan: folder, layout: 'hf' })).rejects.toThrow(
      'convert option "plan": expected the layout packed',
    );
  } finally {
    await rm(out, { recursive: true });
  }
});

test('a plan for any format is taken by its model in each, and by no other', async () => {
  const files = await randomModel(silu);
  const { spec, checkpoint, close } = await planModel(files);
  const anyFormat = await formatFreeFingerprint(spec, checkpoint).finally(close);
  const masks = [{ at: ['o'], kind: 'top', k: each(8) }] as const;
  const plan = await planFolder({ method: 'test', masks, baseModel: { name: 'a/b', anyFormat } }, new Map());
  const takes = async (source: ModelFiles) => (await loadModel(source, { backend: 'wasm', plan })).dispose();
  const out = await mkdtemp(join(tmpdir(), 'relufy-plan-'));
  try {
    await takes(files);
    for (const [name, options] of Object.entries({
      int8: { dtype: 'int8', plan } as const,
      bf16: { dtype: 'bf16' } as const,
    })) {
      await convertModel(files, join(out, name), options);
      await takes(await folderFiles(join(out, name)));
    }
  } finally {
    await rm(out, { recursive: true });
  }
  const tuned = await randomModel(silu, (tensors) => {
    const [norm] = [...tensors.values()].filter(({ name }) => name.endsWith('norm.weight'));
    norm?.data.fill(1.5, 3, 4);
  });
  for (const other of [tuned, await randomModel({ ...silu, hidden_act: 'gelu' })])
    await expect(takes(other)).rejects.toThrow(/^plan plan: expected the model that it was made for, "a\/b"/);
});

test('numbers of a plan are changed between steps, and what was cached by the old ones is forgotten', async () => {
  const masks = [{ at: ['q', 'k', 'v'], kind: 'magnitude' }] as const;
  const { spec } = parseConfig(silu);
  const plan: SparsityPlan = { method: 'test', masks };
  const files = await randomModel(silu);
  const load = async (threshold: number) =>
    loadModel(files, {
      backend: 'wasm',
      plan: await planFolder(
        plan,
        planTensors(spec, plan, () => threshold),
      ),
    });
  const [low, high] = [await load(0.1), await load(0.9)];
  const settings = { maxNewTokens: 4, temperature: 0, stopTokenIds: [] };
  const answer = async (model: typeof low) => (await model.generate(ids, settings).result).tokenIds;
  const scores = async (model: typeof low) => (await model.score(ids)).logprobs;
  const before = await scores(low);
  await answer(low);
  await low.writePlan({ 'layers.0.qkv.threshold': [0.9], 'layers.1.qkv.threshold': new Float32Array([0.9]) });
  expect(await answer(low)).toEqual(await answer(high));
  expect(await scores(low)).toEqual(await scores(high));
  expect(await scores(low)).not.toEqual(before);
  await expect(low.writePlan({ 'layers.0.q.threshold': [1] })).rejects.toThrow(
    'writePlan "layers.0.q.threshold": expected a tensor of the plan',
  );
  await expect(low.writePlan({ 'layers.0.qkv.threshold': [1, 2] })).rejects.toThrow('expected 1 numbers, got');
  await expect(low.writePlan({ 'layers.0.qkv.threshold': [Number.NaN] })).rejects.toThrow('expected 1 numbers, got');
  await low.dispose();
  await high.dispose();
});
