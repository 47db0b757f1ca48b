// A real chat model from a GGUF file (SmolLM2-135M-Instruct, Q4_1): what the Hugging Face implementation computes from
// the same weights. Its tokenizer and chat template come out of the file.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { nativeAvailability } from '@relufy/native';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { loadModel, type Model } from './node.js';

const folder = 'models/smollm2-135m-instruct';
const backends: readonly ('native' | 'wasm')[] = nativeAvailability().available ? ['native', 'wasm'] : ['wasm'];

describeShared('SmolLM2-135M-Instruct', `${folder}/golden.json`, () => {
  const golden = JSON.parse(readFileSync(shared(`${folder}/golden.json`), 'utf8'));
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(shared(folder), { dtype: 'f32', threads: 2 });
  });
  afterAll(() => model.dispose());

  it('answers with the same greedy texts', async () => {
    for (const { user, rendered, input_ids, greedy_ids, greedy_text } of golden.prompts) {
      const messages = [{ role: 'user', content: user }] as const;
      expect(model.tokenizer?.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(rendered);
      expect(model.tokenizer?.encodeChat(messages, { addGenerationPrompt: true })).toEqual(input_ids);
      const { tokenIds } = await model.generate(messages, { maxNewTokens: greedy_ids.length, temperature: 0 }).result;
      expect(tokenIds).toEqual(greedy_ids);
      expect(model.decode(tokenIds)).toBe(greedy_text);
    }
  });

  it(`has the same loss on ${golden.wikitext2 ? 'WikiText-2' : golden.validation.text}`, async () => {
    if (golden.wikitext2 === undefined) {
      const { ids, nll } = golden.validation;
      const { logprobs } = await model.score(ids);
      const mean = -logprobs.subarray(1).reduce((a, b) => a + b, 0) / (logprobs.length - 1);
      expect(Math.abs(mean - nll)).toBeLessThan(2e-4);
      return;
    }
    const text = gunzipSync(readFileSync(shared('eval/wikitext2/wiki.test.raw.gz'))).toString('utf8');
    const ids = (await model.encode(text.slice(0, 40_000), { addSpecialTokens: false })).slice(0, 4096);
    expect(ids.slice(0, 32)).toEqual(golden.wikitext2.first_ids);
    // the last of the four windows: the others are as good, and take as long
    for (const window of [3]) {
      const expected = golden.wikitext2.nll_per_window[window];
      const { logprobs } = await model.score(ids.slice(window * 1024, (window + 1) * 1024));
      const nll = -logprobs.subarray(1).reduce((a, b) => a + b, 0) / (logprobs.length - 1);
      expect(Math.abs(nll - expected)).toBeLessThan(2e-4);
    }
  }, 300_000); // 1,024 tokens through 135 M weights: about 8 s on two quiet cores
});

// Weights as stored are multiplied in integers with x in bytes, a scale a block of 32: on every backend the same rounding, by the
// definition of `quantize`. It moves a token's log-probability by 0.03 to 0.08 on average here, 0.1 to 0.2 at most.
describeShared('SmolLM2-135M-Instruct as stored', `${folder}/golden.json`, () => {
  it.each(backends)('%s: loses no more to bytes of x than the definition does', async (backend) => {
    const logprobs = async (dtype: 'f32' | 'auto') => {
      const model = await loadModel(shared(folder), { dtype, threads: 2, backend });
      try {
        const ids = await model.encode(
          'The capital of France is Paris, and the largest city in Germany is Berlin. In the morning she walked down',
        );
        return (await model.score(ids)).logprobs.subarray(1);
      } finally {
        await model.dispose();
      }
    };
    const [exact, stored] = [await logprobs('f32'), await logprobs('auto')];
    const off = Array.from(stored, (value, i) => Math.abs(value - (exact[i] as number)));
    expect(off.reduce((sum, one) => sum + one, 0) / off.length).toBeLessThan(0.12);
    expect(Math.max(...off)).toBeLessThan(0.6);
    // it is rounded, though
    expect(Math.max(...off)).toBeGreaterThan(1e-3);
  });
});
