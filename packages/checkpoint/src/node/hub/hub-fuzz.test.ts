// Hundreds of damaged answers of a hub: the model comes whole, or there is one short RelufyError, soon; the token goes
// nowhere else, and nothing is written outside the cache. RELUFY_FUZZ=N raises the count (testing/fuzz.mjs does so).

import { readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { RelufyError } from '@relufy/tensor';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { mutate, random } from '../../../testing/craft.js';
import { commit, gitHash, sha256 } from '../../../testing/fake-hub.js';
import { cacheDir, config, hub, load, root, useFakeHub, weights } from '../../../testing/hub-setup.js';

const rounds = Math.ceil(Number(process.env.RELUFY_FUZZ ?? 0) / 25) || 150;

useFakeHub();

const stolen: string[] = [];
const elsewhere = createServer((request, response) => {
  if (JSON.stringify(request.rawHeaders).includes('hf_secret')) stolen.push(request.url ?? '');
  response.writeHead(200, { 'content-type': 'application/json' }).end('[]');
});
let otherUrl: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  otherUrl = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
});
afterAll(() => {
  elsewhere.close();
  elsewhere.closeAllConnections();
});

const entries = [
  { type: 'file', path: 'config.json', size: config.byteLength, oid: gitHash(config) },
  {
    type: 'file',
    path: 'model.safetensors',
    size: weights.byteLength,
    oid: gitHash(weights),
    lfs: { oid: sha256(weights), size: weights.byteLength, pointerSize: 130 },
  },
];

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

function rightAnswer(path: string, range: string | undefined): Answer {
  const json = (value: unknown): Answer => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: new TextEncoder().encode(JSON.stringify(value)),
  });
  if (path.includes('/tree/')) return json(entries);
  if (path.includes('/revision/')) return json({ _id: '1', id: 'user/model', sha: commit, lastModified: '2024-01-01' });
  const whole = path.endsWith('config.json') ? config : weights;
  const [, begin = '0', end = String(whole.byteLength - 1)] = /bytes=(\d+)-(\d+)?/.exec(range ?? '') ?? [];
  return {
    status: 206,
    headers: { etag: '"x"', 'content-range': `bytes ${begin}-${end}/${whole.byteLength}` },
    body: whole.subarray(Number(begin), Number(end) + 1),
  };
}

/** Values that a hostile hub would put into a header. */
const hostile = (next: () => number): [string, string] => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const address = pick([
    otherUrl,
    hub.url,
    'http://127.0.0.1:9',
    'data:,x',
    'file:///etc/passwd',
    '//x',
    '/',
    '',
    'http://[',
  ]);
  return pick<[string, string]>([
    ['location', `${address}/x`],
    ['link', `<${address}/next>; rel="next"`],
    ['link', `<${address}/auth>; rel="xet-auth", <${otherUrl}/v1/reconstructions/x>; rel="xet-reconstruction-info"`],
    ['content-type', 'application/vnd.xet-fileinfo+json'],
    ['x-linked-size', pick(['400000', '-1', '1e9', 'NaN', '99999999999999999999'])],
    ['x-xet-hash', pick(['f'.repeat(64), '../../x', ''])],
    ['x-linked-etag', pick(['"x"', '../../x'])],
    ['content-range', pick(['bytes 0-0/5', 'bytes 5-6/400000', 'bytes */0', 'x', 'bytes 0-0/9007199254740993'])],
    ['content-encoding', pick(['gzip', 'br', 'x', 'identity'])],
    ['content-length', pick(['0', '1', '99999999'])],
    ['etag', ''],
    ['x-error-code', pick(['GatedRepo', 'y'.repeat(5000), 'RepoNotFound'])],
    ['x-cache', 'Hit from cloudfront'],
    ['retry-after', pick(['0', '-1', 'x'])],
  ]);
};

const evilTexts = ['../../x', '/etc/passwd', 'a\u0000b', '\u001b[2J', 'x'.repeat(5000), '', '..', 'C:\\x', 'refs/main'];

function damaged(answer: Answer, next: () => number): Answer {
  const kind = next();
  if (kind < 0.35) return { ...answer, body: mutate(answer.body, next) };
  if (kind < 0.55 && answer.headers['content-type'] === 'application/json') {
    const text = new TextDecoder().decode(answer.body);
    const value = next() < 0.5 ? JSON.stringify(evilTexts[Math.floor(next() * evilTexts.length)]) : '1e400';
    const places = [...text.matchAll(/(?<=":)(?:"[^"]*"|\d+|\{[^{}]*\})/g)];
    const place = places[Math.floor(next() * places.length)];
    if (place)
      return {
        ...answer,
        body: new TextEncoder().encode(text.slice(0, place.index) + value + text.slice(place.index + place[0].length)),
      };
  }
  const headers = { ...answer.headers };
  for (let changes = 1 + Math.floor(next() * 4); changes > 0; changes--) {
    const [name, value] = hostile(next);
    headers[name] = value;
  }
  const statuses = [answer.status, answer.status, 200, 206, 302, 307, 404, 403, 416, 500, 429, 299];
  return { ...answer, headers, status: statuses[Math.floor(next() * statuses.length)] as number };
}

it(
  'a mutated answer of the hub gives the model, or one error',
  async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.15');
    let loaded = 0;
    for (let seed = 0; seed < rounds; seed++) {
      const next = random(seed);
      const wrong = ['/revision/', '/tree/', 'config.json', 'model.safetensors'][Math.floor(next() * 4)] as string;
      const always = next() < 0.5;
      let times = 0;
      hub.fault = (request, response, path) => {
        let answer = rightAnswer(path, request.headers.range);
        if (path.includes(wrong) && (always || times++ === 0)) answer = damaged(answer, next);
        response.on('error', () => undefined);
        response.writeHead(answer.status, answer.headers).end(answer.body);
        return true;
      };
      const start = performance.now();
      try {
        const files = await load({ retry: { attempts: 2, pauseMs: 1 } });
        loaded++;
        // a listing may leave a file out; one that is there is the right one
        const text = await files.readText('config.json');
        if (wrong !== '/tree/' || text !== undefined) expect(text, `seed ${seed}`).toBe('{"model_type":"llama"}');
        const source = await files.open('model.safetensors');
        const bytes = await source?.read(0, source.size);
        await source?.close();
        if (wrong !== '/tree/' || bytes) expect(bytes && sha256(bytes), `seed ${seed}`).toBe(sha256(weights));
      } catch (error) {
        if (!RelufyError.is(error)) throw new Error(`seed ${seed}`, { cause: error });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that are looked for.
        if (error.message.length > 800 || /[\u0000-\u001f\u007f-\u009f]/.test(error.message))
          throw new Error(`seed ${seed}: ${error.message.slice(0, 300)}`);
      }
      const ms = performance.now() - start;
      if (ms > 20_000) throw new Error(`seed ${seed}: ${ms} ms`);
      expect((await readdir(cacheDir)).filter((name) => !['models--user--model', '.locks'].includes(name))).toEqual([]);
      expect((await readdir(dirname(cacheDir))).filter((name) => ['x', 'etc'].includes(name))).toEqual([]);
      await rm(root(), { recursive: true, force: true });
    }
    expect(stolen).toEqual([]);
    expect(loaded).toBeGreaterThan(rounds / 20);
    expect(loaded).toBeLessThan(rounds);
  },
  60_000 + rounds * 300,
);
