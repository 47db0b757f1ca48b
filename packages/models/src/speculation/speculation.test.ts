// Answers with drafts are the answers without: the same tokens, texts and logits, greedy and sampled, under every option that
// touches a choice or an end, whoever drafts.
import { fileURLToPath } from 'node:url';
import { nativeAvailability } from '@relufy/native';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { type GenerateOptions, loadModel, type Model, type Prompt } from '../node.js';
import { randomModel } from '../testing/random-model.js';
import { tinyConfig } from '../testing/tiny-folder.js';
import type { SpeculateOptions } from './options.js';

const bundled = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));
const backends = ['wasm' as const, ...(nativeAvailability().available ? (['native'] as const) : [])];
const always = { adaptive: false, tokens: 5 };

const story: Prompt = [{ role: 'user', content: 'Tell me a story about a fox. A fox, a fox, a fox.' }];
const requests: Readonly<Record<string, GenerateOptions>> = {
  greedy: { temperature: 0, logprobs: 2 },
  sampled: { seed: 7, temperature: 0.8, topP: 0.9, topK: 50, logprobs: true },
  penalties: { seed: 3, repetitionPenalty: 1.2, frequencyPenalty: 0.3, noRepeatNgramSize: 3, logitBias: { 300: 2 } },
  'a stop string': { temperature: 0, stop: [' and', 'the'] },
  'two tokens': { temperature: 0, maxNewTokens: 2 },
  'a schema': {
    seed: 1,
    jsonSchema: { type: 'object', properties: { a: { enum: ['fox fox fox', 'fox'] }, b: { type: 'boolean' } } },
  },
};

async function answer(model: Model, prompt: Prompt, options: GenerateOptions) {
  const pieces = [];
  const stream = model.generate(prompt, { maxNewTokens: 32, ...options });
  for await (const piece of stream) pieces.push(piece);
  const { stats, seed: _, ...result } = await stream.result;
  return { pieces, result: { ...result, usage: result.usage.completionTokens }, stats };
}

const same = ({ pieces, result }: Awaited<ReturnType<typeof answer>>) => ({ pieces, result });

describe.each(backends)('with drafts: %s', (backend) => {
  let model: Model;
  let smaller: Model;
  beforeAll(async () => {
    model = await loadModel(bundled, { backend, slots: 2, reuse: true });
    // the same tokens from other weights: near enough to be right now and then
    smaller = await loadModel(bundled, { backend, dtype: 'int4' });
  });
  afterAll(async () => {
    await model.dispose();
    await smaller.dispose();
  });
  const sources = { prompt: () => 'prompt', reuse: () => 'reuse', 'a model': () => smaller } as const;
  const cases = Object.keys(sources).flatMap((source) => Object.keys(requests).map((name) => [source, name] as const));

  it.each(cases)('from %s, an answer is the same: %s', async (source, name) => {
    const request = requests[name] as GenerateOptions;
    const plain = await answer(model, story, request);
    const draft = sources[source as keyof typeof sources]() as SpeculateOptions['draft'];
    const speculated = await answer(model, story, { ...request, speculate: { draft, ...always } });
    expect(same(speculated)).toEqual(same(plain));
    if (source !== 'prompt' && name !== 'two tokens') expect(speculated.stats.speculation?.drafted).toBeGreaterThan(3);
    // what the slot holds afterwards is as good as before
    expect(same(await answer(model, story, request))).toEqual(same(plain));
  });

  it('counts what was drafted, accepted and read', async () => {
    const greedy = { temperature: 0, maxNewTokens: 60, stopTokenIds: [] };
    const plain = await answer(model, story, greedy);
    const { stats } = await answer(model, story, { ...greedy, speculate: { draft: smaller, ...always } });
    const { drafted, accepted, acceptance, steps, plainSteps, unionDensity, rowDensity, ...ms } = stats.speculation!;
    expect(accepted).toBeGreaterThan(20);
    expect(accepted).toBeLessThanOrEqual(drafted);
    expect(acceptance).toBeGreaterThan(0.5);
    // the prompt's step gives one token, each other one token and what was accepted
    expect(1 + steps + plainSteps + accepted).toBe(60);
    expect(unionDensity).toBeGreaterThan(rowDensity!);
    expect(unionDensity).toBeLessThan(1);
    for (const value of Object.values(ms)) expect(value).toBeGreaterThanOrEqual(0);
    expect(stats.weightBytesPerToken).toBeGreaterThan(0);
    expect(stats.denseWeightBytesPerToken).toBeCloseTo(plain.stats.denseWeightBytesPerToken, 0);
  });

  it('goes on in company, where nobody drafts', async () => {
    const options = [requests.greedy, requests.sampled, requests.penalties] as GenerateOptions[];
    const alone = [];
    for (const one of options) alone.push(same(await answer(model, story, one)));
    const together = await Promise.all(
      options.map((one) => answer(model, story, { ...one, speculate: { draft: smaller, ...always } })),
    );
    expect(together.map(same)).toEqual(alone);
    expect(model.occupancy).toEqual({ running: 0, waiting: 0 });
    expect(smaller.occupancy).toEqual({ running: 0, waiting: 0 });
  });
});

test('an answer that fills the context, is aborted or is left ends as without', async () => {
  const files = await randomModel(tinyConfig);
  await using model = await loadModel(files, { backend: 'wasm', speculate: { draft: 'reuse' } });
  await using draft = await loadModel(files, { backend: 'wasm', contextLength: 20 });
  const prompt = [1, 2, 3, 1, 2];
  const greedy = { temperature: 0, stopTokenIds: [] };
  const plain = await answer(model, prompt, { ...greedy, speculate: false });
  expect(plain.result.finishReason).toBe('length');
  for (const source of ['prompt', 'reuse', draft] as const) {
    const speculate = { draft: source, ...always };
    const speculated = await answer(model, prompt, { ...greedy, speculate });
    expect(same(speculated)).toEqual(same(plain));
    const [stop] = plain.result.tokenIds.slice(9);
    const ends = { temperature: 0, stopTokenIds: [stop as number] };
    expect(same(await answer(model, prompt, { ...ends, speculate }))).toEqual(
      same(await answer(model, prompt, { ...ends, speculate: false })),
    );
    const abort = new AbortController();
    const stream = model.generate(prompt, { ...greedy, speculate, signal: abort.signal, onAbort: 'return' });
    const pieces: number[] = [];
    for await (const { tokenId } of stream) if (pieces.push(tokenId) === 6) abort.abort();
    expect(pieces).toEqual(plain.result.tokenIds.slice(0, pieces.length));
    expect((await stream.result).finishReason).toBe('abort');
    expect(draft.occupancy.running).toBe(0);
  }
  // what a draft left in the cache is nobody's beginning
  const again = [...prompt, ...plain.result.tokenIds.slice(0, 12)];
  await using fresh = await loadModel(files, { backend: 'wasm' });
  expect(same(await answer(model, again, greedy))).toEqual(same(await answer(fresh, again, greedy)));
});

test('an answer whose drafts fail goes on without them', async () => {
  const config = { ...tinyConfig, max_position_embeddings: 256 };
  await using model = await loadModel(await randomModel(config), { backend: 'wasm', threads: 1 });
  const options = { temperature: 0, maxNewTokens: 40, stopTokenIds: [] };
  const plain = await answer(model, [1, 2, 3], options);
  await using wrong = await loadModel(
    await randomModel(config, (tensors) => {
      tensors.get('model.norm.weight')?.data.fill(3e38);
    }),
    { backend: 'wasm', threads: 1 },
  );
  await expect(wrong.forward([1, 2, 3])).rejects.toMatchObject({ code: 'backend' });
  expect(same(await answer(model, [1, 2, 3], { ...options, speculate: { draft: wrong, ...always } }))).toEqual(
    same(plain),
  );
  const gone = await loadModel(await randomModel(config), { backend: 'wasm', threads: 1 });
  const stream = model.generate([1, 2, 3], { ...options, speculate: { draft: gone, ...always } });
  const tokens: number[] = [];
  for await (const { tokenId } of stream) if (tokens.push(tokenId) === 9) await gone.dispose();
  expect(tokens).toEqual(plain.result.tokenIds);
});

test('a draft of the model itself is right, and a step gives all of it', async () => {
  const files = await randomModel({ ...tinyConfig, max_position_embeddings: 256 });
  await using model = await loadModel(files, { backend: 'wasm' });
  await using draft = await loadModel(files, { backend: 'wasm' });
  // as sure as can be, so that no draft ends early
  const options = { temperature: 0, maxNewTokens: 61, stopTokenIds: [], logitBias: { 5: 40 } };
  const { stats } = await answer(model, [1, 2, 3], { ...options, speculate: { draft: 'prompt', ...always } });
  expect(stats.speculation).toMatchObject({ acceptance: 1 });
  expect(stats.speculation!.steps).toBeLessThanOrEqual(11);
  const other = await answer(model, [1, 2, 3], {
    temperature: 0,
    maxNewTokens: 40,
    stopTokenIds: [],
    speculate: { draft, ...always },
  });
  expect(other.stats.speculation).toMatchObject({ acceptance: 1 });
});

test('sampled answers have the distribution of the model: chi-square over 10,000 draws', async () => {
  await using model = await loadModel(await randomModel(tinyConfig), { backend: 'wasm', threads: 1 });
  await using draft = await loadModel(await randomModel(tinyConfig), { backend: 'wasm', threads: 1, dtype: 'int4' });
  const prompt = [1, 2, 3, 4];
  const [temperature, k] = [0.7, 3];
  /** Three tokens and their probability: the first from the prompt, the second after no draft, the third behind a draft. */
  const expected = new Map<string, number>();
  const extend = async (tokens: readonly number[], p: number): Promise<void> => {
    if (tokens.length === 3) return void expected.set(`${tokens}`, p);
    const { logits } = await model.forward([...prompt, ...tokens]);
    const best = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number)).slice(0, k);
    const weights = best.map((id) => Math.exp((logits[id] as number) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, id] of best.entries()) await extend([...tokens, id], (p * (weights[i] as number)) / total);
  };
  await extend([], 1);
  // each answer is three draws
  const answers = 3400;
  const counts = new Map<string, number>();
  const speculation = { drafted: 0, accepted: 0 };
  const options = { temperature, topK: k, maxNewTokens: 3, stopTokenIds: [], speculate: { draft, ...always } };
  for (let seed = 0; seed < answers; seed++) {
    const { tokenIds, stats } = await model.generate(prompt, { ...options, seed }).result;
    counts.set(`${tokenIds}`, (counts.get(`${tokenIds}`) ?? 0) + 1);
    speculation.drafted += stats.speculation?.drafted ?? 0;
    speculation.accepted += stats.speculation?.accepted ?? 0;
  }
  expect([...counts.keys()].filter((tokens) => !expected.has(tokens))).toEqual([]);
  expect(speculation.accepted).toBeGreaterThan(answers / 20);
  expect(speculation.drafted - speculation.accepted).toBeGreaterThan(answers / 20);
  let chiSquare = 0;
  for (const [tokens, p] of expected) chiSquare += ((counts.get(tokens) ?? 0) - answers * p) ** 2 / (answers * p);
  // 26 degrees of freedom: one set of draws in ten thousand is above
  expect(chiSquare).toBeLessThan(61.7);
});

test.each<[object | string, string]>([
  ['model', 'generate speculate "draft": expected prompt, plan, reuse or a loaded model, got "model".'],
  [{ draft: 'prompt', tokens: 0 }, 'generate speculate option "tokens": expected a whole number from 1 to 64, got 0.'],
  [{ draft: 'prompt', gamma: 3 }, 'generate speculate option "gamma": unknown.'],
])('refused: %j', async (speculate, message) => {
  await using model = await loadModel(await randomModel(tinyConfig), { backend: 'reference' });
  await expect(model.generate([1], { speculate: speculate as SpeculateOptions }).result).rejects.toThrow(message);
});

test('sources that a model cannot draft from are refused', async () => {
  const files = await randomModel(tinyConfig);
  await using model = await loadModel(files, { backend: 'reference', reuse: true });
  await using plain = await loadModel(files, { backend: 'reference' });
  const rwkv = { model_type: 'rwkv', hidden_size: 8, num_hidden_layers: 1, vocab_size: 40 };
  await using recurrent = await loadModel(await randomModel(rwkv), { backend: 'reference' });
  await using silu = await loadModel(await randomModel({ ...tinyConfig, hidden_act: 'silu' }), {
    backend: 'reference',
  });
  await using wider = await loadModel(await randomModel({ ...tinyConfig, vocab_size: 48 }), { backend: 'reference' });
  const ask = (of: Model, options: GenerateOptions) => of.generate([1], { maxNewTokens: 2, ...options }).result;
  await expect(ask(model, { speculate: model })).rejects.toThrow('expected another model, got random itself');
  await expect(ask(silu, { speculate: 'reuse' })).rejects.toThrow('since this one skips no neurons');
  await expect(ask(plain, { speculate: 'reuse' })).rejects.toThrow(
    'expected a model that was loaded with { reuse: true }',
  );
  for (const [of, speculate] of [
    [recurrent, 'prompt'],
    [model, recurrent],
  ] as const)
    await expect(ask(of, { speculate })).rejects.toThrow('a recurrent state cannot take a draft back, got rwkv4');
  await expect(ask(model, { speculate: wider })).rejects.toThrow('expected a model of 40 tokens, got random of 48');
  await expect(ask(model, { speculate: 'prompt', reuse: { interval: 2 } })).rejects.toThrow('expected one of them');
  const gone = await loadModel(files, { backend: 'reference' });
  await gone.dispose();
  const options = { maxNewTokens: 20, stopTokenIds: [], speculate: { draft: gone, ...always } };
  await expect(ask(model, options)).rejects.toThrow('used after dispose()');
});
