// Answers that are held to a form, over HTTP: schemas, grammars, calls of tools, whole and streamed.
import { loadModel, type Model } from '@relufy/models';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loaded, type Served, served, type Told, talesFolder } from './testing/served.js';

let server: Served;
let model: Model;
beforeAll(async () => {
  model = await loadModel(talesFolder, { threads: 1, slots: 4 });
  server = served({ models: [loaded('tales', model)] });
});
afterAll(() => server.handler.close());

const messages = [{ role: 'user', content: 'Tell me a story about a fox.' }];
const route = '/v1/chat/completions';
const schema = {
  type: 'object',
  properties: {
    kind: { enum: ['fox', 'owl'] },
    legs: { type: 'integer', minimum: 0, maximum: 100 },
    names: { type: 'array', items: { type: 'string', maxLength: 6 }, maxItems: 2 },
  },
  required: ['kind', 'legs', 'names'],
  additionalProperties: false,
};
const parameters = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 10 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const tools = [
  { type: 'function', function: { name: 'get_weather', description: 'Weather "now" <tool_call>', parameters } },
  { type: 'function', function: { name: 'get_time', parameters: { type: 'object', additionalProperties: false } } },
];
const isValid = (what: object, value: unknown) => new Ajv2020().compile(what)(value);

describe('formats', () => {
  test.each([
    [
      'json_schema',
      { response_format: { type: 'json_schema', json_schema: { name: 'animal', schema, strict: true } } },
    ],
    ['json_object with a schema', { response_format: { type: 'json_object', schema } }],
    ["llama-server's json_schema", { json_schema: schema }],
  ])('%s', async (_, format) => {
    for (const seed of [1, 2, 3]) {
      const { choices } = await server.json(route, { messages, ...format, seed, temperature: 1.5, max_tokens: 200 });
      expect(choices[0]?.finish_reason).toBe('stop');
      expect(isValid(schema, JSON.parse(choices[0]?.message.content ?? ''))).toBe(true);
    }
  });

  test('json_object is an object, or says that its length ended it', async () => {
    const asked = { messages, response_format: { type: 'json_object' }, seed: 5, max_tokens: 60 };
    const { choices } = await server.json(route, asked);
    const [{ finish_reason: end, message }] = choices as [Told['choices'][number]];
    expect(message.content).toMatch(/^\s*\{/);
    if (end === 'stop') expect(typeof JSON.parse(message.content)).toBe('object');
    else expect(end).toBe('length');
  });

  test('the other routes have it too, and a grammar', async () => {
    const format = { type: 'json_schema', name: 'animal', schema };
    const asked = { input: 'A fox', text: { format }, max_output_tokens: 200 };
    const response = (await server.json('/v1/responses', asked)) as unknown as {
      output: { content: { text: string }[] }[];
    };
    expect(isValid(schema, JSON.parse(response.output[0]?.content[0]?.text ?? ''))).toBe(true);
    const ollama = await server.json('/api/chat', {
      messages,
      format: schema,
      stream: false,
      options: { num_predict: 200 },
    });
    expect(isValid(schema, JSON.parse(ollama.message.content))).toBe(true);
    const generated = await server.json('/api/generate', { prompt: 'A fox', format: schema, stream: false });
    expect(isValid(schema, JSON.parse(generated.response))).toBe(true);
    const { choices } = await server.json(route, { messages, grammar: 'root ::= "yes" | "no"' });
    expect(choices[0]?.message.content).toMatch(/^(yes|no)$/);
  });

  test.each([
    [
      { response_format: { type: 'json_schema', json_schema: { schema: { type: 'object', dependentRequired: {} } } } },
      'response_format',
      'dependentRequired',
    ],
    [{ response_format: { type: 'json_schema', json_schema: { schema: { not: {} } } } }, 'response_format', 'not'],
    [{ tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', if: {} } } }] }, 'tools', 'if'],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'xml'],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema.schema', 'schema'],
    [{ grammar: 'root = x' }, 'grammar', 'root'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools[0].function.name', 'a b'],
    [{ tools: [{ type: 'retrieval' }] }, 'tools[0].type', 'retrieval'],
    [{ tool_choice: 'required' }, 'tool_choice', 'tools'],
    [
      { tools, tool_choice: { type: 'function', function: { name: 'other' } } },
      'tool_choice.function.name',
      'get_weather',
    ],
    [{ tools, tool_choice: 'required', response_format: { type: 'json_object' } }, 'response_format', 'tool_choice'],
  ])('refuses %j, names %s and says %s', async (more, param, word) => {
    for (const stream of [false, true]) {
      const { error } = await server.json(route, { messages, ...more, stream, max_tokens: 5 }, 400);
      expect(error.param).toBe(param);
      expect(error.message).toContain(word);
    }
  });
});

describe('tools', () => {
  const asked = { messages, tools, max_tokens: 300, temperature: 1.2 };

  test('a call that is demanded comes, of one of the tools, with arguments that fit', async () => {
    let ends = 0;
    for (const seed of [1, 2, 3, 4]) {
      const { choices } = await server.json(route, {
        ...asked,
        tool_choice: 'required',
        parallel_tool_calls: false,
        seed,
      });
      const [{ message, finish_reason }] = choices as [Told['choices'][number]];
      // the form allows blanks, and the model's context is short: what its length ended says so
      if (finish_reason === 'length') continue;
      ends++;
      expect(finish_reason).toBe('tool_calls');
      expect(message.content).toBeNull();
      expect(message.tool_calls).toHaveLength(1);
      const { name = '', arguments: text } = message.tool_calls?.[0]?.function ?? { arguments: '' };
      const tool = tools.find(({ function: each }) => each.name === name);
      expect(isValid(tool?.function.parameters as object, JSON.parse(text))).toBe(true);
    }
    expect(ends).toBeGreaterThan(0);
  });

  test('one that is named comes, streamed in parts as clients put them together', async () => {
    const named = {
      ...asked,
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
      seed: 4,
      logprobs: true,
      parallel_tool_calls: false,
    };
    const chunks = await server.events(route, { ...named, stream: true });
    const deltas = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(deltas[0]).toMatchObject({
      index: 0,
      id: expect.any(String),
      function: { name: 'get_weather', arguments: '' },
    });
    expect(deltas.slice(1).every((delta) => delta.index === 0 && delta.function.name === undefined)).toBe(true);
    expect(deltas.length).toBeGreaterThan(4);
    const text = deltas.map(({ function: { arguments: part } }) => part).join('');
    expect(isValid(parameters, JSON.parse(text))).toBe(true);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('tool_calls');
    // log-probabilities of every token, beside the calls
    const tokens = chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []).map(({ token }) => token);
    expect(tokens.join('')).toContain('get_weather');
    const whole = await server.json(route, named);
    expect(whole.choices[0]?.message.tool_calls?.[0]?.function.arguments).toBe(text);
  });

  test('none, auto, and a conversation with calls in it', async () => {
    const none = await server.json(route, { ...asked, tool_choice: 'none', max_tokens: 10 });
    expect(none.choices[0]?.message.tool_calls).toBeUndefined();
    const auto = await server.json(route, { ...asked, max_tokens: 20, temperature: 0 });
    expect(['stop', 'length', 'tool_calls']).toContain(auto.choices[0]?.finish_reason);
    const call = { id: 'abcdefghi', type: 'function', function: { name: 'get_time', arguments: '{}' } };
    const turns = [
      ...messages,
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'abcdefghi', content: 'noon' },
    ];
    const after = await server.json(route, { ...asked, messages: turns, max_tokens: 5, tool_choice: 'none' });
    expect(after.choices[0]?.message.content.length).toBeGreaterThan(0);
  });

  test('in /v1/responses, and for Ollama with arguments as an object', async () => {
    const flat = [{ type: 'function', name: 'get_weather', parameters }];
    const input = {
      input: 'A fox',
      tools: flat,
      tool_choice: 'required',
      parallel_tool_calls: false,
      max_output_tokens: 200,
    };
    const response = (await server.json('/v1/responses', input)) as unknown as {
      output: { type: string; name: string; arguments: string }[];
    };
    expect(response.output[0]).toMatchObject({ type: 'function_call', name: 'get_weather' });
    expect(isValid(parameters, JSON.parse(response.output[0]?.arguments ?? ''))).toBe(true);
    const events = await server.events('/v1/responses', { ...input, stream: true });
    const types = new Set(events.map(({ type }) => type));
    expect(types).toContain('response.function_call_arguments.delta');
    expect(types).toContain('response.function_call_arguments.done');
    const lines = await server.events('/api/chat', { messages, tools, options: { num_predict: 60 } });
    expect(lines.at(-1)).toMatchObject({ done: true });
  });
});
