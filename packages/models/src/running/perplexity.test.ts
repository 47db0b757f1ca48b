import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadModel, perplexity, TokenLoss } from '../node.js';

const bundled = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));

it('is e to the mean of -log p, over tokens that something comes before', () => {
  const loss = new TokenLoss();
  loss.add(Float32Array.from([Number.NaN, -1, -3]));
  loss.add(Float32Array.from([Number.NaN, -2]));
  expect([loss.tokens, loss.mean, loss.perplexity]).toEqual([3, 2, Math.exp(2)]);
  loss.add(Float32Array.from([-6]), 0);
  expect([loss.tokens, loss.mean]).toEqual([4, 3]);
  loss.add(Float32Array.from([Number.NaN]), 4);
  expect(loss.tokens).toBe(4);
});

it('leaves out what is context, says how far it is, and stops when it is told to', async () => {
  const model = { score: async (ids: readonly number[]) => ({ logprobs: Float32Array.from(ids, (id) => -id) }) };
  const heard: number[] = [];
  const options = { context: 2, onProgress: (share: number) => heard.push(share) };
  expect(
    await perplexity(
      model,
      [
        [9, 9, 1, 2],
        [9, 9, 3],
      ],
      options,
    ),
  ).toBe(Math.exp(2));
  expect(heard).toEqual([0, 0.5]);
  await expect(perplexity(model, [[1, 2]], { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop');
});

it('scores and captures in one pass: the numbers of two', async () => {
  await using model = await loadModel(bundled);
  const text = 'Once upon a time there was a fox who lived in a forest with his friends. ';
  // more than one step
  const ids = (await model.encode(text.repeat(12))).slice(0, 150);
  const capture = ['hidden.0', 'qkv.1', 'down.3', 'preActivation.7', 'hidden.8'];
  const both = await model.score(ids, { capture });
  const { logprobs, isGreedy, captured } = await model.score(ids);
  expect([both.logprobs, both.isGreedy, captured]).toEqual([logprobs, isGreedy, {}]);
  expect(both.captured).toEqual((await model.forward(ids, { capture })).captured);
  expect(Object.keys(both.captured)).toEqual(capture);
  await expect(model.score(ids, { capture: ['down.8'] })).rejects.toThrowError(/capture "down.8": expected/);
});

it('tells the likeliest tokens of each place, by the same floats as the tokens themselves', async () => {
  await using model = await loadModel(bundled);
  const ids = await model.encode('Once upon a time there was a fox who lived in a forest.');
  const { logits } = await model.forward(ids, { logits: 'all' });
  const { vocabSize } = model.spec;
  const { logprobs, isGreedy, topLogprobs } = await model.score(ids, { topLogprobs: 3 });
  const plain = await model.score(ids);
  expect([isGreedy, topLogprobs[0], plain.topLogprobs[1]]).toEqual([plain.isGreedy, [], []]);
  for (let at = 1; at < ids.length; at++) {
    const row = logits.subarray((at - 1) * vocabSize, at * vocabSize);
    const best = [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number) || a - b).slice(0, 3);
    expect(topLogprobs[at]?.map(({ tokenId }) => tokenId)).toEqual(best);
    expect(logprobs[at]).toBeCloseTo(plain.logprobs[at] as number, 4);
    expect(topLogprobs[at]?.[0]?.logprob === logprobs[at]).toBe(isGreedy[at]);
  }
  expect(isGreedy.filter(Boolean).length).toBeGreaterThan(3);
});
