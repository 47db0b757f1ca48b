// Several generations on one model at the same time: the same answers as alone, with the bits of what they cost, whoever
// comes, leaves or fails beside them.
import { fileURLToPath } from 'node:url';
import { nativeAvailability } from '@relufy/native';
import { describe, expect, it } from 'vitest';
import { type GenerateOptions, loadModel, type Model, type Prompt } from '../node.js';

const bundled = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));
const backends = ['wasm' as const, ...(nativeAvailability().available ? (['native'] as const) : [])];

const tell = (subject: string): Prompt => [{ role: 'user', content: `Tell me a story about ${subject}.` }];
const long = (length: number, seed: number): Prompt =>
  Array.from({ length }, (_, i) => 3 + ((i * 37 + seed * 101) % 4000));

/** Greedy and seeded, short and long, with and without penalties. */
const requests: readonly (readonly [Prompt, GenerateOptions])[] = [
  [tell('a fox'), { temperature: 0, logprobs: 2 }],
  [tell('the sea'), { seed: 7, temperature: 0.8, topP: 0.9 }],
  [long(300, 1), { seed: 3, frequencyPenalty: 0.3 }],
  [tell('a red car'), { temperature: 0, noRepeatNgramSize: 3, logprobs: 1 }],
  ['Once upon a time', { seed: 11, minP: 0.1, logprobs: true }],
  [long(150, 2), { temperature: 0 }],
];

async function answer(model: Model, [prompt, options]: readonly [Prompt, GenerateOptions]) {
  const pieces = [];
  const stream = model.generate(prompt, { maxNewTokens: 24, stopTokenIds: [], ...options });
  for await (const piece of stream) pieces.push(piece);
  const { text, tokenIds, usage, stats } = await stream.result;
  const { prefill, decode, weightBytesPerToken, denseWeightBytesPerToken, density } = stats;
  return {
    ...{ pieces, text, tokenIds, usage, weightBytesPerToken, denseWeightBytesPerToken, density },
    prefillTokens: prefill.tokens,
    decodeTokens: decode.tokens,
  };
}

describe.each(backends)('in company: %s', (backend) => {
  it.each([
    ['exact', 'bf16'],
    ['dense', 'int8'],
  ] as const)('gives what it gives alone, costs included: %s, %s', async (sparsity, dtype) => {
    const options = { backend, sparsity, dtype, waitingBytes: 0 };
    await using single = await loadModel(bundled, options);
    const alone: Awaited<ReturnType<typeof answer>>[] = [];
    for (const request of requests) alone.push(await answer(single, request));
    await using model = await loadModel(bundled, { ...options, slots: 4 });
    const together = await Promise.all(requests.map((request) => answer(model, request)));
    // what is in the cache depends on who was there before; nothing else does
    const withoutCache = ({ usage, prefillTokens, ...rest }: (typeof alone)[0]) => ({
      ...rest,
      promptTokens: usage.promptTokens,
      computedOrCached: usage.cachedTokens + prefillTokens,
    });
    expect(together.map(withoutCache)).toEqual(alone.map(withoutCache));
    expect(model.occupancy).toEqual({ running: 0, waiting: 0 });
  });
});

describe('slots', () => {
  it('copy the prompt that others are just computing: n answers compute it once', async () => {
    await using model = await loadModel(bundled, { slots: 4 });
    const results = await Promise.all(
      [1, 2, 3, 4].map((seed) => model.generate(long(200, 5), { seed, maxNewTokens: 8, stopTokenIds: [] }).result),
    );
    expect(results.map(({ usage }) => usage.cachedTokens)).toEqual([0, 199, 199, 199]);
    const alone = await model.generate(long(200, 5), { seed: 3, maxNewTokens: 8, stopTokenIds: [] }).result;
    expect(alone.tokenIds).toEqual(results[2]?.tokenIds);
  });

  it('serve those that wait in order, and free a slot within a step of an abort', async () => {
    await using model = await loadModel(bundled, { slots: 2, waitingBytes: 0 });
    const order: string[] = [];
    const aborts = [0, 1, 2, 3].map(() => new AbortController());
    const options = (i: number) => ({
      temperature: 0,
      maxNewTokens: 400,
      stopTokenIds: [],
      signal: (aborts[i] as AbortController).signal,
      onAbort: 'return' as const,
    });
    const streams = ['a', 'b', 'c', 'd'].map((name, i) => {
      const stream = model.generate(tell(name), options(i));
      void stream.result.then(() => order.push(`${name} ends`));
      return stream;
    });
    const [a, b, c, d] = streams as [
      (typeof streams)[0],
      (typeof streams)[0],
      (typeof streams)[0],
      (typeof streams)[0],
    ];
    let n = 0;
    for await (const _ of a as AsyncIterable<unknown>) {
      if (++n === 3) {
        expect(model.occupancy).toEqual({ running: 2, waiting: 2 });
        aborts[3]?.abort(); // while it waits
      }
      if (n === 5) aborts[0]?.abort();
    }
    expect(n).toBeLessThanOrEqual(7);
    expect((await d?.result)?.usage.completionTokens).toBe(0);
    for await (const _ of c as AsyncIterable<unknown>) break; // its turn has come
    await c?.result;
    aborts[1]?.abort();
    await b?.result;
    expect(order).toEqual(['d ends', 'a ends', 'c ends', 'b ends']);
    expect(model.occupancy).toEqual({ running: 0, waiting: 0 });
  });

  it('hold answers to forms of their own beside free ones, and end with them', async () => {
    await using model = await loadModel(bundled, { slots: 3 });
    const jsonSchema = {
      type: 'object',
      properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', minimum: 1, maximum: 99 } },
      required: ['name', 'age'],
    };
    const forms: GenerateOptions[] = [{ jsonSchema, seed: 1 }, { grammar: 'root ::= ("yes" | "no") "."', seed: 2 }, {}];
    const results = await Promise.all(
      forms.map((form) => model.generate(tell('a fox'), { maxNewTokens: 120, temperature: 1.5, ...form }).result),
    );
    const [json, word] = results;
    const { name, age } = JSON.parse(json?.text ?? '') as { name: string; age: number };
    expect([...name].length).toBeLessThanOrEqual(12);
    expect(age).toBeGreaterThan(0);
    expect(['yes.', 'no.']).toContain(word?.text);
    expect([json?.finishReason, word?.finishReason]).toEqual(['stop', 'stop']);
    // penalties that forbid all that the form allows give way
    const strict = { ...forms[0], seed: 1, noRepeatNgramSize: 1, temperature: 0 };
    const again = await model.generate(tell('a fox'), { maxNewTokens: 120, ...strict }).result;
    expect(JSON.parse(again.text)).toHaveProperty('age');
    const cut = await model.generate(tell('a fox'), { ...forms[0], seed: 1, maxNewTokens: 3 }).result;
    expect(cut.finishReason).toBe('length');
    await expect(model.generate('x', { jsonSchema: { not: {} } }).result).rejects.toThrowError(/leaves a value/);
  });

  it('are shared with scores and passes, which give what they give alone', async () => {
    await using model = await loadModel(bundled, { slots: 3 });
    const ids = Array.from({ length: 200 }, (_, i) => 3 + ((i * 13) % 4000));
    const batch = [1, 2, 3, 4].map((k) => ({ context: ids.slice(0, 20 * k), continuations: [[5, 6, 7], [8 * k]] }));
    const [score, forward, scores] = [await model.score(ids), await model.forward(ids), await model.scoreBatch(batch)];
    const alone = await answer(model, requests[0] as (typeof requests)[0]);
    const [own, ...others] = await Promise.all([
      answer(model, requests[0] as (typeof requests)[0]),
      model.score(ids),
      model.forward(ids),
      model.scoreBatch(batch),
      answer(model, requests[1] as (typeof requests)[0]),
    ]);
    expect(own.pieces).toEqual(alone.pieces);
    expect(others.slice(0, 3)).toEqual([score, forward, scores]);
  });
});
