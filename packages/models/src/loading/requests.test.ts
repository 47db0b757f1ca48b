// A page asks for no file that is not there, where something says so: each would be an error in the browser's console.

import { fileURLToPath } from 'node:url';
import { httpFiles, type ModelFiles, memoryFiles } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { expect, test, vi } from 'vitest';
import { loadModel } from '../index.js';

const modelUrl = new URL('../../../llama-tales/model/', import.meta.url);

const folder = await folderFiles(fileURLToPath(modelUrl));
const names = ((await folder.list?.()) ?? []).filter((name) => name !== 'training.json');

/** A web server without a network: what it was asked for, and what of that was not there. */
function server(listing?: readonly string[]) {
  const missing: string[] = [];
  const get = async (input: string | URL | Request): Promise<Response> => {
    const url = new URL(String(input));
    if (url.pathname.startsWith('/api/')) {
      if (listing) return Response.json(listing.map((path) => ({ type: 'file', path })));
      return new Response('', { status: 404 });
    }
    const name = url.pathname.split('/').at(-1) as string;
    const source = await folder.open(name);
    if (!source) missing.push(name);
    if (!source) return new Response('', { status: 404 });
    const bytes = await source.read(0, source.size);
    await source.close();
    return new Response(bytes as BodyInit, { headers: { 'content-length': String(bytes.byteLength) } });
  };
  return { missing, get: get as typeof fetch };
}

async function load(files: ModelFiles | string) {
  await using model = await loadModel(files, { backend: 'reference', contextLength: 16 });
  expect(model.tokenizer?.hasChatTemplate).toBe(true);
}

test('a folder behind a URL', async () => {
  const { missing, get } = server();
  await load(httpFiles('https://x/m/', { fetch: get }));
  expect(missing).toEqual([]);
});

test('a name on the hub', async () => {
  const { missing, get } = server(names);
  vi.stubGlobal('fetch', get);
  try {
    await load('user/model');
  } finally {
    vi.unstubAllGlobals();
  }
  expect(missing).toEqual([]);
});

test('files in memory are all asked for: a template beside the config wins', async () => {
  const contents: Record<string, Uint8Array> = {};
  for (const name of names) {
    const source = await folder.open(name);
    contents[name] = (await source?.read(0, source.size)) as Uint8Array;
    await source?.close();
  }
  const files = memoryFiles('m', { ...contents, 'chat_template.jinja': '{{ messages[0].content }}!' });
  await using model = await loadModel(files, { backend: 'reference', contextLength: 16 });
  expect(model.tokenizer?.applyChatTemplate([{ role: 'user', content: 'hi' }])).toBe('hi!');
});
