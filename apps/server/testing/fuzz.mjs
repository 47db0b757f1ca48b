// Requests that no client would send, by the thousand: bodies mutated field by field and byte by byte, odd routes, headers
// and methods. Nothing may be answered with 500 or hang, and what is answered is JSON, or events that parse.
// `node apps/server/testing/fuzz.mjs [--requests 100000] [--seed 1]`; serving.test.ts runs some of them every time.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const tales = fileURLToPath(new URL('../../../packages/llama-tales/model/', import.meta.url));
const messages = [{ role: 'user', content: 'Tell me a story.' }];
const tool = {
  type: 'function',
  function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'integer' } } } },
};

/** Keywords of a schema that are worked out before a token is chosen. */
const schema = {
  type: 'object',
  properties: {
    a: { type: 'integer', minimum: 0, maximum: 99, multipleOf: 7, not: { const: 14 } },
    b: { type: 'array', items: { enum: ['x', 'y', 'z'] }, uniqueItems: true, minItems: 1, maxItems: 2 },
    c: { type: 'string', pattern: '^[a-f]+$', minLength: 1, maxLength: 9, not: { pattern: 'ff' } },
    d: { anyOf: [{ $ref: '#/$defs/e' }, { type: 'null' }] },
  },
  required: ['a'],
  patternProperties: { '^x_': { type: 'number', multipleOf: 0.5 } },
  additionalProperties: { type: 'boolean' },
  propertyNames: { maxLength: 6 },
  minProperties: 1,
  maxProperties: 4,
  $defs: { e: { type: 'string', format: 'date' } },
};

/** A request of each kind that is fine as it is. */
const fine = [
  [
    '/v1/chat/completions',
    { model: 'tales', messages, max_tokens: 2, temperature: 0.5, top_p: 0.9, stop: ['x'], seed: 1, n: 2 },
  ],
  [
    '/v1/chat/completions',
    { messages, max_tokens: 2, stream: true, stream_options: { include_usage: true }, logprobs: true, top_logprobs: 2 },
  ],
  ['/v1/chat/completions', { messages, max_tokens: 3, tools: [tool], tool_choice: 'auto', parallel_tool_calls: true }],
  [
    '/v1/chat/completions',
    { messages, max_tokens: 3, tools: [tool], tool_choice: { type: 'function', function: { name: 'f' } } },
  ],
  [
    '/v1/chat/completions',
    {
      messages,
      max_tokens: 3,
      response_format: { type: 'json_schema', json_schema: { name: 'a', schema: tool.function.parameters } },
    },
  ],
  [
    '/v1/chat/completions',
    { messages, max_tokens: 3, response_format: { type: 'json_schema', json_schema: { schema } } },
  ],
  [
    '/v1/chat/completions',
    {
      messages: [
        ...messages,
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'a', content: '1' },
      ],
      max_tokens: 1,
      chat_template_kwargs: { a: 1 },
    },
  ],
  ['/v1/completions', { prompt: 'Once', max_tokens: 1, echo: true, logprobs: 1, logit_bias: { 5: -1 }, best_of: 2 }],
  ['/v1/completions', { prompt: [[1, 2], [3]], max_tokens: 1, stream: true, suffix: '' }],
  [
    '/v1/responses',
    {
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hi' }] }],
      max_output_tokens: 2,
      stream: true,
      text: { format: { type: 'text' } },
    },
  ],
  ['/v1/embeddings', { input: ['a', 'b'], encoding_format: 'base64', pooling: 'mean' }],
  ['/tokenize', { content: 'Hello', add_special: true, with_pieces: true }],
  ['/detokenize', { tokens: [5, 6, 7] }],
  ['/apply-template', { messages, tools: [tool] }],
  [
    '/api/chat',
    {
      model: 'tales',
      messages,
      options: { num_predict: 2, temperature: 0 },
      keep_alive: '5m',
      think: false,
      format: '',
    },
  ],
  ['/api/generate', { prompt: 'Once', system: 'x', options: { num_predict: 2, seed: 3 }, stream: false, raw: false }],
  ['/api/embed', { input: 'a', truncate: true }],
  ['/api/show', { model: 'tales' }],
];
const oddValues = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1e308,
    -1e308,
    1.5,
    2 ** 53,
    Number.MIN_VALUE,
    '',
    ' ',
    '\u0000',
    '\ud800',
    '__proto__',
  ],
  ...[
    'a'.repeat(5000),
    '{{ 1 }}',
    '../../etc/passwd',
    [],
    {},
    [[]],
    [null],
    [{}],
    { type: 'x' },
    { a: { b: { c: [] } } },
  ],
  ...[
    [1, 'a'],
    ['a', 1],
    [-1],
    [1e9],
    { length: 5 },
    { toString: 1 },
    { constructor: { prototype: { x: 1 } } },
    '-1h',
    'json',
  ],
  { type: 'object', properties: { a: { $ref: '#' } } },
  { type: 'function', function: { name: 'constructor' } },
  { role: 'tool' },
];
const methods = ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'];
const routes = [
  '/',
  '/v1',
  '/v1/models/%00',
  '/v1/models/__proto__',
  '/health',
  '/metrics',
  '/props',
  '/slots',
  '/api/tags',
  '/api/ps',
  '/v1/chat/completions/',
  '//',
  '/%2e%2e/x',
  '/tokenizer_info',
];
const headers = [
  ['content-type', 'text/plain'],
  ['content-type', ''],
  ['authorization', 'Bearer'],
  ['x-api-key', '\u00ff'],
  ['accept', 'x'],
  ['content-length', '5'],
  ['origin', 'null'],
  ['host', 'x:y'],
  ['content-encoding', 'gzip'],
  ['transfer-encoding', 'x'],
];

/** Numbers that a seed gives, in [0, 1). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * One request: where to, and what with.
 * @param {() => number} random
 * @returns {{ path: string, method: string, text?: string, header?: readonly [string, string] | undefined }}
 */
export function mutated(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const [path, body] = pick(fine);
  if (random() < 0.05) return { path: pick(routes), method: pick(methods) };
  if (random() < 0.03) return { path, method: pick(methods) };
  const sent = structuredClone(body);
  const times = 1 + Math.floor(random() * 3);
  for (let i = 0; i < times; i++) mutate(sent, random, pick);
  let text = JSON.stringify(sent);
  if (random() < 0.15) text = bytes(text, random, pick);
  return { path, method: 'POST', text, header: random() < 0.1 ? pick(headers) : undefined };
}

function mutate(value, random, pick) {
  const keys = Object.keys(value);
  if (keys.length === 0) return;
  const key = pick(keys);
  const inner = value[key];
  if (typeof inner === 'object' && inner !== null && random() < 0.6) return mutate(inner, random, pick);
  const how = random();
  if (how < 0.1) delete value[key];
  else if (how < 0.2) value[`${key}${pick(['x', '\u0000', '[0]', ''])}`] = inner;
  else if (how < 0.25)
    Object.defineProperty(value, '__proto__', {
      value: { polluted: 1 },
      enumerable: true,
      configurable: true,
      writable: true,
    });
  else if (how < 0.3 && typeof inner === 'string') value[key] = inner.repeat(3);
  else value[key] = structuredClone(pick(oddValues));
}

function bytes(text, random, pick) {
  const at = Math.floor(random() * text.length);
  return pick([
    text.slice(0, at),
    text.slice(0, at) + pick(['"', '{', '}', ',', '\\', '\u0000', 'NaN', '1e999', '\ud800']) + text.slice(at + 1),
    text + pick(['}', ' x', '\n', text]),
    '['.repeat(1 + Math.floor(random() * 3000)),
    `${text.slice(0, -1)},"n":1,"n":"x"}`,
  ]);
}

/**
 * @param {{ fetch: (request: Request) => Promise<Response> }} handler
 * @param {ReturnType<typeof mutated>} asked
 * @throws Error that shows the request, for an answer that may not be.
 */
export async function checkAnswer(handler, { path, method, text, header }) {
  const shown = `${method} ${path} ${header ?? ''} ${text?.slice(0, 2000) ?? ''}`;
  let request;
  try {
    request = new Request(new URL(path, 'http://127.0.0.1'), {
      method,
      ...(text !== undefined && { body: text }),
      ...(header && { headers: [header] }),
    });
  } catch {
    return 'not sent';
  }
  let timer;
  const hangs = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs: ${shown}`)), 60_000);
  });
  try {
    const answer = async () => {
      const response = await handler.fetch(request);
      return { status: response.status, type: response.headers.get('content-type') ?? '', body: await response.text() };
    };
    const { status, type, body } = await Promise.race([answer(), hangs]);
    if (status >= 500 && status !== 501) throw new Error(`${status}: ${shown}\n${body}`);
    if (type.includes('json') && !type.includes('ndjson') && body !== '') JSON.parse(body);
    if (type.includes('event-stream'))
      for (const line of body.split('\n')) if (line.startsWith('data: {')) JSON.parse(line.slice(6));
    if (/"polluted"/.test(body) && status === 200 && Object.hasOwn(Object.prototype, 'polluted'))
      throw new Error(`polluted: ${shown}`);
    return status;
  } finally {
    clearTimeout(timer);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { requests: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
  });
  const { loadModel } = await import('../../../packages/models/dist/node.js');
  const { createHandler } = await import('../dist/index.js');
  // a request without max_tokens writes until its context is full
  const handler = createHandler({
    deadlineMs: 3000,
    models: [{ id: 'tales', load: (hooks) => loadModel(tales, { slots: 4, threads: 1, ...hooks }) }],
  });
  const random = randomOf(Number(values.seed));
  const counts = new Map();
  const start = performance.now();
  for (let i = 0; i < Number(values.requests); i++) {
    const status = await checkAnswer(handler, mutated(random));
    counts.set(status, (counts.get(status) ?? 0) + 1);
    if (i % 5000 === 4999)
      console.log(
        `${i + 1} requests, ${Math.round(performance.now() - start)} ms, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`,
      );
  }
  if (Object.hasOwn(Object.prototype, 'polluted')) throw new Error('Object.prototype is polluted');
  console.log(Object.fromEntries([...counts].sort()));
  await handler.close();
}
