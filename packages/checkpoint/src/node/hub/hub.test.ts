import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { entry, f32, messageOf, safetensors } from '../../../testing/craft.js';
import { commit, FakeHub, fail, gitHash, sha256 } from '../../../testing/fake-hub.js';
import { openCheckpoint } from '../../index.js';
import { type HubOptions, type HubProgress, hubFiles, parseHubId } from '../../node.js';
import { hubCacheDir, hubToken } from './environment.js';
import { proxyFetch, proxyFor } from './proxy.js';
import { selectFiles } from './select.js';

const hub = new FakeHub();
const weights = safetensors(
  { x: entry('F32', [25_000, 4], 0, 400_000) },
  new Uint8Array(400_000).map((_, i) => i),
);
const config = new TextEncoder().encode('{"model_type":"llama"}');
let cacheDir: string;

beforeAll(() => hub.start());
afterAll(() => hub.stop());
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'relufy-hub-'));
  for (const name of [
    'HF_TOKEN',
    'HF_HUB_OFFLINE',
    'HTTP_PROXY',
    'http_proxy',
    'ALL_PROXY',
    'all_proxy',
    'NO_PROXY',
    'no_proxy',
  ])
    vi.stubEnv(name, '');
  vi.stubEnv('HF_ENDPOINT', `${hub.url}/`);
  vi.stubEnv('HF_HOME', join(cacheDir, 'home'));
  vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '10');
  hub.files.clear();
  hub.files.set('config.json', { content: config });
  hub.files.set('model.safetensors', { content: weights, large: true });
  hub.files.set('README.md', { content: config });
  hub.files.set('pytorch_model.bin', { content: weights, large: true });
  hub.fault = () => false;
  hub.requests.length = 0;
  hub.tokens.length = 0;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cacheDir, { recursive: true, force: true });
});

const load = (options: HubOptions = {}, id = 'user/model') =>
  hubFiles(id, { cacheDir, retry: { attempts: 3, pauseMs: 5 }, ...options });
const root = () => join(cacheDir, 'models--user--model');
const isBody = (path: string, range: string | undefined) => path.endsWith('model.safetensors') && range !== 'bytes=0-0';

describe('a model of the hub', () => {
  it('comes into the cache as Python lays it out, once', async () => {
    const files = await load();
    expect(files.name).toBe('user/model');
    expect(await files.readText('config.json')).toBe('{"model_type":"llama"}');
    const checkpoint = await openCheckpoint(files);
    expect((await checkpoint.readRows('x', 0, 1)).data.byteLength).toBe(16);
    await checkpoint.close();
    expect(await readFile(join(root(), 'refs', 'main'), 'utf8')).toBe(commit);
    expect((await readdir(join(root(), 'blobs'))).sort()).toEqual([gitHash(config), sha256(weights)].sort());
    expect((await readdir(join(root(), 'snapshots', commit))).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(await readlink(join(root(), 'snapshots', commit, 'config.json'))).toBe(`../../blobs/${gitHash(config)}`);
    hub.requests.length = 0;
    await load();
    expect(hub.bodies()).toEqual([]);
  });

  it('has a progress over all files', async () => {
    const events: HubProgress[] = [];
    await load({ onProgress: (event) => events.push(event) });
    const total = config.byteLength + weights.byteLength;
    expect(events.filter(({ status }) => status === 'initiate').length).toBe(2);
    expect(events.filter(({ status }) => status === 'done').length).toBe(2);
    const totals = events.filter((event) => event.status === 'progress_total');
    expect(totals.at(-1)).toMatchObject({
      loaded: total,
      total,
      progress: 100,
      files: { 'config.json': { loaded: config.byteLength } },
    });
    for (const [i, event] of totals.entries())
      if (i > 0) expect(event.loaded).toBeGreaterThanOrEqual(totals[i - 1]!.loaded);
  });

  it('may be sharded, in a folder, at a revision, a .bin, a GGUF', async () => {
    const shard = (name: string) => safetensors({ [name]: entry('F32', [1], 0, 4) }, f32(1));
    hub.files.set('model.safetensors.index.json', {
      content: new TextEncoder().encode('{"weight_map":{"a":"one","b":"two"}}'),
    });
    hub.files.set('one', { content: shard('a'), large: true });
    hub.files.set('two', { content: shard('b'), large: true });
    hub.files.set('three', { content: shard('c'), large: true });
    const sharded = await openCheckpoint(await load({ revision: commit }));
    expect([...sharded.tensors.keys()]).toEqual(['a', 'b']);
    await sharded.close();
    expect(await readdir(join(root(), 'snapshots', commit))).not.toContain('three');
    expect(await readdir(root())).not.toContain('refs');

    hub.files.clear();
    hub.files.set('sub/config.json', { content: config });
    hub.files.set('sub/model.safetensors', { content: weights, large: true });
    expect(await (await load({ subfolder: 'sub' })).readText('config.json')).toBe('{"model_type":"llama"}');

    hub.files.clear();
    hub.files.set('m-Q4_0.gguf', { content: new Uint8Array(64), large: true });
    hub.files.set('m-Q8_0.gguf', { content: new Uint8Array(65), large: true });
    expect(await messageOf(() => load(), 'option')).toContain(
      'Q4_0, Q8_0. Name one of them, as in "hf:user/model:Q8_0"',
    );
    expect(await (await load({}, 'hf:user/model:q8_0')).list?.()).toEqual(['m-Q8_0.gguf']);
    expect(await (await load({ localFilesOnly: true }, 'hf:user/model:Q8_0')).list?.()).toEqual(['m-Q8_0.gguf']);
  });

  it('needs no network when told so, or when there is none', async () => {
    expect(await messageOf(() => load({ localFilesOnly: true }), 'io')).toContain(
      'expected in the cache because of localFilesOnly',
    );
    await load();
    hub.requests.length = 0;
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await (await load()).readText('config.json')).toBeDefined();
    expect(hub.requests).toEqual([]);
    vi.stubEnv('HF_HUB_OFFLINE', '');
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9');
    const events: HubProgress[] = [];
    expect(await (await load({ onProgress: (event) => events.push(event) })).readText('config.json')).toBeDefined();
    expect(events).toMatchObject([{ status: 'cached' }]);
    expect(await messageOf(() => load({}, 'user/other'), 'io')).toMatch(
      /expected an answer from http:\/\/127.0.0.1:9, got .*3 times/,
    );
  });

  it('gets the token, and nobody else does', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await load();
    expect(new Set(hub.tokens)).toEqual(new Set(['Bearer hf_secret']));
    hub.tokens.length = 0;
    await load({ token: false, cacheDir: join(cacheDir, 'other') });
    expect(new Set(hub.tokens)).toEqual(new Set([undefined]));
    expect(await messageOf(() => load({ token: 'nonsense' }), 'io')).toContain('hf_');
  });
});

describe('connections', () => {
  it('that break are resumed where they ended', async () => {
    let breaks = 0;
    hub.fault = (request, response, path) => {
      if (!isBody(path, request.headers.range) || breaks >= 3) return false;
      breaks++;
      const begin = Number(/(\d+)-/.exec(request.headers.range ?? '0-')?.[1]);
      response.writeHead(begin === 0 ? 200 : 206, {
        'content-length': weights.byteLength - begin,
        'content-range': `bytes ${begin}-${weights.byteLength - 1}/${weights.byteLength}`,
      });
      response.write(weights.subarray(begin, begin + 100_000));
      setTimeout(() => response.destroy(), 20);
      return true;
    };
    const checkpoint = await openCheckpoint(await load());
    expect((await checkpoint.readRows('x', 24_999, 1)).data).toEqual(weights.subarray(-16));
    await checkpoint.close();
    expect(hub.bodies().filter((line) => line.includes('model.safetensors')).length).toBe(4);
    expect(hub.bodies().some((line) => /bytes=\d{5,}-$/.test(line))).toBe(true);
  });

  it('that stand still are given up after the limit', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.2');
    hub.fault = (request, response, path) => {
      if (!isBody(path, request.headers.range)) return false;
      response.writeHead(206, { 'content-length': 400_000, 'content-range': `bytes 0-399999/400000` }).flushHeaders();
      return true;
    };
    expect(await messageOf(() => load(), 'io')).toMatch(
      /model.safetensors, expected \d+ bytes, got 0, then no byte within 200 ms, 3 times/,
    );
  });

  it('go on in a later run, also when the server ignores ranges', async () => {
    for (const ignoresRange of [false, true]) {
      await rm(root(), { recursive: true, force: true });
      await mkdir(join(root(), 'blobs'), { recursive: true });
      const partial = join(root(), 'blobs', `${sha256(weights)}.relufy.incomplete`);
      await writeFile(partial, weights.subarray(0, 300_000));
      hub.requests.length = 0;
      hub.fault = (request, response, path) => {
        if (!ignoresRange || !isBody(path, request.headers.range)) return false;
        response.end(weights);
        return true;
      };
      await load();
      expect(hub.bodies().some((line) => line.endsWith('bytes=300000-'))).toBe(true);
      expect((await readFile(join(root(), 'blobs', sha256(weights)))).equals(weights)).toBe(true);
    }
  });

  it('are aborted by the signal, and the part is kept', async () => {
    const controller = new AbortController();
    hub.fault = (request, response, path) => {
      if (!isBody(path, request.headers.range)) return false;
      response.writeHead(200, { 'content-length': weights.byteLength });
      response.write(weights.subarray(0, 1000));
      setTimeout(() => controller.abort(new Error('stop')), 100);
      return true;
    };
    await expect(load({ signal: controller.signal })).rejects.toThrow('stop');
    hub.fault = () => false;
    expect(await readdir(join(root(), 'blobs'))).toContain(`${sha256(weights)}.relufy.incomplete`);
    await load();
    expect(hub.bodies().at(-1)).toContain('bytes=1000-');
    await expect(load({ signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early');
  });
});

describe('answers', () => {
  const status = (code: number, error?: string, headers?: Record<string, string>) => (path: RegExp) => {
    hub.fault = (_, response, at) => {
      if (!path.test(at)) return false;
      fail(response, code, error, headers);
      return true;
    };
  };
  const cases: [string, ReturnType<typeof status>, RegExp][] = [
    [
      '401',
      status(401, 'RepoNotFound'),
      /expected a model of this name, got status 401 \(RepoNotFound\).*set HF_TOKEN/,
    ],
    ['403 of a gated model', status(403, 'GatedRepo'), /Accept its terms on http:.*\/user\/model, then set HF_TOKEN/],
    ['403', status(403), /Check that the token/],
    ['404', status(404), /expected a model of this name/],
    ['404 of a revision', status(404, 'RevisionNotFound'), /expected this revision/],
    ['429', status(429, undefined, { 'retry-after': '0' }), /got status 429, 3 times. Wait a few minutes/],
    ['500', status(500), /got status 500, 3 times/],
    ['418', status(418), /got status 418/],
  ];
  for (const [name, stub, expected] of cases)
    it(`with ${name} are one error`, async () => {
      stub(/\/revision\//);
      expect(await messageOf(() => load(), 'io')).toMatch(expected);
      stub(/resolve.*config.json/);
      expect(await messageOf(() => load(), 'io')).toMatch(expected);
    });

  it('with 503 and then the file are no error', async () => {
    const seen = new Map<string, number>();
    hub.fault = (_, response, path) => {
      seen.set(path, (seen.get(path) ?? 0) + 1);
      if (seen.get(path) !== 1) return false;
      fail(response, 503);
      return true;
    };
    expect(await (await load()).readText('config.json')).toBeDefined();
  });

  it('with a wrong size are one error', async () => {
    hub.fault = (request, response, path) => {
      if (!path.endsWith('config.json') || request.headers.range !== 'bytes=0-0') return false;
      response.writeHead(206, { 'content-range': 'bytes 0-0/5', etag: '"x"' }).end('{');
      return true;
    };
    expect(await messageOf(() => load(), 'io')).toContain('expected 22 bytes of "config.json"');
    await rm(root(), { recursive: true, force: true });
    hub.fault = (request, response, path) => {
      if (!isBody(path, request.headers.range)) return false;
      response.end(Buffer.concat([weights, weights]));
      return true;
    };
    expect(await messageOf(() => load(), 'io')).toMatch(/model.safetensors, expected \d+ bytes, got more/);
  });

  it('with other bytes are one error, and leave nothing behind', async () => {
    hub.fault = (request, response, path) => {
      if (!isBody(path, request.headers.range)) return false;
      response.end(weights.map((byte) => byte ^ 1));
      return true;
    };
    expect(await messageOf(() => load(), 'io')).toMatch(/expected sha256 hash .*, got /);
    expect((await readdir(join(root(), 'blobs'))).filter((name) => name.startsWith(sha256(weights)))).toEqual([]);
    hub.fault = () => false;
    await load();
  });

  it('that are no hub’s are one error', async () => {
    for (const [path, body] of [
      [/\/revision\//, '{}'],
      [/\/revision\//, '<html>'],
      [/\/tree\//, '{"a":1}'],
      [/\/tree\//, '[{"type":"file","path":"../../x","size":1,"oid":"a"}]'],
      [/\/tree\//, '[{"type":"file","path":"config.json","size":1,"oid":"../../x"}]'],
      [/\/tree\//, '[]'],
    ] as const) {
      hub.fault = (_, response, at) => {
        if (!path.test(at)) return false;
        response.end(body);
        return true;
      };
      const error = await load().then(
        () => undefined,
        (reason: { code: string; message: string }) => reason,
      );
      expect(['io', 'checkpoint'], body).toContain(error?.code);
    }
  });
});

describe('locks', () => {
  it('let one process download what several want', async () => {
    await Promise.all(Array.from({ length: 4 }, () => load()));
    expect(hub.bodies().length).toBe(2);
  });

  it('of a process that died are taken over', async () => {
    const lock = join(cacheDir, '.locks', 'models--user--model', `${sha256(weights)}.relufy`);
    await mkdir(lock, { recursive: true });
    const long = new Date(Date.now() - 60_000);
    await utimes(lock, long, long);
    await load();
    await mkdir(join(cacheDir, '.locks', 'models--user--model', `${gitHash(config)}.relufy`), { recursive: true });
    await rm(root(), { recursive: true, force: true });
    const held = load({ signal: AbortSignal.timeout(300) });
    await expect(held).rejects.toThrow('timeout');
  });
});

describe('proxies', () => {
  it('carry the requests where a variable names one', async () => {
    const seen: string[] = [];
    const proxy = createServer((request, response) => {
      seen.push(`${request.headers['proxy-authorization']} ${request.url}`);
      const { headers, method, url = '' } = request;
      request.pipe(
        httpRequest(url, { method, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        }),
      );
    });
    proxy.on('connect', (request, socket) => {
      seen.push(`CONNECT ${request.url}`);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    vi.stubEnv('HTTP_PROXY', `http://me:pass%20word@127.0.0.1:${port}`);
    vi.stubEnv('HTTPS_PROXY', `127.0.0.1:${port}`);
    await load();
    expect(seen.length).toBe(hub.requests.length);
    expect(seen[0]).toBe(
      `Basic ${Buffer.from('me:pass word').toString('base64')} ${hub.url}/api/models/user/model/revision/main${seen[0]?.slice(seen[0].indexOf('?'))}`,
    );
    vi.stubEnv('HF_ENDPOINT', 'https://hub.example');
    expect(await messageOf(() => load({ cacheDir: join(cacheDir, 'x') }), 'io')).toMatch(
      /answered 403 to CONNECT hub.example:443/,
    );
    expect(seen).toContain('CONNECT hub.example:443');
    proxy.close();
    proxy.closeAllConnections();
  });

  it('are chosen as curl does', () => {
    const env = { HTTPS_PROXY: 'http://p:1', http_proxy: 'q:2', NO_PROXY: 'localhost, .example.org,host:8080' };
    const host = (url: string) => proxyFor(new URL(url), env)?.host;
    expect(host('https://huggingface.co')).toBe('p:1');
    expect(host('http://huggingface.co')).toBe('q:2');
    expect(host('http://localhost:3')).toBeUndefined();
    expect(host('https://a.example.org')).toBeUndefined();
    expect(host('http://host:8080')).toBeUndefined();
    expect(host('http://host:81')).toBe('q:2');
    expect(proxyFor(new URL('https://x'), { ALL_PROXY: 'p:1', no_proxy: '*' })).toBeUndefined();
    expect(() => proxyFor(new URL('https://x'), { ALL_PROXY: 'socks5://p' })).toThrow('only http://');
  });

  it('tunnel https', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'relufy-tls-'));
    const made = await promisify(execFile)('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
        '-addext',
        'subjectAltName=DNS:localhost',
      ],
      ...['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')],
    ]).catch(() => undefined);
    if (!made) return; // no openssl on this machine; the CONNECT above is covered everywhere
    const { createServer: createTls } = await import('node:https');
    const target = createTls(
      { key: await readFile(join(folder, 'key')), cert: await readFile(join(folder, 'cert')) },
      (_, response) => response.end('hello'),
    );
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
    const proxy = createServer();
    proxy.on('connect', (_, socket) => {
      const upstream = connect((target.address() as AddressInfo).port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    vi.stubEnv('HTTPS_PROXY', `http://127.0.0.1:${port}`);
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0'); // nobody signed this certificate
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const response = await proxyFetch('https://localhost:1234/x');
    expect([response.status, response.url, await response.text()]).toEqual([200, 'https://localhost:1234/x', 'hello']);
    vi.restoreAllMocks();
    target.close();
    proxy.close();
    await rm(folder, { recursive: true });
  });
});

it('names are recognised', () => {
  expect(parseHubId('facebook/opt-125m')).toEqual({ repository: 'facebook/opt-125m' });
  expect(parseHubId('gpt2')).toEqual({ repository: 'gpt2' });
  expect(parseHubId('hf:a/b@refs/pr/1')).toEqual({ repository: 'a/b', revision: 'refs/pr/1' });
  expect(parseHubId('hf:a/b@v1.0:Q4_K_M')).toEqual({ repository: 'a/b', revision: 'v1.0', gguf: 'Q4_K_M' });
  for (const text of [
    '',
    './a',
    '/a/b',
    '../a',
    'a/b/c',
    'a/..',
    'a--b/c',
    'a/b@../x',
    'a b',
    'C:\\x',
    '~/x',
    `a/${'b'.repeat(99)}`,
    'a/b.git',
  ])
    expect(parseHubId(text), text).toBeUndefined();
});

it('the environment is read as Python reads it', async () => {
  expect(hubCacheDir({ HF_HUB_CACHE: '/a' })).toBe('/a');
  expect(hubCacheDir({ HF_HOME: '/b' })).toBe(join('/b', 'hub'));
  expect(hubCacheDir({ XDG_CACHE_HOME: '/c' })).toBe(join('/c', 'huggingface', 'hub'));
  expect(await hubToken({ HF_TOKEN: ' hf_a\n' })).toBe('hf_a');
  expect(await hubToken({ HF_TOKEN: 'hf_a', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeUndefined();
  await writeFile(join(cacheDir, 'token'), 'hf_b\n');
  expect(await hubToken({ HF_HOME: cacheDir })).toBe('hf_b');
  expect(await hubToken({ HF_TOKEN_PATH: join(cacheDir, 'none') })).toBeUndefined();
});

it('files are chosen as openCheckpoint looks for them', () => {
  const file = (path: string) => ({ path, size: 1, hash: { kind: 'git' as const, hex: '' } });
  const select = (paths: string[], gguf?: string) => {
    const { files, index } = selectFiles('a/b', paths.map(file), gguf);
    return [...files, ...(index ? [index] : [])].map(({ path }) => path);
  };
  const all = [
    'config.json',
    'flax_model.msgpack',
    'model.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
  ];
  expect(select(all)).toEqual(['config.json', 'model.safetensors.index.json']);
  expect(select(all.slice(0, 3))).toEqual(['config.json', 'model.safetensors']);
  expect(select([...all.slice(0, 2), 'pytorch_model.bin', 'vocab.json', 'merges.txt'])).toEqual([
    'config.json',
    'vocab.json',
    'merges.txt',
    'pytorch_model.bin',
  ]);
  expect(select(['x.Q4_0-00002-of-00002.gguf', 'x.Q4_0-00001-of-00002.gguf', 'mmproj-x.gguf'])).toEqual([
    'x.Q4_0-00001-of-00002.gguf',
    'x.Q4_0-00002-of-00002.gguf',
  ]);
  expect(select(['x-Q4_0.gguf', 'x-Q4_K_M.gguf'], 'q4_k_m')).toEqual(['x-Q4_K_M.gguf']);
  expect(() => select(['x-Q4_0.gguf'], 'Q8_0')).toThrow('expected a GGUF file "Q8_0", got Q4_0');
  expect(() => select(['flax_model.msgpack'])).toThrow('got none of them');
});
