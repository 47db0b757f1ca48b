// The predictor of partial scores: they are the gate's own products over the largest inputs, whatever the weights' format and
// that of the copy.
import { widen } from '@relufy/tensor';
import { expect, test } from 'vitest';
import { loadModel, parseConfig, planModel, type SparsityPlan } from '../node.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

const [hidden, neurons, inputs] = [32, 48, 16];
const config = { ...tinyConfig, intermediate_size: neurons };
const ids = [3, 1, 4, 1, 5, 9, 2, 6];

/** The gate of the only layer, [neurons, hidden]. */
async function gate(): Promise<Float32Array> {
  const { checkpoint, close } = await planModel(await randomModel(config));
  const { dtype, data } = await checkpoint.readRows('model.layers.0.mlp.gate_proj.weight', 0, neurons);
  await close();
  return widen(dtype, data);
}

test.each([
  ['f32', 'bf16', 0.03],
  ['f32', 'int8', 0.03],
  ['f32', 'int4', 0.5],
  ['int8', 'int8', 0.05],
  ['bf16', 'bf16', 0.05],
] as const)('weights in %s, the copy in %s', async (dtype, copy, most) => {
  const plan: SparsityPlan = { method: 'test', predictor: { kind: 'partial', inputs: [inputs], dtype: copy } };
  const folder = await planFolder(
    plan,
    planTensors(parseConfig(config).spec, plan, () => 0),
  );
  const model = await loadModel(await randomModel(config), { backend: 'wasm', dtype, plan: folder });
  const { captured } = await model
    .forward(ids, { capture: ['ffnInput.0', 'predictorScores.0'] })
    .finally(() => model.dispose());
  const [weights, scores] = [await gate(), captured['predictorScores.0'] as Float32Array];
  let furthest = 0;
  for (let row = 0; row < ids.length; row++) {
    const x = (captured['ffnInput.0'] as Float32Array).subarray(row * hidden, (row + 1) * hidden);
    const largest = [...x.keys()].sort((a, b) => Math.abs(x[b]!) - Math.abs(x[a]!) || a - b).slice(0, inputs);
    for (let neuron = 0; neuron < neurons; neuron++) {
      const sum = largest.reduce((all, i) => all + x[i]! * weights[neuron * hidden + i]!, 0);
      furthest = Math.max(furthest, Math.abs(scores[row * neurons + neuron]! - sum));
    }
  }
  expect(furthest).toBeLessThan(most);
  // rounding is all that is between them, and it is there
  expect(furthest).toBeGreaterThan(1e-5);
});
