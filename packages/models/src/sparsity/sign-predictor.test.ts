// The predictor of sign bits beyond its golden case: thresholds against the rule itself, the same signs from a packed file in
// every format, thresholds that change between steps, and what is refused.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderFiles } from '@relufy/checkpoint/node';
import { expect, test } from 'vitest';
import { convertModel, loadModel, type ModelFiles, signThreshold } from '../node.js';
import { planFolder } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

const config = { ...tinyConfig, num_hidden_layers: 2, intermediate_size: 48 };
const ids = [3, 1, 4, 1, 5, 9, 2, 6];
const plan = (alpha: readonly number[]) =>
  planFolder({ method: 'sparseinfer', predictor: { kind: 'signs', alpha } }, new Map());

test('a threshold says of every count what the rule says', () => {
  for (const width of [1, 2, 31, 64, 100, 200, 4096, 8191])
    for (const alpha of [0.001, 1, 33.3, 90, 99.9, 100, 101, 110, 300, 1e9])
      for (let positive = 0; positive <= width; positive++)
        expect(positive > signThreshold(alpha, width)).toBe(100 * (width - positive) <= alpha * positive);
});

test.each(['f32', 'bf16', 'int8', 'int4', 'uint4'] as const)(
  '%s: a packed file gives the same signs',
  async (dtype) => {
    const files = await randomModel(config);
    const folder = await plan([100, 105]);
    const out = await mkdtemp(join(tmpdir(), 'relufy-signs-'));
    try {
      await convertModel(files, join(out, 'm'), { dtype, plan: folder, layout: 'packed' });
      const run = async (source: ModelFiles, backend: 'reference' | 'wasm') => {
        const model = await loadModel(source, { backend, dtype, plan: folder });
        const { captured } = await model.forward(ids, { capture: ['predictorScores.0', 'predictorScores.1'] });
        await model.dispose();
        return captured;
      };
      const packed = await run(await folderFiles(join(out, 'm')), 'wasm');
      expect(packed).toEqual(await run(files, 'wasm'));
      expect(packed['predictorScores.0']).toEqual((await run(files, 'reference'))['predictorScores.0']);
    } finally {
      await rm(out, { recursive: true });
    }
  },
);

test('thresholds are written between steps', async () => {
  const files = await randomModel(config);
  const [model, other] = await Promise.all(
    [
      [100, 100],
      [80, 130],
    ].map(async (alpha) => loadModel(files, { backend: 'reference', plan: await plan(alpha) })),
  );
  if (!model || !other) throw new Error('two models');
  const logits = async (of: typeof model) => (await of.forward(ids, { logits: 'all' })).logits;
  expect(await logits(model)).not.toEqual(await logits(other));
  await model.writePlan({
    'layers.0.predictor.threshold': [signThreshold(80, config.hidden_size)],
    'layers.1.predictor.threshold': [signThreshold(130, config.hidden_size)],
  });
  expect(await logits(model)).toEqual(await logits(other));
  await expect(model.writePlan({ 'layers.0.predictor.signs': [1] })).rejects.toThrow('expected a tensor of the plan');
  await model.dispose();
  await other.dispose();
});

test.each([
  ['{"kind": "sign", "alpha": [1, 1]}', 'predictor "kind": expected signs, partial or two-bit, got "sign".'],
  ['{"kind": "signs"}', 'predictor "alpha": expected a list of numbers from 0 on, one a layer, got undefined.'],
  ['{"kind": "signs", "alpha": [1, -1]}', 'predictor option "alpha": expected a list of numbers from 0 on'],
  ['{"kind": "signs", "alpha": [1], "rank": [1, 1]}', 'predictor option "rank": unknown.'],
  ['{"kind": "signs", "alpha": [1]}', 'predictor alpha: expected one number for each of 2 layers, got 1.'],
])('refused: %s', async (predictor, message) => {
  const text = `{"format": 1, "method": "m", "predictor": ${predictor}}`;
  const folder: ModelFiles = { ...(await plan([1, 1])), readText: async () => text };
  await expect(loadModel(await randomModel(config), { backend: 'reference', plan: folder })).rejects.toThrow(message);
});
