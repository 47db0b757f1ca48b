// What does not depend on a route: keys, strangers, queues, models that come and go, clients that leave, the end.
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { ErrorBody } from './api-error.js';
import { Lanes } from './lanes.js';
import { type Listening, listen } from './listen.js';
import { createLog } from './log.js';
import { eventsOf, type Served, served, tales } from './testing/served.js';

const open: Served[] = [];
const sockets: Listening[] = [];
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close(0)));
  await Promise.all(open.splice(0).map(({ handler }) => handler.close()));
});
const start = (options: Parameters<typeof served>[0] = {}): Served => {
  const server = served(options);
  open.push(server);
  return server;
};
const listening = async (server: Served, options: Parameters<typeof listen>[1] = {}): Promise<Listening> => {
  const socket = await listen(server.handler, { port: 0, ...options });
  sockets.push(socket);
  return socket;
};

const chat = { messages: [{ role: 'user', content: 'Tell me a story about a fox.' }], temperature: 0 };
const waitFor = async (fits: () => boolean | Promise<boolean>) => {
  for (let i = 0; i < 2000 && !(await fits()); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await fits()).toBe(true);
};

describe('keys and strangers', () => {
  test('a key is asked for everywhere but at /health, and never logged', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'debug', write: (line) => lines.push(line) });
    const server = start({ apiKeys: ['sesame-1', 'sesame-2'], log });
    const withKey = (headers: Record<string, string>) => server.ask('/v1/models', undefined, { headers });
    expect((await server.ask('/v1/models')).status).toBe(401);
    expect((await withKey({ authorization: 'Bearer sesame' })).status).toBe(401);
    expect((await withKey({ authorization: 'sesame-1' })).status).toBe(401);
    expect((await withKey({ authorization: 'Bearer sesame-1' })).status).toBe(200);
    expect((await withKey({ authorization: 'bearer sesame-2' })).status).toBe(200);
    expect((await withKey({ 'x-api-key': 'sesame-2' })).status).toBe(200);
    expect((await server.ask('/health')).status).toBe(200);
    const body = { ...chat, max_tokens: 2, sesame_field: 1 };
    const headers = { authorization: 'Bearer sesame-2' };
    expect((await server.ask('/v1/chat/completions', body, { headers })).status).toBe(200);
    expect(lines.length).toBeGreaterThan(8);
    const log_ = lines.join('').replaceAll('sesame_field', '');
    expect(log_).not.toMatch(/sesame|fox|Once/);
    expect(log_).toContain('"client":"key 2"');
  });

  test('prompts are logged where that is asked for, with whatever they hold escaped', async () => {
    const lines: string[] = [];
    const server = start({ logsPrompts: true, log: createLog({ write: (line) => lines.push(line) }) });
    const content = 'a fox\n{"level":60,"msg":"forged"}\u001b[2J';
    await server.json('/v1/chat/completions', { messages: [{ role: 'user', content }], max_tokens: 1 });
    await waitFor(() => lines.some((line) => line.includes('a fox')));
    expect(lines.join('').trim().split('\n')).toHaveLength(lines.length);
    expect(lines.join('')).not.toContain('\u001b');
  });

  test('pages from elsewhere and other names are refused', async () => {
    const server = start({ hosts: ['127.0.0.1'], origins: ['https://ours.example'] });
    const from = (origin: string) => server.ask('/v1/models', undefined, { headers: { origin } });
    expect((await from('https://evil.example')).status).toBe(403);
    expect((await from('null')).status).toBe(403);
    expect((await from('http://127.0.0.1')).status).toBe(200);
    const ours = await from('https://ours.example');
    expect([ours.status, ours.headers.get('access-control-allow-origin')]).toEqual([200, 'https://ours.example']);
    const preflight = {
      method: 'OPTIONS',
      headers: { origin: 'https://ours.example', 'access-control-request-method': 'POST' },
    };
    expect((await server.ask('/v1/chat/completions', undefined, preflight)).status).toBe(204);
    const renamed = await server.handler.fetch(new Request('http://evil.example/v1/models'));
    expect(renamed.status).toBe(403);
    const any = start({ origins: ['*'] });
    const asked = await any.ask('/v1/models', undefined, { headers: { origin: 'https://other.example' } });
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
    expect((await start().ask('/v1/models')).headers.get('access-control-allow-origin')).toBeNull();
  });

  test('keys of objects in bodies pollute nothing', async () => {
    const server = start();
    for (const text of [
      '{"__proto__":{"polluted":1},"prompt":"x","max_tokens":1}',
      '{"constructor":{"prototype":{"polluted":1}},"prompt":"x","max_tokens":1,"logit_bias":{"__proto__":{"polluted":1}}}',
      '{"\\u005f_proto__":{"temperature":"x"},"prompt":"x","max_tokens":1}',
    ])
      expect((await server.ask('/v1/completions', text)).status).toBe(200);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('the queue', () => {
  test('clients are served round robin, people go before batch jobs, and too many are told to come back', async () => {
    const lanes = new Lanes(1, 4);
    const signal = new AbortController().signal;
    const order: string[] = [];
    const leave = await lanes.enter({ slots: 1, client: 'a', isBatch: false, signal });
    const enter = (name: string, client: string, isBatch = false) =>
      lanes.enter({ slots: 1, client, isBatch, signal }).then((next) => {
        order.push(name);
        next();
      });
    const all = [enter('job', 'j', true), enter('a1', 'a'), enter('a2', 'a'), enter('b1', 'b')];
    await expect(enter('c1', 'c')).rejects.toMatchObject({ status: 429, details: { code: 'queue_full' } });
    leave();
    await Promise.all(all);
    expect(order).toEqual(['b1', 'a1', 'a2', 'job']);
    expect([lanes.busy, lanes.waiting]).toEqual([0, 0]);
  });

  test('who leaves the queue lets others by', async () => {
    const lanes = new Lanes(2, 4);
    const leaving = new AbortController();
    const { signal } = new AbortController();
    const first = await lanes.enter({ slots: 1, client: 'a', isBatch: false, signal });
    const wide = lanes.enter({ slots: 2, client: 'b', isBatch: false, signal: leaving.signal });
    const small = lanes.enter({ slots: 1, client: 'c', isBatch: false, signal });
    leaving.abort(new Error('left'));
    await expect(wide).rejects.toThrow('left');
    (await small)();
    first();
    expect(lanes.busy).toBe(0);
  });

  test('a full server answers 429 with Retry-After', async () => {
    const server = start({ slots: 1, queue: 0 });
    const first = await server.ask('/v1/chat/completions', { ...chat, max_tokens: 300, stream: true });
    const second = await server.ask('/v1/chat/completions', { ...chat, max_tokens: 1 });
    expect(second.status).toBe(429);
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
    await first.body?.cancel();
    await waitFor(async () => (await server.ask('/v1/chat/completions', { ...chat, max_tokens: 1 })).status === 200);
  });

  test('a deadline ends an answer with what there is', async () => {
    const server = start({ deadlineMs: 150 });
    await server.json('/v1/chat/completions', { ...chat, max_tokens: 1 }).catch(() => {});
    const { choices, usage } = await server.json('/v1/chat/completions', { ...chat, ignore_eos: true });
    expect(choices[0]?.finish_reason).toBe('length');
    expect(usage?.completion_tokens).toBeLessThan(500);
  });
});

describe('models', () => {
  test('are loaded when asked for and unloaded when nobody does, within the budget', async () => {
    const loads: string[] = [];
    const watched = (id: string) => {
      const model = tales(id);
      return {
        ...model,
        load: (hooks: Parameters<typeof model.load>[0]) => {
          loads.push(id);
          return model.load(hooks);
        },
      };
    };
    const server = start({ models: [watched('a'), watched('b')], memoryBytes: 40e6, keepAliveMs: 100_000 });
    const states = async () =>
      (await server.json('/v1/models')).data.map(
        (model) => (model as unknown as { status: { value: string } }).status.value,
      );
    expect(await states()).toEqual(['unloaded', 'unloaded']);
    const ask = (model: string | undefined, more = {}) =>
      server.json('/v1/completions', { model, prompt: 'x', max_tokens: 1, ...more });
    await Promise.all([ask('a'), ask('a')]);
    expect([loads, await states()]).toEqual([['a'], ['loaded', 'unloaded']]);
    expect((await ask('b')).model).toBe('b');
    expect(await states()).toEqual(['unloaded', 'loaded']);
    expect((await ask(undefined)).model).toBe('a');
    await ask('a', { keep_alive: 0 });
    await waitFor(async () => (await states()).every((state) => state === 'unloaded'));
    expect((await server.json('/v1/completions', { model: 'c', prompt: 'x' }, 404)).error.code).toBe('model_not_found');
  });

  test('one that needs more than the budget, or cannot be loaded, is an error of its own requests', async () => {
    const broken = { id: 'broken', load: () => Promise.reject(new Error('no such disk')) };
    const server = start({ models: [tales(), broken], memoryBytes: 1e6 });
    expect((await server.json('/v1/completions', { prompt: 'x' }, 503)).error.code).toBe('no_memory');
    expect((await server.json('/v1/completions', { model: 'broken', prompt: 'x' }, 500)).error.message).not.toContain(
      'disk',
    );
    expect((await server.ask('/health')).status).toBe(200);
  });

  test('while the first one loads, the server says how far it is', async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const model = tales();
    const server = start({
      models: [
        {
          ...model,
          load: async (hooks) => {
            hooks.onProgress({ status: 'progress', name: 'x', file: 'y', loaded: 1, total: 4, progress: 25 });
            await gate;
            return model.load(hooks);
          },
        },
      ],
    });
    const loading = server.handler.preload('tales');
    await waitFor(
      async () => ((await (await server.ask('/health')).json()) as { progress?: number }).progress === 0.25,
    );
    expect((await server.ask('/health')).status).toBe(503);
    expect((await server.json('/v1/completions', { prompt: 'x' }, 503)).error.message).toContain('25 %');
    go();
    await loading;
    expect((await server.ask('/health')).status).toBe(200);
  });
});

describe('on a socket', () => {
  test('streams arrive as they are made, and a client that leaves frees its slot', async () => {
    const server = start({ slots: 1, queue: 0 });
    const { url } = await listening(server);
    const leaving = new AbortController();
    const body = JSON.stringify({ ...chat, stream: true, ignore_eos: true });
    const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body, signal: leaving.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = await reader.read();
    expect(eventsOf(new TextDecoder().decode(first.value)).length).toBeGreaterThan(0);
    leaving.abort();
    const again = () => fetch(`${url}/v1/completions`, { method: 'POST', body: '{"prompt":"x","max_tokens":1}' });
    await waitFor(async () => (await again()).status === 200);
    // the same before anything was sent
    const early = new AbortController();
    const whole = fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...chat, ignore_eos: true }),
      signal: early.signal,
    });
    await waitFor(async () => (await again()).status === 429);
    early.abort();
    await expect(whole).rejects.toThrow();
    await waitFor(async () => (await again()).status === 200);
  });

  test('pings fill a silence', async () => {
    const model = tales();
    const slow = {
      ...model,
      load: async (hooks: Parameters<typeof model.load>[0]) => {
        await new Promise((resolve) => setTimeout(resolve, 400));
        return model.load(hooks);
      },
    };
    const server = start({ models: [slow], pingMs: 50 });
    const { url } = await listening(server);
    const body = JSON.stringify({ ...chat, stream: true, max_tokens: 2 });
    const text = await (await fetch(`${url}/v1/chat/completions`, { method: 'POST', body })).text();
    expect(text).toMatch(/^(: still at work\n\n)+data: /);
    expect(eventsOf(text).at(-1)?.choices[0]?.finish_reason).toBe('length');
    // before it is silent for so long, a request that fails has its status
    const patient = await listening(start());
    const bad = await fetch(`${patient.url}/v1/chat/completions`, {
      method: 'POST',
      body: '{"stream":true,"messages":[]}',
    });
    expect(bad.status).toBe(400);
  });

  test('who does not read what was asked for is cut off', async () => {
    const { port } = await listening(start(), { stallMs: 300 });
    const body = JSON.stringify({ content: 'fox '.repeat(500_000), with_pieces: true });
    let read = 0;
    const announced = await new Promise<number>((resolve) => {
      const headers = { 'content-length': Buffer.byteLength(body) };
      const asked = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/tokenize', headers }, (response) => {
        const length = Number(response.headers['content-length'] ?? Number.POSITIVE_INFINITY);
        response.on('error', () => {});
        response.on('close', () => resolve(length));
        setTimeout(
          () =>
            response.on('data', (data: Buffer) => {
              read += data.length;
            }),
          1500,
        );
      });
      asked.on('error', () => {});
      asked.end(body);
    });
    expect(read).toBeLessThan(Math.min(announced, 10e6));
  });

  test('who takes too long to ask is cut off', async () => {
    const { port } = await listening(start(), { requestTimeoutMs: 300 });
    const cut = (text: string) =>
      new Promise<string>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(text));
        let heard = '';
        socket
          .on('data', (data) => {
            heard += data;
          })
          .on('close', () => resolve(heard))
          .on('error', () => {});
      });
    const errorIn = (heard: string) => (JSON.parse(heard.split('\r\n\r\n')[1] as string) as ErrorBody).error;
    expect(await cut('POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"pro')).toMatch(
      /^HTTP\/1.1 4\d\d/,
    );
    // a status that clients ask again after, and a body that they read
    const late = await cut('GET /health HTTP/1.1\r\nHos');
    expect(late).toMatch(/^HTTP\/1.1 408 /);
    expect(errorIn(late).message).toMatch(/Send it again/);
    const refused = await cut('nonsense\r\n\r\n');
    expect(refused).toMatch(/^HTTP\/1.1 400 /);
    expect(errorIn(refused).type).toBe('invalid_request_error');
  });

  test('the end lets answers end, refuses new ones, and cuts off what takes too long', async () => {
    const server = start();
    const socket = await listening(server);
    const ask = (more: object) =>
      fetch(`${socket.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ ...chat, ...more }) });
    const running = ask({ max_tokens: 40, stream: true, ignore_eos: true });
    const text = (await running).text();
    const closing = socket.close(10_000);
    expect((await server.ask('/health')).status).toBe(503);
    expect(eventsOf(await text).at(-1)?.choices[0]?.finish_reason).toBe('length');
    await closing;
    await expect(ask({})).rejects.toThrow();

    const other = start();
    const second = await listening(other);
    const body = JSON.stringify({ ...chat, stream: true, ignore_eos: true, n: 8 });
    const stream = (await fetch(`${second.url}/v1/chat/completions`, { method: 'POST', body })).text();
    await second.close(0);
    expect(eventsOf(await stream).at(-1)?.error).toMatchObject({ code: 'shutting_down' });
  });

  test('a taken port is one clear error', async () => {
    const { port } = await listening(start());
    await expect(listen(start().handler, { port })).rejects.toThrow(/expected a free port, got one in use/);
  });

  test('odd addresses, methods and headers are answered, not obeyed', async () => {
    const { port } = await listening(start({ hosts: ['127.0.0.1'] }));
    const status = (path: string, options: object = {}) =>
      new Promise<number | undefined>((resolve) => {
        const asked = httpRequest({ port, host: '127.0.0.1', path, ...options }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on('error', () => resolve(undefined));
        asked.end();
      });
    expect(await status('/..%2f..%2fetc/passwd')).toBe(404);
    expect(await status('/v1/models/..%2f..')).toBe(404);
    expect(await status('//evil.example/v1/models')).toBe(404);
    expect(await status('/v1/models', { method: 'TRACE' })).toBeGreaterThanOrEqual(400);
    expect(await status('/v1/models', { headers: { host: 'evil.example' } })).toBe(403);
    expect(await status('/v1/models', { headers: { 'content-length': '-1' } })).not.toBe(500);
    expect(await status('/v1/models/%E0%A4%A')).not.toBe(500);
  });
});
