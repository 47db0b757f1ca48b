// A model that drafts by a sparsity plan answers as the whole model does, in whatever way the plan has its weights laid out.
import { nativeAvailability } from '@relufy/native';
import { expect, test } from 'vitest';
import { loadModel, parseConfig, type SparsityPlan } from '../node.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';

const backends = ['wasm', ...(nativeAvailability().available ? (['native'] as const) : [])] as const;
const silu = { ...tinyConfig, num_hidden_layers: 2, hidden_act: 'silu', max_position_embeddings: 128 };
const prompt = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];

/** Thresholds low enough for drafts that are right now and then. */
const numberAt = (buffer: string, index: number): number => {
  if (buffer.endsWith('.threshold')) return buffer.includes('predictor') ? -1 : 0.1;
  return Math.sin(index * 12.9898 + buffer.length) / 4;
};

const plans: Readonly<Record<string, { config: object; plan: Omit<SparsityPlan, 'method'> }>> = {
  'masks that cut queries, keys and values apart': {
    config: silu,
    plan: {
      masks: (['q', 'k', 'v', 'o', 'gate', 'up', 'down'] as const).map((place) => ({ at: [place], kind: 'magnitude' })),
      denseTokens: 4,
    },
  },
  'neurons by threshold': { config: silu, plan: { masks: [{ at: ['neurons'], kind: 'magnitude' }] } },
  'low rank beside the largest': {
    config: silu,
    plan: {
      masks: [{ at: ['q', 'k', 'v'], kind: 'magnitude' }],
      lowRank: [{ at: ['q', 'k', 'v'], rank: [2, 2], input: 'remainder' }],
    },
  },
  'a predictor before a ReLU': { config: { ...silu, hidden_act: 'relu' }, plan: { predictor: { rank: [4, 4] } } },
  'sign bits before a ReLU': {
    config: { ...silu, hidden_act: 'relu' },
    plan: { predictor: { kind: 'signs', alpha: [100, 110] } },
  },
  'masks beside the ReLUs of stage 2': {
    config: { ...silu, hidden_act: 'relu', model_type: 'relufy_llama', relufy: { stage: 2 } },
    plan: { masks: [{ at: ['o'], kind: 'magnitude' }] },
  },
};

const filesOf = async (config: object, rest: Omit<SparsityPlan, 'method'>) => {
  const plan: SparsityPlan = { method: 'test', ...rest };
  const folder = await planFolder(plan, planTensors(parseConfig(config).spec, plan, numberAt));
  return { files: await randomModel(config), folder };
};

test.each(Object.entries(plans))('drafts by %s', async (_, { config, plan }) => {
  const { files, folder } = await filesOf(config, plan);
  const greedy = { maxNewTokens: 60, temperature: 0, stopTokenIds: [], logprobs: 1 };
  for (const backend of backends) {
    const results = [];
    for (const options of [{}, { draftPlan: folder }, { draftPlan: folder, speculate: 'plan' as const }]) {
      await using model = await loadModel(files, { backend, ...options });
      const { logits } = await model.forward(prompt);
      const stream = model.generate(prompt, {
        ...greedy,
        ...(options.speculate && { speculate: { draft: 'plan', adaptive: false, tokens: 3 } }),
      });
      const pieces = [];
      for await (const piece of stream) pieces.push(piece);
      results.push({ logits, pieces, stats: (await stream.result).stats });
    }
    const [whole, laidOut, drafted] = results as [(typeof results)[0], (typeof results)[0], (typeof results)[0]];
    // transposed weights are summed in another order
    laidOut.logits.forEach((logit, i) => {
      expect(logit).toBeCloseTo(whole.logits[i] as number, 4);
    });
    expect(drafted.logits).toEqual(laidOut.logits);
    expect(drafted.pieces).toEqual(laidOut.pieces);
    expect(drafted.stats.speculation!.steps).toBeGreaterThan(10);
    expect(drafted.stats.speculation!.accepted).toBeGreaterThan(0);
  }
});

test('a plan that reuses neurons is refused where the model is loaded to speculate, before anything is allocated', async () => {
  const { files, folder } = await filesOf({ ...silu, hidden_act: 'relu' }, { reuse: { interval: 2 } });
  await expect(loadModel(files, { plan: folder, speculate: 'prompt' })).rejects.toThrow(
    /"plan" and "speculate".*reuses/,
  );
  await using model = await loadModel(files, { plan: folder, speculate: false, backend: 'reference' });
  expect((await model.generate([1], { maxNewTokens: 2, stopTokenIds: [] }).result).tokenIds).toHaveLength(2);
});

test('a plan to answer by and one to draft by exclude each other', async () => {
  const { files, folder } = await filesOf(silu, { masks: [{ at: ['down'], kind: 'magnitude' }] });
  await expect(loadModel(files, { plan: folder, draftPlan: folder })).rejects.toThrow('expected one of them, got both');
  await using model = await loadModel(files, { backend: 'reference' });
  await expect(model.generate([1], { speculate: 'plan' }).result).rejects.toThrow('got "plan" without one');
});
