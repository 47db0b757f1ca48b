// What is said where a page's server does not have the kernels: the URL, what came, and the way out.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createWasmBackend } from '../dist/index.js';

let server: Server;
let answer: { status: number; type: string; body: string };
beforeAll(async () => {
  server = createServer((_, response) => {
    response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = fetch;
  vi.stubGlobal('fetch', () => ask(origin));
});
afterEach(() => {
  answer = { status: 200, type: 'text/plain', body: '' };
});
afterAll(() => {
  vi.unstubAllGlobals();
  server.close();
});

describe('a page without the kernels', () => {
  it.each([
    { what: 'nothing', status: 404, type: 'text/plain', body: '', got: 'status 404 Not Found' },
    { what: 'a start page', status: 200, type: 'text/html', body: '<!doctype html>', got: 'text/html' },
    { what: 'an empty file', status: 200, type: 'application/wasm', body: '', got: 'application/wasm' },
  ])('that are $what there', async ({ got, ...rest }) => {
    answer = rest;
    await expect(createWasmBackend({ sharedMemory: false })).rejects.toMatchObject({
      code: 'backend',
      message: expect.stringMatching(
        new RegExp(
          `^wasm backend: it could not be started: expected a WebAssembly module at \\S+/single(-relaxed)?\\.wasm, got ${got}\\. If a bundler made this program, .*"relufy/esbuild".*\\.$`,
        ),
      ),
    });
  });

  it('whose server is gone', async () => {
    await new Promise((resolve) => server.close(resolve));
    await expect(createWasmBackend({ sharedMemory: false })).rejects.toThrow(/got no answer \(.+\)\.$/);
  });
});
