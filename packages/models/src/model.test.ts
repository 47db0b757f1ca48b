// What a user may do with a model, on the bundled one: streams, stops, aborts, queues, reuse, limits, and their errors.
import { fileURLToPath } from 'node:url';
import { RelufyError } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChatMessage, type GenerateOptions, loadModel, type Model, type Piece, type Prompt } from './node.js';

const bundled = fileURLToPath(new URL('../../llama-tales/model/', import.meta.url));
const messages: ChatMessage[] = [{ role: 'user', content: 'Tell me a story about a fox.' }];

let model: Model;
beforeAll(async () => {
  model = await loadModel(bundled, { threads: 2 });
});
afterAll(() => model.dispose());

async function collect(prompt: Prompt, options: GenerateOptions = {}, from = model): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for await (const piece of from.generate(prompt, options)) pieces.push(piece);
  return pieces;
}

const textOf = (pieces: readonly Piece[]) => pieces.map(({ text }) => text).join('');

describe('generate', () => {
  it('gives one piece a token, whose texts add up to the result', async () => {
    const stream = model.generate(messages, { maxNewTokens: 30, temperature: 0 });
    const pieces: Piece[] = [];
    for await (const piece of stream) pieces.push(piece);
    const result = await stream.result;
    expect(pieces).toHaveLength(30);
    expect(textOf(pieces)).toBe(result.text);
    expect(pieces.map(({ tokenId }) => tokenId)).toEqual(result.tokenIds);
    expect(result.text).toMatch(/^Once upon a time, there was a little fox\./);
    expect(result.finishReason).toBe('length');
    expect(result.usage).toMatchObject({ promptTokens: 12, completionTokens: 30 });
    expect(result.stats.density.down).toHaveLength(8);
    expect(result.stats.tokensPerSecond).toBeGreaterThan(0);
  });

  it('needs no reader: the result comes all the same', async () => {
    const { text } = await model.generate(messages, { maxNewTokens: 5, temperature: 0 }).result;
    expect(text).toBe('Once upon a time,');
  });

  it('repeats a seed at any thread count and after other work', async () => {
    const options = { maxNewTokens: 40, temperature: 1, topP: 0.95, seed: 42 };
    const first = await collect(messages, options);
    await collect('Something else', { maxNewTokens: 3 });
    expect(await collect(messages, options)).toEqual(first);
    for (const threads of [1, 3]) {
      await using other = await loadModel(bundled, { threads });
      expect(await collect(messages, options, other)).toEqual(first);
    }
    expect(textOf(await collect(messages, { ...options, seed: 43 }))).not.toBe(textOf(first));
  });

  it('reuses the common prefix of a chat without changing the answer', async () => {
    const answer = await model.generate(messages, { maxNewTokens: 20, temperature: 0 }).result;
    const next = [{ role: 'assistant', content: answer.text } as const, { role: 'user', content: 'And?' } as const];
    const turn = [...messages, ...next];
    const reused = await model.generate(turn, { maxNewTokens: 20, temperature: 0 }).result;
    expect(reused.usage.cachedTokens).toBeGreaterThan(20);
    await using other = await loadModel(bundled);
    const fresh = await other.generate(turn, { maxNewTokens: 20, temperature: 0 }).result;
    expect(fresh.usage.cachedTokens).toBe(0);
    expect(fresh.tokenIds).toEqual(reused.tokenIds);
  });

  it('stops at a stop string, which is not part of the text', async () => {
    const stream = model.generate(messages, { maxNewTokens: 50, temperature: 0, stop: 'fox' });
    const result = await stream.result;
    expect(result.text).toBe('Once upon a time, there was a little ');
    expect(result).toMatchObject({ finishReason: 'stop', stopString: 'fox' });
  });

  it('stops at the ids that it is told, or never', async () => {
    const period = (await model.encode('.', { addSpecialTokens: false }))[0] as number;
    const stopped = await model.generate(messages, { maxNewTokens: 60, temperature: 0, stopTokenIds: [period] }).result;
    expect(stopped.finishReason).toBe('stop');
    expect(stopped.text).toBe('Once upon a time, there was a little fox');
    expect(stopped.tokenIds.at(-1)).toBe(period);
    const poem: ChatMessage[] = [{ role: 'user', content: 'Write a poem about the sea.' }];
    const ended = await model.generate(poem, { maxNewTokens: 120, temperature: 0 }).result;
    expect(ended.finishReason).toBe('stop');
    const endless = await model.generate(poem, { maxNewTokens: 120, temperature: 0, stopTokenIds: [] }).result;
    expect(endless.tokenIds).toHaveLength(120);
    expect(endless.tokenIds.slice(0, ended.tokenIds.length)).toEqual(ended.tokenIds);
  });

  it('tells log-probabilities by the model itself', async () => {
    const [piece] = await collect(messages, { maxNewTokens: 1, temperature: 0, logprobs: 3 });
    expect(piece?.topLogprobs).toHaveLength(3);
    expect(piece?.topLogprobs?.[0]).toEqual({ tokenId: piece?.tokenId, logprob: piece?.logprob });
    const { logits } = await model.forward(await model.tokenizer!.encodeChat(messages, { addGenerationPrompt: true }));
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    expect(piece?.logprob).toBeCloseTo((logits[piece?.tokenId as number] as number) - total, 4);
  });

  it('runs two generations at once one after the other, in order', async () => {
    const order: string[] = [];
    const run = async (name: string) => {
      const pieces = await collect(messages, { maxNewTokens: 15, temperature: 0 });
      order.push(name);
      return textOf(pieces);
    };
    const [a, b] = await Promise.all([run('a'), run('b')]);
    expect(a).toBe(b);
    expect(order).toEqual(['a', 'b']);
  });

  it('does not wait for a slow reader', async () => {
    const slow = model.generate(messages, { maxNewTokens: 5 })[Symbol.asyncIterator]();
    await slow.next();
    expect(await collect(messages, { maxNewTokens: 5, temperature: 0 })).toHaveLength(5);
    await slow.return?.();
  });

  it('ends when the reader leaves', async () => {
    const stream = model.generate(messages, { maxNewTokens: 500, temperature: 0, stopTokenIds: [] });
    for await (const _ of stream) break;
    const result = await stream.result;
    expect(result.finishReason).toBe('abort');
    expect(result.tokenIds.length).toBeLessThan(500);
  });

  it('aborts between steps: throws the reason, or returns what there is', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const stream = model.generate(messages, { temperature: 0, stopTokenIds: [], signal: controller.signal });
    let n = 0;
    await expect(async () => {
      for await (const _ of stream) if (++n === 4) controller.abort(reason);
    }).rejects.toBe(reason);
    await expect(stream.result).rejects.toBe(reason);

    const partial = new AbortController();
    const kept = model.generate(messages, {
      temperature: 0,
      stopTokenIds: [],
      signal: partial.signal,
      onAbort: 'return',
    });
    for await (const _ of kept) partial.abort(reason);
    expect((await kept.result).finishReason).toBe('abort');

    const during = new AbortController();
    const prompt = new Array(500).fill(5);
    const early = model.generate(prompt, { signal: during.signal, onAbort: 'return' });
    setTimeout(() => during.abort(reason), 5);
    expect(await early.result).toMatchObject({ finishReason: 'abort', tokenIds: [] });
    await expect(collect(messages, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await collect(messages, { maxNewTokens: 2 })).toHaveLength(2);
  });

  it('ends with length when the context is full', async () => {
    await using small = await loadModel(bundled, { contextLength: 20 });
    const options = { temperature: 0, stopTokenIds: [] };
    const result = await small.generate(messages, options).result;
    expect(result.finishReason).toBe('length');
    expect(result.usage).toMatchObject({ promptTokens: 12, completionTokens: 9 });
    const long = await model.generate(messages, { ...options, maxNewTokens: 9 }).result;
    expect(result.tokenIds).toEqual(long.tokenIds);
  });

  it('generates nothing when asked for nothing', async () => {
    const result = await model.generate(messages, { maxNewTokens: 0 }).result;
    expect(result).toMatchObject({ text: '', tokenIds: [], finishReason: 'length' });
  });

  const failures: readonly (readonly [string, Prompt, GenerateOptions, string, string])[] = [
    ['an unknown option', 'x', { maxTokens: 3 } as GenerateOptions, 'option', 'generate option "maxTokens": unknown.'],
    ['a negative count', 'x', { maxNewTokens: -1 }, 'option', '"maxNewTokens": expected a whole number >= 0, got -1.'],
    ['an empty stop string', 'x', { stop: '' }, 'option', 'stop: expected strings that are not empty'],
    ['no ids', [], {}, 'input', 'input ids: expected at least one, got none.'],
    ['ids out of range', [1, 4096], {}, 'input', 'input ids: expected whole numbers from 0 to 4095, got 4096.'],
    ['fractions', [1.5], {}, 'input', 'got 1.5'],
    ['something else', 7 as unknown as Prompt, {}, 'input', 'prompt: expected a text, messages or token ids, got 7.'],
    [
      'a prompt beyond the context',
      new Array(513).fill(5),
      {},
      'input',
      'expected at most 512 (the context), got 513.',
    ],
  ];
  it.each(failures)('refuses %s, once, for the reader and the result', async (_, prompt, options, code, message) => {
    const stream = model.generate(prompt, options);
    const error = await stream.result.catch((thrown: unknown) => thrown);
    expect(RelufyError.is(error) && error.code).toBe(code);
    expect((error as Error).message).toContain(message);
    await expect(async () => {
      for await (const _ of stream) expect.unreachable();
    }).rejects.toBe(error);
  });
});

describe('forward and score', () => {
  it('gives logits of all positions or the last, whatever the chunks', async () => {
    const ids = await model.encode('Once upon a time there was a fox. '.repeat(20));
    expect(ids.length).toBeGreaterThan(150);
    const all = await model.forward(ids, { logits: 'all' });
    const last = await model.forward(ids);
    expect(all.shape).toEqual([ids.length, 4096]);
    expect(last.shape).toEqual([1, 4096]);
    expect(all.logits.subarray(-4096)).toEqual(last.logits);
    const { logprobs, isGreedy } = await model.score(ids);
    for (const i of [1, 2, 127, 128, 129, ids.length - 1]) {
      const row = all.logits.subarray((i - 1) * 4096, i * 4096);
      const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(logprobs[i]).toBeCloseTo((row[ids[i] as number] as number) - total, 4);
      expect(isGreedy[i]).toBe(row.indexOf(Math.max(...row)) === ids[i]);
    }
  });

  it('scores continuations of a context as it scores the whole, in any number of slots', async () => {
    const context = await model.encode('Once upon a time, there was a little');
    const continuations = await Promise.all(
      [' girl named Lily', ' boy', ' fox who lived in a forest', ' girl'].map((text) =>
        model.encode(text, { addSpecialTokens: false }),
      ),
    );
    const expected = [];
    for (const continuation of continuations) {
      const { logprobs, isGreedy } = await model.score([...context, ...continuation]);
      expected.push({
        logprobs: logprobs.slice(context.length),
        isGreedy: isGreedy.slice(context.length).every((greedy) => greedy),
      });
    }
    expect(expected.map(({ isGreedy }) => isGreedy)).toEqual([true, false, false, true]);
    for (const slots of [1, 2, 4, 9]) {
      await using other = await loadModel(bundled, { slots });
      for (let again = 0; again < 2; again++) {
        const scores = await other.scoreContinuations(context, continuations);
        expect(scores.map(({ logprobs, isGreedy }) => ({ logprobs, isGreedy }))).toEqual(expected);
      }
    }
    await expect(model.scoreContinuations(context, [[]])).rejects.toThrowError(/at least one id/);
    await expect(model.scoreContinuations([], [[1]])).rejects.toThrowError(/at least one/);
    await expect(model.scoreContinuations(new Array(508).fill(5), [new Array(6).fill(5)])).rejects.toThrowError(
      /at most 512/,
    );
  });

  it('scores contexts together as it scores them alone, bit for bit', async () => {
    const start = [0, 3, 761, 484];
    const requests = [
      { context: [...start, 291, 17, 88], continuations: [[5, 6, 7], [9], [11, 12]] },
      { context: [...start, 291], continuations: [[44, 45, 46, 47, 48]] },
      {
        context: [...start, 77, ...Array.from({ length: 150 }, (_, i) => (i * 37) % 1000)],
        continuations: [[1, 2], [3]],
      },
      { context: [5], continuations: [[6], [7, 8], [9], [10], [11, 12, 13]] },
    ];
    for (const backend of ['wasm', 'auto'] as const)
      for (const sparsity of ['exact', 'dense'] as const) {
        const expected = [];
        await using single = await loadModel(bundled, { backend, sparsity });
        for (const { context, continuations } of requests)
          expected.push(await single.scoreContinuations(context, continuations));
        for (const slots of [1, 2, 5, 16]) {
          await using other = await loadModel(bundled, { backend, sparsity, slots });
          expect(other.scoringLanes).toBe(Math.max(1, slots - 1));
          expect(await other.scoreBatch(requests)).toEqual(expected);
          expect((await other.scoreBatch([...requests].reverse())).reverse()).toEqual(expected);
        }
      }
    expect(await model.scoreBatch([])).toEqual([]);
    await expect(model.scoreBatch([{ context: [1], continuations: [[2], []] }])).rejects.toThrowError(
      /at least one id/,
    );
  }, 120_000);

  it('captures inputs of layers and hidden states', async () => {
    const ids = [0, 3, 761, 484];
    const { captured } = await model.forward(ids, {
      capture: ['hidden.0', 'qkv.3', 'o.3', 'upGate.3', 'down.3', 'hidden.8'],
    });
    expect(Object.fromEntries(Object.entries(captured).map(([tap, { length }]) => [tap, length / ids.length]))).toEqual(
      {
        'hidden.0': 256,
        'qkv.3': 256,
        'o.3': 256,
        'upGate.3': 256,
        'down.3': 1024,
        'hidden.8': 256,
      },
    );
    const zeros = (captured['down.3'] as Float32Array).filter((value) => value === 0).length;
    expect(zeros).toBeGreaterThan(2048);
  });

  it('refuses taps that do not exist and options that do not', async () => {
    await expect(model.forward([1], { capture: ['down.8'] })).rejects.toThrowError(
      /capture "down.8": expected hidden.0/,
    );
    await expect(model.forward([1], { logits: 'some' as 'all' })).rejects.toThrowError(
      /"logits": expected all or last/,
    );
    await expect(model.forward([1], { captures: [] } as object)).rejects.toThrowError(/"captures": unknown/);
    await expect(model.score([])).rejects.toThrowError(/at least one/);
  });
});

describe('loading', () => {
  it('tells its progress, in bytes that add up', async () => {
    const events: { status: string; loaded?: number; total?: number }[] = [];
    await using _ = await loadModel(bundled, { onProgress: (event) => events.push(event) });
    expect(events[0]?.status).toBe('initiate');
    expect(events.at(-1)?.status).toBe('ready');
    const last = events.filter(({ status }) => status === 'progress').at(-1);
    expect(last?.loaded).toBe(last?.total);
    expect(events.filter(({ status }) => status === 'done')).toHaveLength(1);
  });

  it('can be aborted before and while it reads', async () => {
    const reason = new Error('changed my mind');
    await expect(loadModel(bundled, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const onProgress = () => controller.abort(reason);
    await expect(loadModel(bundled, { signal: controller.signal, onProgress })).rejects.toBe(reason);
  });

  it('computes the same text from f32 weights as from bf16', async () => {
    await using wide = await loadModel(bundled, { dtype: 'f32' });
    const options = { maxNewTokens: 20, temperature: 0 };
    expect(await collect(messages, options, wide)).toEqual(await collect(messages, options));
    expect(wide.memoryBytes).toBeGreaterThan(model.memoryBytes);
  });

  it('quantises while loading: smaller, and nearly the same', async () => {
    const ids = await model.encode('Once upon a time there was a fox who lived in a forest with his friends.');
    const mean = (logprobs: Float32Array) => logprobs.subarray(1).reduce((a, b) => a + b, 0) / (ids.length - 1);
    const reference = await loadModel(bundled, { backend: 'reference' });
    const exact = mean((await reference.score(ids)).logprobs);
    for (const [dtype, bound] of [
      ['int8', 0.02],
      ['int4', 0.3],
    ] as const) {
      await using small = await loadModel(bundled, { backend: 'reference', dtype });
      expect(Math.abs(mean((await small.score(ids)).logprobs) - exact)).toBeLessThan(bound);
      expect(small.memoryBytes).toBeLessThan(reference.memoryBytes);
    }
    await reference.dispose();
  });

  it('keeps keys and values in f16: half the cache, nearly the same numbers, on every backend', async () => {
    const ids = await model.encode('Once upon a time there was a fox who lived');
    await using exact = await loadModel(bundled, { backend: 'wasm', contextLength: 512 });
    const expected = (await exact.forward(ids, { logits: 'all' })).logits;
    const results: Float32Array[] = [];
    for (const backend of ['reference', 'auto', 'wasm'] as const) {
      await using half = await loadModel(bundled, { backend, kvCache: 'f16', contextLength: 512 });
      results.push((await half.forward(ids, { logits: 'all' })).logits);
      const { numHiddenLayers, mixer } = half.spec;
      const width = 'headDim' in mixer ? mixer.numKeyValueHeads * mixer.headDim : 0;
      if (backend === 'wasm') expect(exact.memoryBytes - half.memoryBytes).toBe(2 * numHiddenLayers * width * 512 * 2);
    }
    const furthest = (a: Float32Array, b: Float32Array) =>
      a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
    const [reference, ...others] = results as [Float32Array, ...Float32Array[]];
    expect(furthest(reference, expected)).toBeLessThan(0.02);
    expect(furthest(reference, expected)).toBeGreaterThan(1e-5);
    for (const other of others) expect(furthest(other, reference)).toBeLessThan(0.005);
  });

  it.each([
    [{ thread: 2 }, 'loadModel option "thread": unknown.'],
    [{ threads: 0 }, 'loadModel option "threads": expected a whole number from 1 to 256, got 0.'],
    [
      { backend: 'cuda' },
      'loadModel option "backend": expected auto, native, wasm, reference or a backend, got "cuda".',
    ],
    [{ dtype: 'int3' }, 'loadModel option "dtype": expected auto, f32, bf16, int8, int4, uint4, got "int3".'],
    [{ sparsity: 'most' }, 'loadModel option "sparsity": expected exact or dense, got "most".'],
    [{ kvCache: 'int2' }, 'loadModel option "kvCache": expected f32 or f16, got "int2".'],
    [{ contextLength: 5000 }, "expected at most 512 (the model's max_position_embeddings), got 5000."],
    [{ relufy: { stage: 3 } }, 'relufy "stage": expected 1 or 2, got 3.'],
  ])('refuses %o', async (options, message) => {
    const error = await loadModel(bundled, options as object).catch((thrown: unknown) => thrown);
    expect(RelufyError.is(error) && error.code).toBe('option');
    expect((error as Error).message).toContain(message);
  });

  it('refuses every use after dispose, and disposes twice', async () => {
    const short = await loadModel(bundled);
    const stream = short.generate(messages, { stopTokenIds: [] });
    const waiting = short.generate(messages);
    await stream[Symbol.asyncIterator]().next();
    await short.dispose();
    await short.dispose();
    const state = expect.objectContaining({ code: 'state' });
    await expect(waiting.result).rejects.toEqual(state);
    await expect(short.generate(messages).result).rejects.toEqual(state);
    await expect(short.forward([1])).rejects.toEqual(state);
    await expect(short.score([1])).rejects.toEqual(state);
    expect(() => short.memoryBytes).toThrowError(state);
  });
});
