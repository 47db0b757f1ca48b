// A server that sends without end, unpacks to gigabytes or stands still costs one error, soon, and little memory.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGzip, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { messageOf } from '../testing/craft.js';
import { flood, peakOf } from '../testing/flood.js';
import { httpFiles, openCheckpoint } from './index.js';

let server: Server;
let base: string;
let asked: string[];
let answer: (response: ServerResponse, url: string) => void;
beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(response, request.url ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m/`;
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

const bomb = gzipSync(Buffer.alloc(80e6, ' '));
const gzipped = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-encoding': 'gzip' });
  const gzip = createGzip();
  gzip.pipe(response);
  response.on('close', () => gzip.destroy());
  flood(gzip);
};

describe('a body', () => {
  const bodies: [string, (response: ServerResponse) => void][] = [
    ['without an end', (response) => flood(response.writeHead(200))],
    ['that unpacks to gigabytes', gzipped],
    [
      'that unpacks to more than it announced',
      (response) => {
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': bomb.byteLength }).end(bomb);
      },
    ],
    [
      'of a range that unpacks to gigabytes',
      (response) => {
        response.writeHead(206, { 'content-encoding': 'gzip', 'content-range': 'bytes 0-9/10' });
        response.end(bomb);
      },
    ],
    [
      'of a range without an end',
      (response) => flood(response.writeHead(206, { 'content-range': 'bytes 0-65535/9007199254740991' })),
    ],
    ['that announces petabytes', (response) => flood(response.writeHead(200, { 'content-length': 1e15 }))],
  ];
  for (const [name, send] of bodies)
    it(`${name} is one error`, async () => {
      answer = send;
      const start = performance.now();
      const { peak } = await peakOf(async () => {
        expect(await messageOf(() => httpFiles(base).readText('config.json', { limitBytes: 1e6 }), 'io')).toContain(
          'got more',
        );
        expect(await messageOf(() => httpFiles(base).readText('tokenizer.json'), 'io')).toContain('got more');
      });
      expect(performance.now() - start).toBeLessThan(20_000);
      expect(peak).toBeLessThan(250e6); // two files; the buffers of the server are in it too
      if (!name.includes('petabytes'))
        expect(await messageOf(async () => httpFiles(base).open('model.safetensors'), 'io')).toContain('got more');
    });

  it('that stands still is one error, before and after its headers', async () => {
    const options = { timeoutMs: 100 };
    answer = () => undefined;
    expect(await messageOf(() => httpFiles(base, options).readText('config.json'), 'io')).toMatch(
      /config.json: expected an answer, got no byte within 100 ms \(tried 2 times\)/,
    );
    answer = (response) => response.writeHead(200).flushHeaders();
    expect(await messageOf(() => httpFiles(base, options).readText('config.json'), 'io')).toContain('within 100 ms');
    answer = (response) => response.writeHead(404).flushHeaders();
    expect(await httpFiles(base, { timeoutMs: 20_000 }).readText('config.json')).toBeUndefined();
  });
});

it('a secret header stays with the origin that it was given for', async () => {
  const seen: string[] = [];
  const other = createServer((request, response) => {
    seen.push(JSON.stringify(request.rawHeaders));
    response.end('{}');
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  answer = (response) =>
    response.writeHead(302, { location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/x` }).end();
  const files = httpFiles(base, { headers: { authorization: 'Bearer hf_secret' } });
  expect(await files.readText('config.json')).toBe('{}');
  expect(seen.length).toBe(1);
  expect(seen.join()).not.toContain('hf_secret');
  other.close();
  other.closeAllConnections();
});

it('a file that no list names is not asked for', async () => {
  answer = (response) => response.end('{}');
  const listed = httpFiles(base, { files: ['config.json'] });
  expect([await listed.readText('config.json'), await listed.readText('vocab.json')]).toEqual(['{}', undefined]);
  expect(asked).toEqual(['/m/config.json']);
  expect(await messageOf(() => openCheckpoint(listed))).toContain('weights, expected one of');
  expect(asked).toEqual(['/m/config.json']);
  let tries = 0;
  const later = httpFiles(base, {
    files: async () => {
      if (tries++ === 0) throw new Error('broken');
      return undefined; // nobody knows: everything is asked for
    },
  });
  await expect(later.readText('config.json')).rejects.toThrow('broken');
  expect(await later.readText('config.json')).toBe('{}');
});
