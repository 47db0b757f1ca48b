import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelUrl } from '@relufy/llama-tales';
import { describe, expect, test } from 'vitest';
import { siteFile, type sitePage, type writeSite } from './index.js';

// what was built: its files lie beside it
const built = new URL('../../dist/site/index.js', import.meta.url).href;
const { sitePage: page, writeSite: write } = (await import(/* @vite-ignore */ built)) as {
  sitePage: typeof sitePage;
  writeSite: typeof writeSite;
};
const ask = (path: string, init?: RequestInit) =>
  page({ server: 'v1', models: ['llama-tales'] })(new Request(`http://localhost/${path}`, init));

describe('the site', () => {
  test('has the page, with the headers that isolate it', async () => {
    const response = await ask('');
    expect(await response?.text()).toContain('<title>Relufy</title>');
    expect(response?.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
  });

  test('lists its models with hashes, and the server beside it', async () => {
    const response = await ask('models.json');
    const { models, server } = JSON.parse((await response?.text()) ?? '{}') as {
      models: { name: string; files: { name: string; size: number; sha256: string }[] }[];
      server: string;
    };
    expect(server).toBe('v1');
    expect(models.map(({ name }) => name)).toEqual(['llama-tales']);
    const weights = models[0]?.files.find(({ name }) => name === 'model.safetensors');
    expect(weights?.size).toBe(17_842_560);
    expect(weights?.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test('answers ranges of a model', async () => {
    const config = readFileSync(fileURLToPath(new URL('config.json', modelUrl)), 'utf8');
    const range = await ask('models/llama-tales/config.json', { headers: { range: 'bytes=5-9' } });
    expect([range?.status, range?.headers.get('content-range'), await range?.text()]).toEqual([
      206,
      `bytes 5-9/${config.length}`,
      config.slice(5, 10),
    ]);
    expect((await ask('models/llama-tales/config.json', { headers: { range: 'bytes=9999-' } }))?.status).toBe(416);
    expect((await ask('models/llama-tales/config.json', { method: 'HEAD' }))?.headers.get('content-length')).toBe(
      String(config.length),
    );
  });

  test.each([
    'nothing',
    '../package.json',
    '..%2f..%2fpackage.json',
    '%2e%2e/site/index.js',
    'models/other/config.json',
    '%ff',
    'models/llama-tales/..%2f..%2fpackage.json',
  ])('has nothing at %s', async (path) => {
    expect(await ask(path)).toBeUndefined();
    expect(await ask('', { method: 'POST' })).toBeUndefined();
  });

  test('is written as plain files', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'relufy-site-'));
    try {
      await write(folder, { models: ['llama-tales'] });
      for (const file of ['index.html', 'sw.js', 'models.json', 'models/llama-tales/model.safetensors'])
        expect(existsSync(join(folder, file)), file).toBe(true);
      expect(JSON.parse(readFileSync(join(folder, 'models.json'), 'utf8')).server).toBeUndefined();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('a path that leaves the site leads nowhere', async () => {
  expect(await siteFile('../../package.json')).toBeUndefined();
  expect(await siteFile('/etc/passwd')).toBeUndefined();
});
