// Batches through a real Redis or Valkey server, which the test starts. A worker and a server are killed with -9 in the middle.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectRedis } from '@relufy/eval';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { served } from './testing/served.js';

const redis = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0);
const script = fileURLToPath(new URL('../testing/run-server.mjs', import.meta.url));

test('without a queue the routes say so; one that is not there is one clear error', async () => {
  const plain = served();
  expect((await plain.json('/v1/batches', { input_file_id: 'x', endpoint: '/v1/completions' }, 501)).error.code).toBe(
    'no_queue',
  );
  const lost = served({ batches: { url: 'redis://127.0.0.1:1' } });
  await expect(lost.handler.ready).rejects.toThrow(/expected a Redis or Valkey server/);
  await lost.handler.close();
});

if (!redis) it.skip('batches (skipped: neither redis-server nor valkey-server is installed)');

describe.skipIf(!redis)('batches', () => {
  let folder: string;
  let url: string;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relufy-batches-'));
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    children.push(spawn(redis as string, ['--port', String(port), '--save', '', '--dir', folder], { stdio: 'ignore' }));
    for (let attempt = 0; ; attempt++) {
      try {
        (await connectRedis(url)).disconnect();
        return;
      } catch (error) {
        if (attempt > 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (name: string, workers: number): Promise<{ child: ChildProcess; at: string }> => {
    const child = spawn(process.execPath, [script, url, name, String(workers)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const at = await new Promise<string>((resolve) =>
      child.stdout?.once('data', (data) => resolve(String(data).trim())),
    );
    return { child, at };
  };
  const lines = (count: number, tokens: number) =>
    Array.from({ length: count }, (_, i) =>
      JSON.stringify({
        custom_id: `r${i}`,
        method: 'POST',
        url: '/v1/completions',
        body: { prompt: `Once ${i}`, max_tokens: tokens, temperature: 0, ignore_eos: true },
      }),
    ).join('\n');
  const upload = async (at: string, text: string): Promise<{ id: string }> => {
    const form = new FormData();
    form.set('purpose', 'batch');
    form.set('file', new File([text], 'requests.jsonl'));
    return (await (await fetch(`${at}/v1/files`, { method: 'POST', body: form })).json()) as { id: string };
  };
  interface Batch {
    readonly id: string;
    readonly status: string;
    readonly output_file_id: string;
    readonly error_file_id: string | null;
    readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
    readonly error?: { readonly message: string; readonly param: string };
  }
  const create = async (at: string, fileId: string): Promise<Batch> => {
    const body = JSON.stringify({
      input_file_id: fileId,
      endpoint: '/v1/completions',
      completion_window: '24h',
      metadata: { a: 'b' },
    });
    return (await (await fetch(`${at}/v1/batches`, { method: 'POST', body })).json()) as Batch;
  };
  const batchAt = async (at: string, id: string) => (await (await fetch(`${at}/v1/batches/${id}`)).json()) as Batch;
  const until = async (at: string, id: string, fits: (batch: Batch) => boolean): Promise<Batch> => {
    for (let i = 0; ; i++) {
      const batch = await batchAt(at, id);
      if (fits(batch)) return batch;
      if (i > 600) throw new Error(JSON.stringify(batch));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };

  test('survive a worker and a server that are killed: every line is answered once', { timeout: 90_000 }, async () => {
    const front = await start('killed', 0);
    const doomed = await start('killed', 1);
    const file = await upload(
      front.at,
      `${lines(16, 40)}\n${JSON.stringify({ custom_id: 'bad', body: { prompt: 'x', temperature: -1 } })}\n`,
    );
    const { id } = await create(front.at, file.id);
    await until(front.at, id, ({ request_counts: { completed } }) => completed >= 2);
    doomed.child.kill('SIGKILL');
    front.child.kill('SIGKILL');
    const { at } = await start('killed', 1);
    const batch = await until(at, id, ({ status }) => status === 'completed');
    expect(batch.request_counts).toEqual({ total: 17, completed: 16, failed: 1 });
    const output = await (await fetch(`${at}/v1/files/${batch.output_file_id}/content`)).text();
    const told = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { custom_id: string; response: { body: { choices: { text: string }[] } } });
    expect(told.map(({ custom_id }) => custom_id)).toEqual(Array.from({ length: 16 }, (_, i) => `r${i}`));
    expect(told.every(({ response }) => (response.body.choices[0]?.text.length ?? 0) > 10)).toBe(true);
    const failures = await (await fetch(`${at}/v1/files/${batch.error_file_id}/content`)).text();
    expect(failures).toContain('"custom_id":"bad"');
    expect(failures).toContain('temperature: expected');
    expect(await (await fetch(`${at}/v1/batches`)).json()).toMatchObject({ data: [{ id, metadata: { a: 'b' } }] });
  });

  test('can be cancelled; what cannot be one is refused', { timeout: 60_000 }, async () => {
    const { at } = await start('cancelled', 0);
    const { id } = await create(at, (await upload(at, lines(5, 5))).id);
    const cancelled = (await (await fetch(`${at}/v1/batches/${id}/cancel`, { method: 'POST' })).json()) as Batch;
    expect(cancelled.status).toBe('cancelling');
    const refused = async (text: string) => (await create(at, (await upload(at, text)).id)).error?.param;
    expect(await refused('{"custom_id":"a","body":{}}\n{"custom_id":"a","body":{}}')).toContain('line 2');
    expect(await refused('no json')).toContain('line 1');
    expect(await refused('')).toBe('input_file_id');
    expect((await create(at, 'file-x')).error?.param).toBe('input_file_id');
    expect((await fetch(`${at}/v1/files/..%2f..`)).status).toBe(404);
    expect((await fetch(`${at}/v1/files`, { method: 'POST', body: 'x' })).status).toBe(400);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
