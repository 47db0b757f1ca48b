// Files at URLs of their own: on a server, on the disk, in the code itself; and what is said of one that is not there.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entry, f32, floats, messageOf, safetensors } from '../testing/craft.js';
import { openCheckpoint, urlFiles } from './index.js';
import { localUrlFiles } from './node.js';

const weights = safetensors({ x: entry('F32', [2, 1], 0, 8) }, f32(1, 2));
const config = `data:application/json;base64,${btoa('{"a":1}')}`;

let folder: string;
let server: Server;
let origin: string;
const asked: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-urls-'));
  await writeFile(join(folder, 'model-5f3a.safetensors'), weights);
  server = createServer(({ url = '' }, response) => {
    asked.push(url);
    if (url === '/assets/model-5f3a.safetensors') response.end(weights);
    else if (url === '/page') response.setHeader('content-type', 'text/html').end('<!doctype html>');
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

describe.each([
  { title: 'urlFiles', open: urlFiles, at: () => new URL(`${origin}/assets/model-5f3a.safetensors`) },
  { title: 'localUrlFiles', open: localUrlFiles, at: () => `${origin}/assets/model-5f3a.safetensors` },
  {
    title: 'localUrlFiles, on the disk',
    open: localUrlFiles,
    at: () => pathToFileURL(join(folder, 'model-5f3a.safetensors')),
  },
])('$title', ({ open, at }) => {
  it('reads what is named, under the names of the folder, and asks for nothing else', async () => {
    asked.length = 0;
    const files = open('m', { 'config.json': config, 'model.safetensors': at() });
    expect(files.name).toBe('m');
    expect(await files.list?.()).toEqual(['config.json', 'model.safetensors']);
    expect(await files.readText('config.json')).toBe('{"a":1}');
    expect(await files.readText('tokenizer.json')).toBeUndefined();
    const checkpoint = await openCheckpoint(files);
    expect(floats((await checkpoint.readRows('x', 1, 1)).data)).toEqual([2]);
    await checkpoint.close();
    expect(asked.filter((url) => !url.endsWith('.safetensors'))).toEqual([]);
  });

  it.each(['/assets/lost.json', '/page'])(
    'what is named and missing is one error with its URL and the way out: %s',
    async (path) => {
      const files = open('m', { 'config.json': origin + path });
      const message = await messageOf(() => files.readText('config.json'), 'io');
      expect(message).toContain(
        `m: expected config.json at ${origin}${path}, got nothing there. If a bundler made this`,
      );
      expect(message).toContain('relufy/esbuild');
    },
  );

  it('refuses a name that leaves the folder, and what is no URL', async () => {
    expect(await messageOf(async () => open('m', { '../config.json': config }))).toContain('one inside the folder');
    expect(await messageOf(async () => open('m', { 'config.json': 'assets/config.json' }), 'option')).toBe(
      'm/config.json: expected a URL, got "assets/config.json". Check the address.',
    );
  });
});

it('a file that is missing on the disk is the same error', async () => {
  const lost = pathToFileURL(join(folder, 'lost.json'));
  const message = await messageOf(() => localUrlFiles('m', { 'config.json': lost }).readText('config.json'), 'io');
  expect(message).toContain(`m: expected config.json at ${lost}, got nothing there. If a bundler made this`);
});
