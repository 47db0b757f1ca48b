// Reuse of neurons beyond its golden case: which token stands in which phase, a generation against whole passes over the same
// tokens, what is left in the cache, plans that say it, SiLU under a plan of CETT, and what is refused.
import { expect, test } from 'vitest';
import {
  type ContinuationScore,
  loadModel,
  type Model,
  parseConfig,
  parsePlan,
  planJson,
  type SparsityPlan,
} from '../node.js';
import { planFolder, planTensors } from '../testing/plan-files.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';
import { stepSpans } from './reuse.js';

const config = { ...tinyConfig, num_hidden_layers: 2, intermediate_size: 64 };
const prompt = [3, 1, 4, 1, 5];
const greedy = { temperature: 0, stopTokenIds: [] } as const;

const phasesOf = (tokens: number, mostRows: number, interval: number, first: number) =>
  [...stepSpans(0, tokens, mostRows, { interval, prompt: first })].flatMap(({ from, to, phase = 'dense' }) =>
    Array.from({ length: to - from }, () => phase),
  );

test('phases, worked out by hand, however steps are cut', () => {
  const phases = ['dense', 'load', 'load', 'reuse', 'reuse', 'load', 'load', 'reuse'];
  for (const mostRows of [1, 2, 3, 100]) expect(phasesOf(phases.length, mostRows, 2, 1)).toEqual(phases);
});

test('to warm up, the last window of the prompt loads, and of a shorter prompt all of it', () => {
  const phases = (tokens: number, mostRows: number, reuse: { interval: number; prompt: number; warmUp: boolean }) =>
    [...stepSpans(0, tokens, mostRows, reuse)].flatMap(({ from, to, phase = 'dense', forgets }) =>
      Array.from({ length: to - from }, (_, i) => (forgets && i === 0 ? `${phase} anew` : phase)),
    );
  for (const mostRows of [1, 2, 100]) {
    expect(phases(9, mostRows, { interval: 2, prompt: 4, warmUp: true })).toEqual(
      ['dense', 'dense', 'load anew', 'load', 'reuse', 'reuse', 'load anew', 'load', 'reuse'], // by hand
    );
    expect(phases(5, mostRows, { interval: 3, prompt: 1, warmUp: true })).toEqual(
      ['load anew', 'reuse', 'reuse', 'reuse', 'load anew'], // by hand
    );
    expect(phases(3, mostRows, { interval: 2, prompt: 0, warmUp: true })).toEqual(['load anew', 'load', 'reuse']);
  }
});

test('a window that loads forgets once, at its beginning, wherever the steps begin', () => {
  const forgets = (from: number) =>
    [...stepSpans(from, 20, 2, { interval: 3, prompt: 2 })].flatMap((span) => (span.forgets ? [span.from] : []));
  expect(forgets(0)).toEqual([2, 8, 14]);
  expect(forgets(3)).toEqual([8, 14]);
  expect([...stepSpans(0, 5, 2)]).toEqual([
    { from: 0, to: 2 },
    { from: 2, to: 4 },
    { from: 4, to: 5 },
  ]);
});

const argmax = (logits: Float32Array): number => logits.indexOf(Math.max(...logits));

/** What whole passes over the tokens so far choose, one after the other. */
async function byPasses(
  model: Model,
  reuse: { readonly interval: number; readonly warmUp?: boolean },
  tokens: number,
  begin: readonly number[] = prompt,
): Promise<number[]> {
  const ids = [...begin];
  for (let i = 0; i < tokens; i++)
    ids.push(argmax((await model.forward(ids, { reuse: { ...reuse, prompt: begin.length } })).logits));
  return ids.slice(begin.length);
}

test('warmed up on the prompt, a generation chooses what whole passes choose, in a second turn too', async () => {
  const files = await randomModel({ ...config, hidden_act: 'relu' });
  await using model = await loadModel(files, { backend: 'wasm', reuse: true });
  const plain = await model.generate(prompt, { maxNewTokens: 14, ...greedy }).result;
  let differs = false;
  for (const interval of [1, 2, 3, 16]) {
    const reuse = { interval, warmUp: true };
    const { tokenIds, stats } = await model.generate(prompt, { maxNewTokens: 14, ...greedy, reuse }).result;
    expect(tokenIds).toEqual(await byPasses(model, reuse, 14));
    expect(stats.density.down[0]).toBeLessThan(1);
    differs ||= tokenIds.join() !== plain.tokenIds.join();
    // the earlier turn is a part of the prompt: its last tokens load, though the slot held all but them
    const second = [...prompt, ...tokenIds, 7, 8];
    const answer = await model.generate(second, { maxNewTokens: 9, ...greedy, reuse }).result;
    expect(answer.tokenIds).toEqual(await byPasses(model, reuse, 9, second));
    // a prompt that was computed before is marked again
    const again = await model.generate(second, { maxNewTokens: 9, ...greedy, reuse }).result;
    expect(again.tokenIds).toEqual(answer.tokenIds);
  }
  expect(differs).toBe(true);
});

test('a generation chooses what whole passes choose, and leaves nothing behind that was computed by some neurons', async () => {
  const files = await randomModel({ ...config, hidden_act: 'relu' });
  const options = { backend: 'wasm', reuse: true } as const;
  const [model, fresh] = [await loadModel(files, options), await loadModel(files, options)];
  const plain = await model.generate(prompt, { maxNewTokens: 14, ...greedy }).result;
  for (const interval of [1, 3, 16]) {
    const { tokenIds } = await model.generate(prompt, { maxNewTokens: 14, ...greedy, reuse: { interval } }).result;
    expect(tokenIds).toEqual(await byPasses(model, { interval }, 14));
    const longer = [...prompt, ...tokenIds.slice(0, 6)];
    const answer = async (of: Model) => (await of.generate(longer, { maxNewTokens: 5, ...greedy }).result).tokenIds;
    expect(await answer(model)).toEqual(await answer(fresh));
  }
  expect((await model.generate(prompt, { maxNewTokens: 14, ...greedy }).result).tokenIds).toEqual(plain.tokenIds);
  const { logprobs } = await model.score(plain.tokenIds);
  expect((await model.score(plain.tokenIds, { reuse: { interval: 99 } })).logprobs).toEqual(logprobs);
  expect((await model.score(plain.tokenIds, { reuse: { interval: 2 } })).logprobs).not.toEqual(logprobs);
  await model.dispose();
  await fresh.dispose();
});

test('a plan that reuses neurons holds for continuations: their context is the prompt', async () => {
  const files = await randomModel({ ...config, hidden_act: 'relu', max_position_embeddings: 16 });
  const reuse = { interval: 2, warmUp: true };
  const plan = await planFolder({ method: 'reuse', reuse }, new Map());
  await using model = await loadModel(files, { backend: 'wasm', plan, slots: 3 });
  const continuations = [
    [7, 8, 9, 10, 11],
    [2, 7, 1],
    Array.from({ length: 12 }, (_, i) => 3 + i), // with its context one token more than the context length
  ];
  const scores = await model.scoreContinuations(prompt, continuations);
  const whole = await loadModel(files, { backend: 'wasm', reuse: true });
  for (const [i, continuation] of continuations.entries()) {
    const ids = [...prompt, ...continuation];
    const { logprobs, isGreedy } = await whole.score(ids.slice(0, 16), { reuse: { ...reuse, prompt: prompt.length } });
    const { logprobs: own, logprob, isGreedy: all } = scores[i] as ContinuationScore;
    expect(own.subarray(0, 16 - prompt.length)).toEqual(logprobs.subarray(prompt.length, ids.length));
    expect(logprob).toBeCloseTo(own.reduce((sum, value) => sum + value, 0));
    expect(all).toBe(isGreedy.slice(prompt.length).every(Boolean));
  }
  const [plain] = await whole.scoreContinuations(prompt, continuations);
  expect(scores[0]?.logprobs).not.toEqual(plain?.logprobs);
  await whole.dispose();
});

test('only what was loaded is read, and bits do not depend on how it is executed, for SiLU with a mask too', async () => {
  const silu = { ...config, hidden_act: 'silu' };
  const plan: SparsityPlan = {
    method: 'cett',
    masks: [{ at: ['down'], kind: 'magnitude', keepsTies: true }],
    reuse: { interval: 2 },
  };
  expect(parsePlan('p', planJson(plan))).toEqual(plan);
  const warm = { ...plan, reuse: { interval: 2, warmUp: true } };
  expect(parsePlan('p', planJson(warm))).toEqual(warm);
  const tensors = planTensors(parseConfig(silu).spec, plan, () => 0.15);
  const folder = await planFolder(plan, tensors);
  const files = await randomModel(silu);
  const run = async (sparsity: 'exact' | 'dense', dtype: 'f32' | 'int8') => {
    const model = await loadModel(files, { backend: 'wasm', threads: 2, dtype, sparsity, plan: folder });
    const { logprobs, captured } = await model.score([...prompt, ...prompt], { capture: ['down.0', 'down.1'] });
    const { tokenIds, stats } = await model.generate(prompt, { maxNewTokens: 9, ...greedy }).result;
    await model.dispose();
    return { result: { logprobs, captured, tokenIds }, density: stats.density };
  };
  for (const dtype of ['f32', 'int8'] as const) {
    const [exact, dense] = [await run('exact', dtype), await run('dense', dtype)];
    expect(exact.result).toEqual(dense.result);
    // gates are read whole but in windows that reuse
    for (const share of [...exact.density.upGate, ...exact.density.up]) expect(share).toBeLessThan(1);
    expect(dense.density.upGate).toEqual([1, 1]);
  }
  const down = (await run('exact', 'f32')).result.captured['down.1'] as Float32Array;
  const used = (row: number) => Array.from(down.subarray(row * 64, (row + 1) * 64), (value) => value !== 0);
  for (const row of [2, 3, 6, 7]) {
    const loaded = used(row - (row % 2) - 2).map((one, i) => one || used(row - (row % 2) - 1)[i]);
    expect(used(row).every((one, i) => !one || loaded[i])).toBe(true);
  }
});

test.each<[object, string]>([
  [{ interval: 0 }, 'generate reuse "interval": expected a whole number >= 1, got 0.'],
  [{}, 'generate reuse "interval": expected a whole number >= 1, got undefined.'],
  [{ interval: 2, prompt: 1 }, 'generate reuse option "prompt": unknown. Expected one of interval, warmUp.'],
  [{ interval: 2, gamma: 1 }, 'generate reuse option "gamma": unknown.'],
])('refused: %j', async (reuse, message) => {
  const model = await loadModel(await randomModel(config), { backend: 'reference' });
  await expect(model.generate(prompt, { reuse: reuse as { interval: number } }).result).rejects.toThrow(message);
  await expect(model.score(prompt, { reuse: { interval: 1, prompt: -1 } })).rejects.toThrow('"prompt": expected');
  await expect(model.score(prompt, { reuse: { interval: 1 } })).rejects.toThrow(
    'score reuse: expected a model that was loaded with { reuse: true }, or with a plan that says so, got one without.',
  );
  await model.dispose();
});

test('marks take room in models that may reuse, and in no others', async () => {
  const files = await randomModel(config);
  const bytes = async (reuse: boolean) => {
    await using model = await loadModel(files, { backend: 'reference', slots: 3, reuse });
    return model.memoryBytes;
  };
  expect((await bytes(true)) - (await bytes(false))).toBe(4 * 64 * 2 * 3);
});
