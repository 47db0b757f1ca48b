// Trained models reproduce their golden.json, written by the Hugging Face implementation: prompts through the chat template,
// greedy texts, best next tokens, and the loss of a text. Those of ../shared/models, or without it the bundled model and the
// golden.json that tools/goldens made of it.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { logSumExp, topIndices } from './generation/sampling.js';
import { loadModel, type Model } from './node.js';

interface GoldenPrompt {
  readonly user: string;
  readonly input_ids: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  readonly next_top10: readonly (readonly [id: number, logprob: number])[];
}

interface Golden {
  readonly prompts: readonly GoldenPrompt[];
  readonly validation: {
    readonly nll: number;
    /** One window; else windows of 512 in valid-ids.u16. */
    readonly ids?: readonly number[];
    readonly down_density_per_layer: readonly number[];
  };
}

for (const name of ['llama-tales', 'opt-tales', 'falcon-tales']) {
  const folder = `models/${name}`;
  describeShared(name, `${folder}/golden.json`, () => {
    let model: Model;
    let golden: Golden;
    beforeAll(async () => {
      golden = JSON.parse(readFileSync(shared(`${folder}/golden.json`), 'utf8'));
      model = await loadModel(shared(folder), { threads: 2 });
    });
    afterAll(() => model.dispose());

    it('writes the same greedy texts', async () => {
      for (const prompt of golden.prompts) {
        const messages = [{ role: 'user', content: prompt.user }] as const;
        expect(model.tokenizer?.encodeChat(messages, { addGenerationPrompt: true })).toEqual(prompt.input_ids);
        const stream = model.generate(messages, { maxNewTokens: prompt.greedy_ids.length, temperature: 0 });
        const { tokenIds, text } = await stream.result;
        expect(tokenIds).toEqual(prompt.greedy_ids);
        expect(model.decode(tokenIds)).toBe(prompt.greedy_text);
        expect(text).toBe(prompt.greedy_text.replace('<|end|>', ''));
      }
    });

    it('agrees on the ten best next tokens', async () => {
      for (const prompt of golden.prompts) {
        const { logits } = await model.forward(prompt.input_ids);
        const total = logSumExp(logits);
        expect(topIndices(logits, 10)).toEqual(prompt.next_top10.map(([id]) => id));
        for (const [id, logprob] of prompt.next_top10)
          expect(Math.abs((logits[id] as number) - total - logprob)).toBeLessThan(1e-4);
      }
    });

    it('has the same loss on a text', async () => {
      const ids = Uint16Array.from(golden.validation.ids ?? readIds(shared(`${folder}/valid-ids.u16`)));
      expect(ids.length % 512).toBe(0);
      let sum = 0;
      for (let at = 0; at < ids.length; at += 512) {
        const { logprobs } = await model.score(ids.subarray(at, at + 512));
        expect(logprobs[0]).toBeNaN();
        sum -= logprobs.subarray(1).reduce((a, b) => a + b, 0) / 511;
      }
      expect(Math.abs(sum / (ids.length / 512) - golden.validation.nll)).toBeLessThan(1e-4);
    });

    it('is as sparse', async () => {
      if (model.sparsity !== 'exact') return;
      // density while decoding, over the greedy texts; the golden one is over held-out text, so only roughly the same
      model.resetStats();
      for (const { user } of golden.prompts)
        await model.generate([{ role: 'user', content: user }], { maxNewTokens: 60, temperature: 0 }).result;
      const { density, weightBytesPerToken, denseWeightBytesPerToken } = model.stats();
      golden.validation.down_density_per_layer.forEach((expected, layer) => {
        expect(density.down[layer]).toBeGreaterThan(expected / 3);
        expect(density.down[layer]).toBeLessThan(expected * 3);
      });
      expect(weightBytesPerToken).toBeLessThan(denseWeightBytesPerToken);
    });
  });
}

function readIds(path: string): Uint16Array {
  const bytes = readFileSync(path);
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}
