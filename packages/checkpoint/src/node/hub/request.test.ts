import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { messageOf } from '../../../testing/craft.js';
import { fail, sha256 } from '../../../testing/fake-hub.js';
import { hub, isBody, load, root, useFakeHub, weights } from '../../../testing/hub-setup.js';

useFakeHub();

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
