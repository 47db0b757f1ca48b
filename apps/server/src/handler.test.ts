import { loadModel, type Model } from '@relufy/models';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loaded, type Served, served, tales, talesFolder } from './testing/served.js';

const question = [{ role: 'user', content: 'Tell me a story about a fox.' }];
const short = { messages: question, max_tokens: 12, temperature: 0 };

let model: Model;
let server: Served;
beforeAll(async () => {
  model = await loadModel(talesFolder, { threads: 1, slots: 4 });
  server = served({ models: [loaded('tales', model)] });
});
afterAll(() => server.handler.close());

const greedy = async (maxNewTokens: number) =>
  model.generate([{ role: 'user', content: 'Tell me a story about a fox.' }], {
    ...model.recommendedSampling,
    temperature: 0,
    maxNewTokens,
  }).result;

describe('/v1/chat/completions', () => {
  test('answers as the library does, with what it took', async () => {
    const { choices, usage, sparsity, model: name } = await server.json('/v1/chat/completions', short);
    expect(choices).toHaveLength(1);
    expect(choices[0]).toMatchObject({ index: 0, finish_reason: 'length', logprobs: null });
    expect(choices[0]?.message).toEqual({ role: 'assistant', content: (await greedy(12)).text, refusal: null });
    expect(usage).toMatchObject({ completion_tokens: 12, total_tokens: (usage?.prompt_tokens ?? 0) + 12 });
    expect(name).toBe('tales');
    expect(sparsity.activeRatio).toBeGreaterThan(0);
    expect(sparsity.activeRatio).toBeLessThan(0.5);
    expect(sparsity.skippedBytes).toBeGreaterThan(sparsity.readBytes / 4);
  });

  test('streams the same text, token by token, and ends as clients expect', async () => {
    const response = await server.ask('/v1/chat/completions', {
      ...short,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const text = await response.text();
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    const { events } = server;
    const chunks = await events('/v1/chat/completions', {
      ...short,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' });
    const content = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
    expect(content).toBe((await greedy(12)).text);
    expect(chunks.length).toBeGreaterThan(10);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('length');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test('gives several answers, of one seed the same ones again', async () => {
    const asked = { messages: question, max_tokens: 8, n: 3, seed: 7, temperature: 2 };
    const one = await server.json('/v1/chat/completions', asked);
    const two = await server.json('/v1/chat/completions', asked);
    const texts = one.choices.map(({ message }) => message.content);
    expect(texts).toEqual(two.choices.map(({ message }) => message.content));
    expect(new Set(texts).size).toBeGreaterThan(1);
    expect(one.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const chunks = await server.events('/v1/chat/completions', { ...asked, stream: true });
    const streamed = [0, 1, 2].map((wanted) =>
      chunks.map(({ choices: [c] }) => (c?.index === wanted ? (c.delta.content ?? '') : '')).join(''),
    );
    expect(streamed).toEqual(texts);
  });

  test('stops at stop strings, obeys a bias, and tells log-probabilities', async () => {
    const whole = (await greedy(12)).text;
    const stop = whole.slice(10, 14);
    const stopped = await server.json('/v1/chat/completions', { ...short, stop });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: whole.split(stop)[0] } });
    const first = (await greedy(1)).tokenIds[0] as number;
    const biased = await server.json('/v1/chat/completions', {
      ...short,
      max_tokens: 1,
      logit_bias: { [first]: -100 },
    });
    expect(biased.choices[0]?.message.content).not.toBe((await greedy(1)).text);
    const asked = { ...short, logprobs: true, top_logprobs: 3 };
    const { choices } = await server.json('/v1/chat/completions', asked);
    const content = choices[0]?.logprobs?.content ?? [];
    expect(content.map(({ token }) => token).join('')).toBe(whole);
    expect(content[0]).toMatchObject({ top_logprobs: [{}, {}, {}] });
    const chunks = await server.events('/v1/chat/completions', { ...asked, stream: true });
    expect(chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? [])).toEqual(content);
  });

  test('a second turn finds the first one computed', async () => {
    const first = await server.json('/v1/chat/completions', short);
    const turns = [...question, first.choices[0]?.message, { role: 'user', content: 'And then?' }];
    const { usage } = await server.json('/v1/chat/completions', { ...short, messages: turns });
    expect(usage?.prompt_tokens_details.cached_tokens).toBeGreaterThan(first.usage?.prompt_tokens ?? 0);
  });

  test('takes contents in parts, null, unknown fields and fields of other servers', async () => {
    const odd = {
      ...short,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Tell me a story about a fox.' }], cache: true }],
      user: 'me',
      frequency_penalty: null,
      top_k: -1,
      min_p: 0,
      repeat_penalty: 1,
      __proto__: { polluted: 1 },
    };
    const { choices } = await server.json('/v1/chat/completions', odd);
    expect(choices[0]?.message.content).toBe((await greedy(12)).text);
  });

  test.each([
    [{ messages: [] }, 'messages'],
    [{ messages: 'hi' }, 'messages'],
    [{ ...short, messages: [{ content: 'x' }] }, 'messages[0].role'],
    [
      { ...short, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      'messages[0].content[0]',
    ],
    [{ ...short, temperature: -1 }, 'temperature'],
    [{ ...short, top_p: 2 }, 'top_p'],
    [{ ...short, n: 0 }, 'n'],
    [{ ...short, n: 1000 }, 'n'],
    [{ ...short, stop: [''] }, 'stop'],
    [{ ...short, stop: 7 }, 'stop'],
    [{ ...short, max_tokens: 1.5 }, 'max_tokens'],
    [{ ...short, top_logprobs: 2 }, 'top_logprobs'],
    [{ ...short, logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    [{ ...short, logit_bias: { 99999: 1 } }, 'logit_bias'],
    [{ ...short, logit_bias: { 5: 'x' } }, 'logit_bias'],
    [{ ...short, stream: 'yes' }, 'stream'],
    [{ ...short, stream_options: 1 }, 'stream_options'],
    [{ ...short, seed: 'x' }, 'seed'],
    [{ ...short, model: 7 }, 'model'],
  ])('refuses %j and names %s', async (body, param) => {
    const { error } = await server.json('/v1/chat/completions', body, 400);
    expect(error.param).toBe(param);
    expect(error.message).toContain(param);
  });

  test('a prompt that does not fit is one clear error', async () => {
    const messages = [{ role: 'user', content: 'fox '.repeat(2000) }];
    const { error } = await server.json('/v1/chat/completions', { messages }, 400);
    expect(error).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
  });
});

describe('/v1/completions', () => {
  test('echoes a prompt with what its tokens are worth', async () => {
    const ids = await model.encode('Once upon a time there was a fox.');
    const asked = { prompt: ids, max_tokens: 1, temperature: 0, logprobs: 1, echo: true, seed: 1234 };
    const { choices } = await server.json('/v1/completions', asked);
    const { logprobs } = choices[0] ?? {};
    const scored = await model.score(ids, { topLogprobs: 1 });
    expect(logprobs?.tokens).toHaveLength(ids.length + 1);
    expect(logprobs?.token_logprobs[0]).toBeNull();
    expect(logprobs?.top_logprobs[0]).toBeNull();
    for (let at = 1; at < ids.length; at++) {
      expect(logprobs?.token_logprobs[at]).toBe(scored.logprobs[at]);
      // this is how harnesses tell that a token was the first choice
      const best = Math.max(...Object.values(logprobs?.top_logprobs[at] ?? {}));
      expect(best === logprobs?.token_logprobs[at]).toBe(scored.isGreedy[at]);
    }
    expect(scored.isGreedy.filter(Boolean).length).toBeGreaterThan(2);
  });

  test('max_tokens 0 scores and writes nothing; text offsets lead into the text', async () => {
    const asked = { prompt: 'Once upon a time', max_tokens: 0, logprobs: 0, echo: true };
    const { choices, usage } = await server.json('/v1/completions', asked);
    expect(choices[0]).toMatchObject({ text: 'Once upon a time', finish_reason: 'length' });
    expect(usage).toMatchObject({ completion_tokens: 0 });
    const { tokens = [], text_offset = [] } = choices[0]?.logprobs ?? {};
    tokens.slice(1).forEach((token, i) => {
      expect(choices[0]?.text.startsWith(token, text_offset[i + 1])).toBe(true);
    });
  });

  test('takes texts and lists of ids, with their answers in order', async () => {
    const prompts = ['Once upon a', 'The sun was'];
    const asked = { max_tokens: 3, temperature: 0 };
    const texts = await server.json('/v1/completions', { ...asked, prompt: prompts });
    const ids = await Promise.all(prompts.map((prompt) => model.encode(prompt)));
    const lists = await server.json('/v1/completions', { ...asked, prompt: ids });
    const alone = await Promise.all(prompts.map((prompt) => server.json('/v1/completions', { ...asked, prompt })));
    expect(texts.choices.map(({ text }) => text)).toEqual(alone.map(({ choices }) => choices[0]?.text));
    expect(lists.choices.map(({ text, index }) => [text, index])).toEqual(
      texts.choices.map(({ text, index }) => [text, index]),
    );
  });

  test('best_of gives the likeliest', async () => {
    const asked = { prompt: 'Once upon a', max_tokens: 4, seed: 3, temperature: 2 };
    const best = await server.json('/v1/completions', { ...asked, best_of: 4, logprobs: 0 });
    const all = await server.json('/v1/completions', { ...asked, n: 4, logprobs: 0 });
    const worth = all.choices.map(({ logprobs }) =>
      (logprobs?.token_logprobs ?? []).reduce<number>((sum, value) => sum + (value ?? 0), 0),
    );
    const likeliest = all.choices[worth.indexOf(Math.max(...worth))];
    expect(best.choices.map(({ text }) => text)).toEqual([likeliest?.text]);
  });

  test('streams what it gives whole, the echo first', async () => {
    const asked = { prompt: 'Once upon a', max_tokens: 4, temperature: 0, echo: true, logprobs: 1 };
    const whole = await server.json('/v1/completions', asked);
    const chunks = await server.events('/v1/completions', { ...asked, stream: true });
    expect(chunks.map(({ choices }) => choices[0]?.text ?? '').join('')).toBe(whole.choices[0]?.text);
    const streamed = chunks.flatMap(({ choices }) => choices[0]?.logprobs?.token_logprobs ?? []);
    expect(streamed).toEqual(whole.choices[0]?.logprobs?.token_logprobs);
  });

  test.each([
    [{ prompt: [] }, 'prompt'],
    [{ prompt: [1, 'a'] }, 'prompt'],
    [{ prompt: [[99_999]] }, 'prompt[0]'],
    [{ prompt: 'x', suffix: 'y' }, 'suffix'],
    [{ prompt: 'x', n: 2, best_of: 1 }, 'best_of'],
    [{ prompt: 'x', best_of: 2, stream: true }, 'best_of'],
    [{ prompt: 'x', logprobs: 101 }, 'logprobs'],
  ])('refuses %j and names %s', async (body, param) => {
    expect((await server.json('/v1/completions', body, 400)).error.param).toBe(param);
  });
});

describe('/v1/responses', () => {
  test('gives items, whole and as events in the order that clients expect', async () => {
    const asked = { input: 'Tell me a story about a fox.', max_output_tokens: 6, temperature: 0 };
    const whole = await server.json('/v1/responses', asked);
    const text = (await greedy(6)).text;
    expect(whole).toMatchObject({
      object: 'response',
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }],
      usage: { output_tokens: 6 },
    });
    const events = await server.events('/v1/responses', { ...asked, stream: true });
    const types = events.map(({ type }) => type.replace('response.', ''));
    const deltas = types.filter((type) => type === 'output_text.delta');
    expect(types).toEqual([
      ...['created', 'in_progress', 'output_item.added', 'content_part.added', ...deltas],
      ...['output_text.done', 'content_part.done', 'output_item.done', 'incomplete'],
    ]);
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
  });

  test('reads a conversation of items, and keeps none', async () => {
    const input = [
      { role: 'user', content: [{ type: 'input_text', text: 'Tell me a story about a fox.' }] },
      { type: 'reasoning', summary: [] },
    ];
    const asked = { input, max_output_tokens: 6, temperature: 0, store: true };
    expect(await server.json('/v1/responses', asked)).toMatchObject({
      store: false,
      output: [{ content: [{ text: (await greedy(6)).text }] }],
    });
    for (const [bad, param] of [
      [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
      [{ input: [{ type: 'computer_call' }] }, 'input[0].type'],
      [{ input: 7 }, 'input'],
      [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    ] as const)
      expect((await server.json('/v1/responses', { ...asked, ...bad }, 400)).error.param).toBe(param);
  });
});

describe('/v1/embeddings', () => {
  test('are of length 1, the mean of the last hidden states, in numbers or base64', async () => {
    const { data } = await server.json('/v1/embeddings', { input: ['A fox ran.', 'A fox was running.', '7 x 8 = 56'] });
    const [a, b, c] = data.map(({ embedding }) => embedding as readonly number[]) as [number[], number[], number[]];
    expect(a).toHaveLength(model.spec.hiddenSize);
    const dot = (x: readonly number[], y: readonly number[]) =>
      x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
    expect(dot(a, a)).toBeCloseTo(1, 5);
    expect(dot(a, b)).toBeGreaterThan(dot(a, c));
    const tap = `hidden.${model.spec.numHiddenLayers}`;
    const ids = await model.encode('A fox ran.');
    const states = (await model.forward(ids, { capture: [tap] })).captured[tap] as Float32Array;
    const sums = Float64Array.from({ length: a.length }, (_, i) =>
      ids.reduce((sum, __, token) => sum + (states[token * a.length + i] as number), 0),
    );
    const norm = Math.hypot(...sums);
    a.forEach((value, i) => {
      expect(value).toBeCloseTo((sums[i] as number) / norm, 5);
    });
    const packed = await server.json('/v1/embeddings', { input: ids, encoding_format: 'base64' });
    const bytes = Buffer.from(packed.data[0]?.embedding as string, 'base64');
    expect(Array.from({ length: a.length }, (_, i) => bytes.readFloatLE(4 * i))).toEqual(a);
    const last = await server.json('/v1/embeddings', { input: ids, pooling: 'last' });
    expect(last.data[0]?.embedding).not.toEqual(a);
  });

  test.each([
    [{ input: 'x', dimensions: 17 }, 'dimensions'],
    [{ input: [] }, 'input'],
    [{ input: 'x', encoding_format: 'f16' }, 'encoding_format'],
    [{ input: 'x', pooling: 'cls' }, 'pooling'],
  ])('refuses %j and names %s', async (body, param) => {
    expect((await server.json('/v1/embeddings', body, 400)).error.param).toBe(param);
  });
});

describe("Ollama's routes", () => {
  test('chat and generate, whole and as lines', async () => {
    const asked = {
      model: 'tales:latest',
      messages: question,
      options: { num_predict: 6, temperature: 0, num_ctx: 512 },
    };
    const text = (await greedy(6)).text;
    const whole = await server.json('/api/chat', { ...asked, stream: false });
    expect(whole).toMatchObject({ message: { content: text }, done: true, done_reason: 'length', eval_count: 6 });
    const lines = await server.events('/api/chat', asked);
    expect(lines.map(({ message }) => message.content).join('')).toBe(text);
    expect(lines.map(({ done }) => done)).toEqual([...lines.slice(1).map(() => false), true]);
    const prompt = 'Tell me a story about a fox.';
    const generated = await server.json('/api/generate', { ...asked, messages: undefined, prompt, stream: false });
    expect(generated.response).toBe(text);
    const raw = await server.json('/api/generate', {
      prompt: 'Once upon a',
      raw: true,
      stream: false,
      options: asked.options,
    });
    expect(raw.response).not.toBe(text);
  });

  test('embed, and what there is to know of models', async () => {
    const { embeddings } = await server.json('/api/embed', { model: 'tales', input: ['a', 'b'] });
    expect(embeddings.map(({ length }) => length)).toEqual([256, 256]);
    expect(await server.json('/api/tags')).toMatchObject({ models: [{ name: 'tales' }] });
    expect(await server.json('/api/ps')).toMatchObject({ models: [{ name: 'tales', context_length: 512 }] });
    // longer than a date can say
    await server.json('/api/generate', {
      prompt: 'Once',
      keep_alive: 1e300,
      stream: false,
      options: { num_predict: 1 },
    });
    expect(await server.json('/api/ps')).toMatchObject({ models: [{ name: 'tales' }] });
    expect(await server.json('/api/show', { model: 'tales' })).toMatchObject({
      capabilities: ['completion', 'embedding', 'tools'],
      model_info: { 'llama.block_count': 8 },
    });
    expect(await server.json('/api/pull', { model: 'tales' })).toEqual({ status: 'success' });
    expect(await server.json('/api/pull', { model: 'other' }, 501)).toMatchObject({ error: expect.any(String) });
    const response = await server.ask('/api/delete', { model: 'tales' }, { method: 'DELETE' });
    expect(response.status).toBe(501);
  });
});

test('tokens, templates, models, properties', async () => {
  const { tokens } = await server.json('/tokenize', { content: 'A fox ran.' });
  expect(await server.json('/detokenize', { tokens })).toEqual({ content: 'A fox ran.', prompt: 'A fox ran.' });
  expect((await server.json('/tokenize', { prompt: 'A fox ran.' })).tokens).toEqual([
    model.tokenizer?.bosId,
    ...tokens,
  ]);
  expect(await server.json('/apply-template', { messages: question })).toEqual({
    prompt: model.tokenizer?.applyChatTemplate(question as never, { addGenerationPrompt: true }),
  });
  expect(await server.json('/v1/models')).toMatchObject({
    data: [{ id: 'tales', meta: { n_ctx: 512, n_vocab: 4096 } }],
  });
  expect(await server.json('/v1/models/tales')).toMatchObject({ id: 'tales' });
  await server.json('/v1/models/other', undefined, 404);
  expect(await server.json('/props')).toMatchObject({ total_slots: 4, eos_token: '<|end|>' });
  expect(await server.json('/tokenizer_info')).toMatchObject({ bos_token: '<s>', eos_token: '<|end|>' });
  expect(await server.json('/health')).toEqual({ status: 'ok' });
  const metrics = await (await server.ask('/metrics')).text();
  expect(metrics).toMatch(/relufy:tokens_predicted_total\{model="tales"\} \d+/);
  expect(metrics).toMatch(/relufy:weight_bytes_skipped_total\{model="tales"\} \d+/);
});

test('what is no JSON, too large, or no route', async () => {
  for (const body of ['', '{', '[]', 'null', '"x"', `${'['.repeat(5000)}`, '{"messages": NaN']) {
    const { error } = await server.json('/v1/chat/completions', body, 400);
    expect(error.code).toBe('invalid_json');
  }
  const large = served({ models: [tales()], bodyBytes: 100 });
  const response = await large.ask('/v1/completions', { prompt: 'x'.repeat(200) });
  expect(response.status).toBe(413);
  expect((await server.ask('/v1/nothing')).status).toBe(404);
  expect((await server.ask('/v1/chat/completions')).status).toBe(404);
});
