// The bench of a server: against one that runs, one that it starts as users do, and what is no server.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createHandler, listen } from '@relufy/server';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../node/load-model.js';
import { benchServe } from './serve.js';
import { startServer } from './serve-process.js';

const quickly = { tokens: 12, seconds: 0, rounds: 1 };
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

describe('bench serve', () => {
  it('tells what clients of a running server see, by their number', async () => {
    const load = () => loadModel('llama-tales', { slots: 4, contextLength: 256, backend: 'wasm', threads: 1 });
    const handler = createHandler({ models: [{ id: 'tales', load }], apiKeys: ['secret'] });
    const server = await listen(handler, { port: 0 });
    try {
      const results = await benchServe({ url: `${server.url}/v1/`, apiKey: 'secret' }, [1, 3], quickly);
      expect(results.map(({ streams }) => streams)).toEqual([1, 3]);
      for (const { tokensPerSecond, firstTokenMs, firstTokenP90Ms, betweenMs, betweenP99Ms } of results) {
        expect(tokensPerSecond).toBeGreaterThan(1);
        // more tokens than that do not fit between the first and the last of all
        expect(tokensPerSecond).toBeLessThan((3 * 12 * 1000) / firstTokenMs);
        expect(firstTokenP90Ms).toBeGreaterThanOrEqual(firstTokenMs);
        expect(betweenMs).toBeGreaterThan(0);
        expect(betweenP99Ms).toBeGreaterThanOrEqual(betweenMs);
      }
      await expect(benchServe({ url: server.url }, [1], quickly)).rejects.toThrowError(
        '/v1/models: expected a list of models, got status 401. Give --api-key.',
      );
    } finally {
      await server.close(1000);
    }
  }, 60_000);

  it('starts a server, asks it, and ends it', async () => {
    const server = await startServer([process.execPath, cli], ['llama-tales', '--threads', '1', '--slots', '2']);
    try {
      const [one, two] = await benchServe({ url: server.url }, [1, 2], quickly);
      expect(one?.tokensPerSecond).toBeGreaterThan(1);
      expect(two?.tokensPerSecond).toBeGreaterThan(1);
    } finally {
      await server.close();
    }
    await expect(fetch(server.url)).rejects.toThrowError();
  }, 60_000);

  it('says what a server that cannot start said', async () => {
    await expect(startServer([process.execPath, cli], ['./no/such/model'])).rejects.toThrowError(/no\/such\/model/);
  }, 60_000);

  it('refuses what does not answer as a server should', async () => {
    await expect(benchServe({ url: 'http://127.0.0.1:9' }, [1], quickly)).rejects.toThrowError(
      'bench serve: expected a server at "http://127.0.0.1:9", got none.',
    );
    const other = createServer((request, response) => {
      if (request.url === '/v1/models') response.end('{"data":[{"id":"x"}]}');
      else response.writeHead(500).end('broken');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    await expect(benchServe({ url }, [1], quickly)).rejects.toThrowError(
      '/v1/chat/completions: expected an answer, got status 500: "broken".',
    );
    other.close();
  });
});
