// A method that nobody would want, as somebody would add it: keep every third neuron. The method is data alone (below the
// line); CONTRIBUTING.md, "A sparsity method", points here.
import { createReferenceBackend } from '@relufy/tensor';
import { expect, test } from 'vitest';
import type { ModelSpec, SparsityPlan } from '../index.js';
import { loadModel, parseConfig } from '../node.js';
import { type PlanTensor, planFolder } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

// ---------------------------------------------------------------------------------------------------------------------

/** A threshold a neuron: any size passes 0, none passes infinity. */
function everyThird({ numHiddenLayers, intermediateSize }: ModelSpec) {
  const values = Array.from({ length: intermediateSize }, (_, neuron) =>
    neuron % 3 === 0 ? 0 : Number.POSITIVE_INFINITY,
  );
  const layers = Array.from({ length: numHiddenLayers }, (_, layer) => `layers.${layer}.neurons.threshold`);
  const plan: SparsityPlan = {
    method: 'every-third',
    masks: [{ at: ['neurons'], kind: 'magnitude', perChannel: true }],
    expected: { density: { neurons: Math.ceil(intermediateSize / 3) / intermediateSize } },
  };
  const tensors = new Map(layers.map((name): [string, PlanTensor] => [name, { shape: [intermediateSize], values }]));
  return { plan, tensors };
}

// ---------------------------------------------------------------------------------------------------------------------

test('every third neuron is kept, computed and read, and no other', async () => {
  const config = { ...tinyConfig, hidden_act: 'silu', num_hidden_layers: 2 };
  const files = await randomModel(config);
  const { plan, tensors } = everyThird(parseConfig(config).spec);
  const folder = await planFolder(plan, tensors);
  const backend = createReferenceBackend();
  const model = await loadModel(files, { backend, plan: folder });
  const ids = [1, 2, 3, 4];
  const { captured } = await model.forward(ids, { capture: ['neurons.1'] });
  const neurons = captured['neurons.1'] as Float32Array;
  expect([...neurons].map((value) => value !== 0)).toEqual([...neurons].map((_, i) => (i % 32) % 3 === 0));
  const { stats } = await model.generate(ids, { maxNewTokens: 3, temperature: 0, stopTokenIds: [] }).result;
  expect(stats.density.up).toEqual([11 / 32, 11 / 32]);
  expect(stats.density.down).toEqual([11 / 32, 11 / 32]);
  expect(plan.expected?.density).toEqual({ neurons: 11 / 32 });
  await model.dispose();
});
