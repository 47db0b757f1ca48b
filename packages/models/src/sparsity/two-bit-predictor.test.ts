// The predictor of two bits a weight in a model: its scores follow the gate's own products, from every format and from a packed
// file alike; what is refused.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderFiles } from '@relufy/checkpoint/node';
import { expect, test } from 'vitest';
import { convertModel, loadModel, type ModelFiles, parseConfig, type SparsityPlan } from '../node.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

const config = { ...tinyConfig, num_hidden_layers: 2, hidden_act: 'relu', intermediate_size: 48 };
const ids = [3, 1, 4, 1, 5, 9, 2, 6];
const plan: SparsityPlan = { method: 'test', predictor: { kind: 'two-bit', bits: [2, 2] } };
/** Every neuron is proposed. */
const open = () =>
  planFolder(
    plan,
    planTensors(parseConfig(config).spec, plan, () => -1e9),
  );

function correlation(a: Float32Array, b: Float32Array): number {
  const mean = (of: Float32Array) => of.reduce((sum, one) => sum + one, 0) / of.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(a[i] as number) - meanA, (b[i] as number) - meanB];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

test.each(['f32', 'bf16', 'int8', 'int4', 'uint4'] as const)(
  '%s: scores follow the gate, the same from a packed file and on every backend',
  async (dtype) => {
    const files = await randomModel(config);
    const folder = await open();
    const out = await mkdtemp(join(tmpdir(), 'relufy-two-bit-'));
    try {
      await convertModel(files, join(out, 'm'), { dtype, plan: folder, layout: 'packed' });
      const taps = ['predictorScores.0', 'preActivation.0', 'predictorScores.1'];
      const run = async (source: ModelFiles, backend: 'reference' | 'wasm') => {
        const model = await loadModel(source, { backend, dtype, plan: folder });
        const { captured } = await model.forward(ids, { capture: taps }).finally(() => model.dispose());
        return captured as Readonly<Record<string, Float32Array>>;
      };
      const [packed, whole, reference] = [
        await run(await folderFiles(join(out, 'm')), 'wasm'),
        await run(files, 'wasm'),
        await run(files, 'reference'),
      ];
      expect(packed).toEqual(whole);
      const scores = whole['predictorScores.0'] as Float32Array;
      // four values a weight keep 94 % of what is normal; 32 inputs leave a little less or more
      expect(correlation(scores, whole['preActivation.0'] as Float32Array)).toBeGreaterThan(0.88);
      expect(correlation(scores, reference['predictorScores.0'] as Float32Array)).toBeGreaterThan(0.999);
    } finally {
      await rm(out, { recursive: true });
    }
  },
);

test.each([
  ['{"kind": "two-bit"}', 'predictor "bits"'],
  ['{"kind": "two-bit", "bits": [2]}', 'predictor bits: expected one number for each of 2 layers, got 1.'],
  ['{"kind": "two-bit", "bits": [2, 1]}', 'predictor bits: expected 2, or 0 for no predictor, got 1.'],
  ['{"kind": "two-bit", "bits": [2, 3]}', 'predictor bits: expected whole numbers from 0 to 2, got 3.'],
  ['{"kind": "two-bit", "bits": [2, 2], "inputs": [1, 1]}', 'predictor option "inputs": unknown.'],
])('refused: %s', async (predictor, message) => {
  const text = `{"format": 1, "method": "m", "predictor": ${predictor}}`;
  const folder: ModelFiles = { ...(await open()), readText: async () => text };
  await expect(loadModel(await randomModel(config), { backend: 'reference', plan: folder })).rejects.toThrow(message);
});
