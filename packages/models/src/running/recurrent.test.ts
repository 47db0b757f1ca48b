// What a recurrent state asks of whoever keeps sequences: it goes on from its end or begins anew, whoever shares a step, a
// slot or a prefix with it; and what is refused of such a model.
import { type ModelFiles, streamGguf } from '@relufy/checkpoint';
import { nativeAvailability } from '@relufy/native';
import { expect, it, test } from 'vitest';
import { type LoadOptions, loadModel, type Model, parseConfig, relufy, type SparsityPlan } from '../node.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';

const config = {
  model_type: 'rwkv',
  hidden_size: 32,
  attention_hidden_size: 24,
  num_hidden_layers: 2,
  vocab_size: 40,
  context_length: 64,
};
const poisoned = 39;
const files: ModelFiles = await randomModel(config, (tensors) => {
  const data = (ending: string) => [...tensors].find(([name]) => name.endsWith(ending))?.[1].data as Float32Array;
  for (const [name, tensor] of tensors)
    if (/ln.*weight$/.test(name)) for (let i = 0; i < tensor.data.length; i++) tensor.data[i]! += 1;
  // one token has a large first channel, by which one neuron of the first layer leaves f32
  data('embeddings.weight').forEach((_, i, all) => {
    if (Math.floor(i / 32) === poisoned) all[i] = i % 32 === 0 ? 1 : 0;
    else if (i % 32 === 0) all[i] = 0;
  });
  // and no answer has it
  data('head.weight').fill(0, poisoned * 32);
  data('pre_ln.weight')[0] = 4;
  for (const bias of ['pre_ln.bias', 'blocks.0.ln2.bias']) data(bias)[0] = 0;
  for (const weight of ['blocks.0.ln2.weight', 'blocks.0.feed_forward.time_mix_key']) data(weight)[0] = 1;
  data('blocks.0.feed_forward.key.weight').fill(0, 0, 32)[0] = 6e18;
  data('blocks.0.feed_forward.value.weight').forEach((_, i, all) => {
    if (i % 128 === 0) all[i] = 0;
  });
});
const native = nativeAvailability();
const backends: readonly LoadOptions[] = [
  { backend: 'reference' },
  { backend: 'wasm', threads: 2 },
  ...(native.available ? [{ backend: 'native', threads: 2 } as const] : []),
];
const load = (options: LoadOptions = {}) => loadModel(files, { backend: 'wasm', threads: 2, ...options });

const greedy = { maxNewTokens: 12, temperature: 0, stopTokenIds: [], logprobs: true } as const;
const prompt = (seed: number, length = 9) => Array.from({ length }, (_, i) => (seed * 7 + i * i * 3 + i) % 39);

async function answer(model: Model, ids: readonly number[], options = {}) {
  const pieces: number[] = [];
  const stream = model.generate(ids, { ...greedy, ...options });
  for await (const { logprob } of stream) pieces.push(logprob as number);
  const { tokenIds, usage } = await stream.result;
  return { tokenIds: [...tokenIds], logprobs: pieces, cached: usage.cachedTokens };
}

it.each(backends)('tokens one by one are what one pass over all of them gives: $backend', async (options) => {
  await using model = await load(options);
  const ids = prompt(1);
  const { tokenIds, logprobs } = await answer(model, ids);
  const { logprobs: whole } = await model.score([...ids, ...tokenIds]);
  for (const [i, logprob] of logprobs.entries()) expect(whole[ids.length + i]).toBeCloseTo(logprob, 5);
  const { logits } = await model.forward([...ids, ...tokenIds.slice(0, 5)]);
  expect(logits.indexOf(Math.max(...logits))).toBe(tokenIds[5]);
});

test('a slot goes on from its end, and begins anew where a prompt parts from it before', async () => {
  await using model = await load();
  await using fresh = await load({ waitingBytes: 0 });
  const first = await answer(model, prompt(1));
  const whole = [...prompt(1), ...first.tokenIds];
  for (const [ids, cached] of [
    // the last token of an answer has not been computed
    [[...whole, 5, 6], whole.length - 1],
    [[...whole.slice(0, -4), 5, 6], 0],
    [prompt(1), 0],
    [prompt(1), 0],
    [prompt(1).slice(0, 4), 0],
  ] as const) {
    const got = await answer(model, ids);
    expect(got.cached).toBe(cached);
    await fresh.forward([1, 2, 3]);
    expect(got).toEqual({ ...(await answer(fresh, ids)), cached });
  }
});

test('conversations that alternate find their state again, and no other', async () => {
  await using model = await load();
  const said = [1, 2, 3].map((seed) => prompt(seed));
  for (let turn = 0; turn < 3; turn++)
    for (const [i, ids] of said.entries()) {
      const { tokenIds, cached } = await answer(model, ids, { maxNewTokens: 4 });
      expect(cached).toBe(turn === 0 ? 0 : ids.length - 3);
      await using alone = await load();
      expect((await answer(alone, ids, { maxNewTokens: 4 })).tokenIds).toEqual(tokenIds);
      said[i] = [...ids, ...tokenIds, 7, 8];
    }
});

test('sequences that share steps give what each gives alone', async () => {
  await using model = await load({ slots: 3 });
  const prompts = [1, 1, 2, 3, 4].map((seed, i) => prompt(seed, 3 + 11 * (i % 3)));
  const together = await Promise.all(prompts.map((ids) => answer(model, ids)));
  for (const [i, ids] of prompts.entries()) {
    await using alone = await load();
    expect(together[i]).toEqual({ ...(await answer(alone, ids)), cached: together[i]?.cached });
  }
});

test.each([1, 2, 4])('continuations of a context, with %i slots', async (slots) => {
  await using model = await load({ slots });
  const context = prompt(5);
  const continuations = [[3], [4, 5, 6], [4, 5, 7, 8], [1, 2]];
  const requests = [
    { context, continuations },
    { context: [...context, 11, 12], continuations: [[3, 4]] },
    { context: [9], continuations: [[1], [2, 3]] },
  ];
  const scores = await model.scoreBatch(requests);
  for (const [i, request] of requests.entries())
    for (const [j, continuation] of request.continuations.entries()) {
      const { logprobs } = await model.score([...request.context, ...continuation]);
      const own = scores[i]?.[j]?.logprobs as Float32Array;
      expect([...own]).toEqual([...logprobs.subarray(request.context.length)]);
    }
  expect(await model.scoreBatch(requests)).toEqual(scores);
});

test('a token that leaves f32 is refused by its layer, and others that share its step go on', async () => {
  await using model = await load({ slots: 3 });
  await using alone = await load();
  const bad = [...prompt(2, 20), poisoned, 1];
  await expect(model.score(bad)).rejects.toThrow(/^layer 0: .*expected finite numbers/);
  const others = [1, 3].map((seed) => answer(model, prompt(seed, 20)));
  await expect(answer(model, bad)).rejects.toThrow(/expected finite numbers/);
  for (const [i, seed] of [1, 3].entries())
    expect((await others[i])?.tokenIds).toEqual((await answer(alone, prompt(seed, 20))).tokenIds);
});

test('an answer that is aborted leaves a state that is gone on from', async () => {
  await using model = await load();
  await using alone = await load();
  const controller = new AbortController();
  const stream = model.generate(prompt(1), { ...greedy, signal: controller.signal, onAbort: 'return' });
  let seen = 0;
  for await (const _ of stream) if (++seen === 3) controller.abort();
  const { tokenIds } = await stream.result;
  const next = [...prompt(1), ...tokenIds, 4];
  const got = await answer(model, next);
  expect(got.cached).toBe(next.length - 2);
  expect(got.tokenIds).toEqual((await answer(alone, next)).tokenIds);
});

test('windows of reuse, by generation and by whole passes, dense and exact', async () => {
  await using model = await load({ reuse: true });
  const reuse = { interval: 3 };
  const ids = prompt(1);
  const { tokenIds } = await answer(model, ids, { reuse });
  expect((await answer(model, ids, { reuse, sparsity: 'dense' })).tokenIds).toEqual(tokenIds);
  const sequence = { ...reuse, prompt: ids.length };
  for (const n of [0, 4, 11]) {
    const { logits } = await model.forward([...ids, ...tokenIds.slice(0, n)], { reuse: sequence });
    expect(logits.indexOf(Math.max(...logits))).toBe(tokenIds[n]);
  }
});

test('the state takes the same room for any context, and a context may be longer than that of training', async () => {
  await using short = await load({ contextLength: 32 });
  await using long = await load({ contextLength: 4096 });
  const ids = prompt(1, 200);
  expect((await long.score(ids)).logprobs.at(-1)).toBeLessThan(0);
  // a step of more rows has larger activations, and that is all
  expect(long.memoryBytes - short.memoryBytes).toBeLessThan(1 << 20);
});

const plan: SparsityPlan = {
  method: 'hard-shrink',
  masks: (['k', 'receptance', 'v', 'o', 'ffnReceptance', 'up', 'down'] as const).map((place) => ({
    at: [place],
    kind: 'magnitude',
  })),
};

test.each(backends)('a plan at all seven inputs: exact as dense, and less is read: $backend', async (options) => {
  const { spec } = parseConfig(config);
  const folder = await planFolder(
    plan,
    planTensors(spec, plan, () => 0.3),
  );
  const run = async (sparsity: 'exact' | 'dense') => {
    await using model = await load({ ...options, plan: folder, sparsity });
    const result = await answer(model, prompt(1));
    const { logits } = await model.forward(prompt(2), { logits: 'all' });
    return { result, logits, stats: model.stats() };
  };
  const [exact, dense] = [await run('exact'), await run('dense')];
  expect([exact.result, exact.logits]).toEqual([dense.result, dense.logits]);
  for (const site of ['k', 'receptance', 'v', 'o', 'ffnReceptance', 'upGate', 'down'] as const) {
    expect(Math.max(...(exact.stats.density[site] ?? []))).toBeLessThan(1);
    expect(dense.stats.density[site]).toEqual([1, 1]);
  }
  expect(exact.stats.weightBytesPerToken).toBeLessThan(0.9 * dense.stats.weightBytesPerToken);
});

test('what such a model does not have is refused', async () => {
  const { spec } = parseConfig(config);
  expect(() => relufy(spec, { stage: 2 })).toThrow('relufy "stage": stage 2 puts a ReLU after the norms');
  expect(relufy(spec, { stage: 1 })).toEqual(spec);
  const wrong: SparsityPlan = { method: 'teal', masks: [{ at: ['q'], kind: 'magnitude' }] };
  await expect(load({ plan: await planFolder(wrong, new Map()) })).rejects.toThrow(
    'masks: expected places of this model (k, receptance, v, o, ffnReceptance, up, down), got "q"',
  );
  await expect(streamGguf(files, { type: 'f32' }).next()).rejects.toThrow('for GGUF, got "rwkv"');
});

it("the norm before the head keeps the library's epsilon, whatever the config says of the others", async () => {
  const wide = await randomModel({ ...config, layer_norm_epsilon: 100 }, (tensors) => {
    for (const [name, { data }] of tensors)
      if (/ln_out\.(weight|bias)$/.test(name)) data.fill(/weight$/.test(name) ? 1 : 0);
  });
  await using model = await loadModel(wide, { backend: 'reference' });
  const { captured } = await model.forward(prompt(1), { capture: ['hidden.2'] });
  const last = (captured['hidden.2'] as Float32Array).subarray(-config.hidden_size);
  const meanSquare = last.reduce((sum, x) => sum + x * x, 0) / last.length;
  expect(meanSquare).toBeCloseTo(1, 1);
});
