// Requests at the edges of each route's fields: what clients of OpenAI and Ollama send now and then, and what must be refused by
// name. What every client sends is in handler.test.ts.
import { loadModel, type Model } from '@relufy/models';
import type { Tokenizer } from '@relufy/tokenizer';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { loaded, type Served, served, talesFolder } from './testing/served.js';

const messages = [{ role: 'user', content: 'Tell me a story about a fox.' }];
const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 10 } }, required: ['city'] };
const tools = ['get_weather', 'get_time'].map((name) => ({ type: 'function', function: { name, parameters } }));

let model: Model;
let server: Served;
beforeAll(async () => {
  model = await loadModel(talesFolder, { threads: 1, slots: 4 });
  server = served({ models: [loaded('tales', model)] });
});
afterAll(() => server.handler.close());

describe('/v1/completions', () => {
  const asked = { prompt: 'Once upon a', max_tokens: 3, seed: 5, temperature: 1.5 };

  test('several answers to several prompts, streamed as they are whole, each under its index', async () => {
    const several = { ...asked, prompt: ['Once upon a', 'The sun'], n: 2, logprobs: 1, echo: true };
    const { choices } = await server.json('/v1/completions', several);
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(choices.map(({ text }) => /^(Once upon a|The sun)/.exec(text)?.[1])).toEqual([
      ...['Once upon a', 'Once upon a'],
      ...['The sun', 'The sun'],
    ]);
    const chunks = await server.events('/v1/completions', { ...several, stream: true });
    for (const { index, text, logprobs } of choices) {
      const own = chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index));
      expect(own.map((choice) => choice.text).join('')).toBe(text);
      for (const key of ['tokens', 'token_logprobs', 'text_offset'] as const)
        expect(own.flatMap((choice) => [...(choice.logprobs?.[key] ?? [])])).toEqual(logprobs?.[key]);
      expect(own.filter((choice) => choice.finish_reason !== null)).toHaveLength(1);
    }
  });

  test('an echo of what is only scored, in a stream too', async () => {
    const scored = { ...asked, max_tokens: 0, echo: true, logprobs: 2 };
    const { choices } = await server.json('/v1/completions', scored);
    const chunks = await server.events('/v1/completions', { ...scored, stream: true });
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe('Once upon a');
    const streamed = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.token_logprobs ?? []);
    expect(streamed).toEqual(choices[0]?.logprobs?.token_logprobs);
    expect(streamed[0]).toBeNull();
    expect(streamed).toHaveLength((await model.encode('Once upon a')).length);
  });

  test('no prompt is an empty one, and the most alternatives are as many as there are', async () => {
    const none = await server.json('/v1/completions', { ...asked, prompt: null });
    expect(none.choices[0]?.text).toBe(
      (await server.json('/v1/completions', { ...asked, prompt: '' })).choices[0]?.text,
    );
    const { choices } = await server.json('/v1/completions', { ...asked, max_tokens: 1, logprobs: 100 });
    expect(Object.keys(choices[0]?.logprobs?.top_logprobs[0] ?? {}).length).toBeGreaterThan(90);
  });

  test.each([
    [{ stop: '' }, 'stop'],
    [{ prompt: [-1] }, 'prompt'],
    [{ prompt: [[1], [4096]] }, 'prompt[1]'],
    [{ logprobs: -1 }, 'logprobs'],
    [{ max_tokens: -3 }, 'max_tokens'],
  ])('refuses %j and names %s', async (body, param) => {
    for (const stream of [false, true])
      expect((await server.json('/v1/completions', { ...asked, ...body, stream }, 400)).error.param).toBe(param);
  });
});

describe('/v1/chat/completions', () => {
  const short = { messages, max_tokens: 6, temperature: 0 };
  const text = async (body: object) => (await server.json('/v1/chat/completions', body)).choices[0]?.message.content;

  test('takes what newer clients send: the role developer, a refusal among earlier parts', async () => {
    const system = (role: string) => ({ ...short, messages: [{ role, content: 'Be brief.' }, ...messages] });
    expect(await text(system('developer'))).toBe(await text(system('system')));
    const turns = (content: unknown) => ({
      ...short,
      messages: [...messages, { role: 'assistant', content }, ...messages],
    });
    expect(await text(turns([{ type: 'refusal', refusal: 'I cannot.' }]))).toBe(await text(turns('I cannot.')));
  });

  test('refuses more variables of a template than any reads, before they are copied', async () => {
    const variables = (count: number) => ({
      ...short,
      chat_template_kwargs: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i])),
    });
    expect(await text(variables(1000))).toBe(await text(short));
    const began = process.cpuUsage();
    const { error } = await server.json('/v1/chat/completions', variables(200_000), 400);
    expect(error).toMatchObject({ param: 'chat_template_kwargs' });
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2);
  });

  test('a template of a request that loops, searches or nests without end is one refusal', async () => {
    const began = process.cpuUsage();
    for (const chat_template of [
      `{% set x = "a" * 900000 %}{{ x.rfind("a" * 400000 ~ "b") }}`,
      '{% set c = cycler(*range(99999)) %}{% for i in range(99999) %}{% set y = c.items %}{% endfor %}',
      `{{ 1${' + 1'.repeat(100_000)} }}`,
    ])
      expect(
        (await server.ask('/v1/chat/completions', { ...short, chat_template, max_tokens: 1 })).status,
      ).toBeLessThan(500);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(5);
  });

  test('a form beside tools: the answer is JSON that fits, or a call', async () => {
    const schema = { type: 'object', properties: { kind: { enum: ['fox', 'owl'] } }, required: ['kind'] };
    const form = { type: 'json_schema', json_schema: { name: 'animal', schema } };
    const asked = { messages, tools, response_format: form, max_tokens: 200, temperature: 1.5 };
    const biased = async (towards: string, seed: number, stream = false) => {
      const [id] = (model.tokenizer as Tokenizer).encode(towards, { addSpecialTokens: false }) as [number];
      const body = { ...asked, seed, logit_bias: { [id]: 30 } };
      if (!stream) return (await server.json('/v1/chat/completions', body)).choices[0];
      const chunks = await server.events('/v1/chat/completions', { ...body, stream });
      const deltas = chunks.map((chunk) => chunk.choices[0]?.delta ?? {});
      return {
        finish_reason: chunks.at(-1)?.choices[0]?.finish_reason,
        message: { content: deltas.map(({ content }) => content ?? '').join(''), tool_calls: undefined },
        names: deltas.flatMap(({ tool_calls }) => tool_calls?.map((call) => call.function.name) ?? []),
      };
    };
    for (const stream of [false, true]) {
      const answer = await biased('{"', 1, stream);
      expect(answer?.finish_reason).toBe('stop');
      expect(new Ajv2020().compile(schema)(JSON.parse(answer?.message.content ?? ''))).toBe(true);
    }
    const called = await biased('<', 2);
    expect(called).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
    for (const { function: call } of called?.message.tool_calls ?? []) {
      expect(['get_weather', 'get_time']).toContain(call.name);
      expect(JSON.parse(call.arguments)).toMatchObject({ city: expect.any(String) });
    }
    expect((await biased('<', 2, true))?.finish_reason).toBe('tool_calls');
  });

  test('tools that are allowed are the only ones', async () => {
    const allowed = (names: readonly string[]) => ({
      type: 'allowed_tools',
      allowed_tools: { mode: 'required', tools: names.map((name) => ({ type: 'function', function: { name } })) },
    });
    for (const seed of [1, 2, 3]) {
      const body = { messages, tools, tool_choice: allowed(['get_time']), seed, max_tokens: 200, temperature: 1.5 };
      const { choices } = await server.json('/v1/chat/completions', { ...body, parallel_tool_calls: false });
      expect(choices[0]?.message.tool_calls?.[0]?.function.name).toBe('get_time');
    }
    const { error } = await server.json('/v1/chat/completions', { messages, tools, tool_choice: allowed(['x']) }, 400);
    expect(error.param).toBe('tool_choice.allowed_tools.tools[0].function.name');
  });

  test.each([
    [{ $ref: '#' }],
    [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }],
    [{ anyOf: [{ $ref: '#/$defs/a' }], $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }] } } }],
    [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }],
    [{ $ref: '#/$defs/missing' }],
    [{ $ref: 'https://example.com/schema' }],
  ])('a schema that nothing finite fits, or that refers to nothing, is refused: %j', async (schema) => {
    const body = { messages, max_tokens: 20, response_format: { type: 'json_schema', json_schema: { schema } } };
    const { error } = await server.json('/v1/chat/completions', body, 400);
    expect(error.param).toBe('response_format');
  });

  test.each([
    [{ tools: [tools[0], tools[0]] }, 'tools[1].function.name'],
    [{ tools, tool_choice: { type: 'function', function: {} } }, 'tool_choice.function.name'],
    [{ tools, tool_choice: { type: 'custom', custom: { name: 'get_time' } } }, 'tool_choice'],
    [{ tool_choice: { type: 'function', function: { name: 'get_time' } } }, 'tool_choice.function.name'],
    [{ tools, tool_choice: { type: 'allowed_tools' } }, 'tool_choice.allowed_tools.tools'],
    [{ logprobs: true, top_logprobs: -1 }, 'top_logprobs'],
    [{ stop: '' }, 'stop'],
  ])('refuses %j and names %s', async (body, param) => {
    const { error } = await server.json('/v1/chat/completions', { ...short, ...body }, 400);
    expect(error.param).toBe(param);
  });
});

describe('/v1/responses', () => {
  test('refuses a prompt that is kept elsewhere, and tells what it was asked', async () => {
    const { error } = await server.json('/v1/responses', { prompt: { id: 'pmpt_1' }, input: 'x' }, 400);
    expect(error.param).toBe('prompt');
    const tool_choice = { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'get_time' }] };
    const flat = tools.map(({ type, function: given }) => ({ type, ...given }));
    const asked = { input: 'x', tools: flat, tool_choice, max_output_tokens: 200, temperature: 1.5 };
    expect(await server.json('/v1/responses', { ...asked, parallel_tool_calls: false })).toMatchObject({
      output: [{ type: 'function_call', name: 'get_time' }],
      text: { format: { type: 'text' } },
      tool_choice,
    });
  });
});

test('tokens that are a part of a character are told as bytes', async () => {
  const { tokens } = await server.json('/tokenize', { content: 'é\u{1f98a}', with_pieces: true });
  const bytes = (tokens as unknown as { piece: string | number[] }[]).flatMap(({ piece }) =>
    typeof piece === 'string' ? [...Buffer.from(piece)] : piece,
  );
  expect(bytes).toEqual([...Buffer.from('é\u{1f98a}')]);
});

describe("Ollama's routes", () => {
  const options = { num_predict: 6, temperature: 0 };

  test('a context goes on where the answer before it ended', async () => {
    type Told = { readonly context: readonly number[]; readonly response: string; readonly prompt_eval_count: number };
    const ask = async (body: object) =>
      (await server.json('/api/generate', { stream: false, options, ...body })) as never as Told;
    const first = await ask({ prompt: 'Tell me a story about a fox.' });
    const turn = (content: string) =>
      model.tokenizer?.encode(
        model.tokenizer.applyChatTemplate([{ role: 'user', content }], { addGenerationPrompt: true }),
        { addSpecialTokens: false },
      ) as readonly number[];
    const prompt = turn('Tell me a story about a fox.');
    expect(first.context.slice(0, prompt.length)).toEqual(prompt);
    expect(model.decode(first.context.slice(prompt.length))).toBe(first.response);
    const second = await ask({ prompt: 'And then?', context: first.context });
    const more = turn('And then?');
    const ids = [...first.context, ...(more[0] === model.tokenizer?.bosId ? more.slice(1) : more)];
    expect(second.prompt_eval_count).toBe(ids.length);
    expect(second.context.slice(0, ids.length)).toEqual(ids);
    const lines = await server.events('/api/generate', { prompt: 'And then?', context: first.context, options });
    expect((lines.at(-1) as never as Told).context).toEqual(second.context);
    expect(await ask({ prompt: 'Once', raw: true })).not.toHaveProperty('context');
  });

  test('a length of -2 is the context, and what cannot be is refused', async () => {
    const all = await server.json('/api/generate', {
      prompt: 'Once upon a time',
      raw: true,
      stream: false,
      options: { num_predict: -2, temperature: 0 },
    });
    expect((all as unknown as { eval_count: number }).eval_count).toBeGreaterThan(16);
    for (const bad of [
      { raw: true, context: [1, 2] },
      { raw: true, system: 'x' },
      { raw: true, template: 'x' },
      { context: [99_999] },
      { context: 'x' },
      { suffix: 'x' },
      { format: 'xml' },
      { think: 7 },
      { options: { num_predict: -3 } },
      { keep_alive: 'soon' },
    ]) {
      const { error } = await server.json('/api/generate', { prompt: 'Once', stream: false, ...bad }, 400);
      expect(error).toMatch(
        new RegExp(Object.keys(bad).at(-1) === 'options' ? 'num_predict' : `${Object.keys(bad).at(-1)}`),
      );
    }
  });

  test('embed cuts what is too long unless told not to, and nothing gives nothing', async () => {
    const input = 'fox '.repeat(2000);
    const long = await server.json('/api/embed', { input });
    expect(long).toMatchObject({ prompt_eval_count: model.contextLength });
    expect(long.embeddings).toHaveLength(1);
    await server.json('/api/embed', { input, truncate: false }, 400);
    for (const none of [{}, { input: '' }, { input: [] }])
      expect((await server.json('/api/embed', none)).embeddings).toEqual([]);
    expect(await server.json('/api/embeddings', { prompt: '' })).toEqual({ embedding: [] });
  });

  test('parameters have the names that Ollama gives them', async () => {
    const { parameters: told } = (await server.json('/api/show', { model: 'tales' })) as never as {
      parameters: string;
    };
    const names = told.split('\n').map((line) => line.split(' ')[0]);
    expect(names.length).toBe(Object.keys(model.recommendedSampling).length);
    expect(names.every((name) => /^[a-z_]*$/.test(name as string))).toBe(true);
    const { default_generation_settings: settings } = (await server.json('/props')) as never as {
      default_generation_settings: { params: object };
    };
    expect(Object.keys(settings.params).every((name) => /^[a-z_]+$/.test(name))).toBe(true);
  });

  test('keep_alive 0 lets the model go when the answer is there', async () => {
    let loads = 0;
    const own = served({
      models: [
        {
          id: 'tales',
          load: (hooks) => {
            loads++;
            return loadModel(talesFolder, { threads: 1, slots: 1, ...hooks });
          },
        },
      ],
    });
    const states = async () => (await own.json('/api/ps')) as never as { models: readonly object[] };
    await own.json('/api/generate', { prompt: 'Once', stream: false, options: { num_predict: 1 }, keep_alive: 0 });
    await vi.waitFor(async () => expect((await states()).models).toEqual([]));
    const none = await own.json('/api/generate', { keep_alive: 0, stream: false });
    expect(none).toMatchObject({ done_reason: 'unload' });
    expect(loads).toBe(1);
    expect(await own.json('/api/chat', { messages: [] })).toMatchObject({ done_reason: 'load' });
    expect((await states()).models).toHaveLength(1);
    expect(loads).toBe(2);
    await own.handler.close();
  });
});
