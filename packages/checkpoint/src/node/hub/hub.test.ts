import { mkdir, readdir, readFile, readlink, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { entry, f32, messageOf, safetensors } from '../../../testing/craft.js';
import { commit, gitHash, sha256 } from '../../../testing/fake-hub.js';
import { cacheDir, config, hub, isBody, load, root, useFakeHub, weights } from '../../../testing/hub-setup.js';
import { openCheckpoint } from '../../index.js';
import type { HubProgress } from '../../node.js';

useFakeHub();

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
    hub.files.delete('model.safetensors');
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
    expect(events[0]).toMatchObject({ status: 'connect', endpoint: 'http://127.0.0.1:9' });
    expect(events.at(-1)).toMatchObject({ status: 'cached' });
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
      response.write(weights.subarray(begin, begin + 100_000), () => response.destroy());
      return true;
    };
    const checkpoint = await openCheckpoint(await load());
    expect((await checkpoint.readRows('x', 24_999, 1)).data).toEqual(weights.subarray(-16));
    await checkpoint.close();
    expect(hub.bodies().filter((line) => line.includes('model.safetensors')).length).toBe(4);
    expect(hub.bodies().some((line) => /bytes=\d{5,}-$/.test(line))).toBe(true);
  });

  it('that stand still are given up after the limit', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '1');
    hub.fault = (request, response, path) => {
      if (!isBody(path, request.headers.range)) return false;
      response.writeHead(206, { 'content-length': 400_000, 'content-range': `bytes 0-399999/400000` }).flushHeaders();
      return true;
    };
    expect(await messageOf(() => load(), 'io')).toMatch(
      /model.safetensors, expected \d+ bytes, got 0, then no byte within 1000 ms, 3 times/,
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
      return true;
    };
    const part = join(root(), 'blobs', `${sha256(weights)}.relufy.incomplete`);
    const aborted = load({ signal: controller.signal });
    await expect
      .poll(() =>
        stat(part)
          .then(({ size }) => size)
          .catch(() => 0),
      )
      .toBe(1000);
    controller.abort(new Error('stop'));
    await expect(aborted).rejects.toThrow('stop');
    hub.fault = () => false;
    expect((await stat(part)).size).toBe(1000);
    await load();
    expect(hub.bodies().at(-1)).toContain('bytes=1000-');
    await expect(load({ signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early');
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
