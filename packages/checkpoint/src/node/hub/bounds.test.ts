// Answers that would take memory or time without end are one error, soon.

import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createGzip, gzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { messageOf } from '../../../testing/craft.js';
import { flood, peakOf } from '../../../testing/flood.js';
import { cacheDir, hub, load, useFakeHub } from '../../../testing/hub-setup.js';

useFakeHub();

const faultAt = (path: RegExp, answer: (response: ServerResponse, url: string) => void): void => {
  hub.fault = (request, response, at) => {
    if (!path.test(at)) return false;
    answer(response, request.url ?? '');
    return true;
  };
};

describe('an answer of the hub', () => {
  for (const path of [/\/revision\//, /\/tree\//])
    for (const kind of ['without an end', 'that unpacks to gigabytes'])
      it(`${kind} is one error (${path})`, async () => {
        faultAt(path, (response) => {
          response.writeHead(200, {
            'content-type': 'application/json',
            ...(kind === 'without an end' ? {} : { 'content-encoding': 'gzip' }),
          });
          if (kind === 'without an end') return flood(response);
          const gzip = createGzip();
          gzip.pipe(response);
          response.on('close', () => gzip.destroy());
          flood(gzip);
        });
        const { seconds, peak } = await peakOf(async () =>
          expect(await messageOf(() => load(), 'io')).toMatch(/expected an answer of at most \d+ bytes .*got more/),
        );
        expect(seconds).toBeLessThan(3);
        expect(peak).toBeLessThan(100e6);
        faultAt(path, (response) =>
          response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(64e6))),
        );
        expect(await messageOf(() => load(), 'io')).toContain('got more');
      });

  it('that stands still after its headers, or never ends, is one error', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.1');
    for (const path of [/\/revision\//, /\/tree\//]) {
      faultAt(path, (response) => response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders());
      expect(await messageOf(() => load({ retry: { attempts: 5, pauseMs: 1 } }), 'io')).toMatch(
        /got no byte within 100 ms, 2 times/,
      );
      faultAt(path, (response) => {
        const timer = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(timer));
      });
      expect(await messageOf(() => load(), 'io')).toMatch(/got no end within 600 ms, 2 times/);
    }
    // the description of a file: its body is nobody's
    faultAt(/config.json/, (response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-0/5', etag: '"x"' });
      flood(response);
    });
    expect(await messageOf(() => load(), 'io')).toContain('expected 22 bytes');
  });

  it('with pages that do not end is one error', async () => {
    let page = 0;
    const answer = (next: (url: string) => string, body: string) =>
      faultAt(/\/tree\//, (response, url) => {
        response.setHeader('link', `<${next(url)}>; rel="next"`);
        response.end(body);
      });
    const file = (path: string) => ({ type: 'file', path, size: 1, oid: 'a'.repeat(40) });
    answer((url) => `${hub.url}${url}`, '[]');
    expect(await messageOf(() => load(), 'io')).toMatch(/expected a list of files that ends .*twice/);
    for (const body of ['[]', JSON.stringify(Array.from({ length: 1000 }, (_, i) => file(`f${i}`)))]) {
      answer((url) => `${hub.url}${url.replace(/&cursor=.*/, '')}&cursor=${page++}`, body);
      const { seconds, peak } = await peakOf(async () =>
        expect(await messageOf(() => load({ cacheDir: join(cacheDir, 'x') }), 'io')).toContain('at most 200 pages'),
      );
      expect(seconds).toBeLessThan(10);
      expect(peak).toBeLessThan(100e6);
    }
  });

  it('has at most so many tries, and each is told', async () => {
    const told: unknown[] = [];
    faultAt(/\/revision\//, (response) => response.writeHead(503).end());
    await messageOf(() => load({ onProgress: (event) => told.push(event) }), 'io');
    expect(told).toEqual([
      { status: 'connect', name: 'user/model', endpoint: hub.url },
      { status: 'connect', name: 'user/model', endpoint: hub.url, reason: 'status 503' },
      { status: 'connect', name: 'user/model', endpoint: hub.url, reason: 'status 503' },
    ]);
  });
});
