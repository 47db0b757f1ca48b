// Neurons of a prompt: as many are read as were asked for, the prompt stays as the dense model computed it, and a model
// without the plan is refused.
import { loadModel } from '@relufy/models';
import { expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { keepPromptNeurons, planFolder, promptNeuronsPlan } from './index.js';

describeShared('neurons of a prompt', 'golden/llama-silu', () => {
  const load = { dtype: 'f32', backend: 'wasm', threads: 1 } as const;
  const prompt = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26];
  const greedy = { maxNewTokens: 12, temperature: 0, stopTokenIds: [] } as const;

  it.each(['llama-silu', 'opt-gelu-untied'])('%s', async (name) => {
    const plain = await loadModel(shared(`golden/${name}`), load);
    const dense = await plain.generate(prompt, greedy).result;
    await expect(keepPromptNeurons(plain, prompt, { keep: 0.5 })).rejects.toThrow(
      /^keepPromptNeurons: expected a model loaded with promptNeuronsPlan, got no mask at (neurons|down)\. Load it/,
    );
    const model = await loadModel(shared(`golden/${name}`), {
      ...load,
      plan: await planFolder(promptNeuronsPlan(plain.spec)),
    });
    try {
      expect((await model.generate(prompt, greedy).result).tokenIds).toEqual(dense.tokenIds);
      await keepPromptNeurons(model, prompt, { keep: 0.5 });
      const { stats, usage } = await model.generate(prompt, greedy).result;
      for (const density of stats.density.down) expect(density).toBeCloseTo(0.5, 12);
      // all of the prompt but its last token comes from the cache
      expect(usage.cachedTokens).toBe(prompt.length - 1);
      await keepPromptNeurons(model, prompt, { keep: 1 });
      expect((await model.generate(prompt, greedy).result).tokenIds).toEqual(dense.tokenIds);
    } finally {
      await model.dispose();
      await plain.dispose();
    }
  });
});
