// A fake hub with one small model, a fresh cache for every test, and an environment that points at both.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest';
import { type HubOptions, hubFiles } from '../src/node.js';
import { entry, safetensors } from './craft.js';
import { FakeHub } from './fake-hub.js';

export const hub = new FakeHub();
export const weights = safetensors(
  { x: entry('F32', [25_000, 4], 0, 400_000) },
  new Uint8Array(400_000).map((_, i) => i),
);
export const config = new TextEncoder().encode('{"model_type":"llama"}');
export let cacheDir: string;

export const load = (options: HubOptions = {}, id = 'user/model') =>
  hubFiles(id, { cacheDir, retry: { attempts: 3, pauseMs: 5 }, ...options });
export const root = () => join(cacheDir, 'models--user--model');
export const isBody = (path: string, range: string | undefined) =>
  path.endsWith('model.safetensors') && range !== 'bytes=0-0';

/** Registers the hooks of a test file. */
export function useFakeHub(): void {
  beforeAll(() => hub.start());
  afterAll(() => hub.stop());
  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'relufy-hub-'));
    for (const name of [
      'HF_TOKEN',
      'HF_HUB_OFFLINE',
      'HTTP_PROXY',
      'http_proxy',
      'ALL_PROXY',
      'all_proxy',
      'NO_PROXY',
      'no_proxy',
    ])
      vi.stubEnv(name, '');
    vi.stubEnv('HF_ENDPOINT', `${hub.url}/`);
    vi.stubEnv('HF_HOME', join(cacheDir, 'home'));
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '10');
    hub.files.clear();
    hub.files.set('config.json', { content: config });
    hub.files.set('model.safetensors', { content: weights, large: true });
    hub.files.set('README.md', { content: config });
    hub.files.set('pytorch_model.bin', { content: weights, large: true });
    hub.fault = () => false;
    hub.requests.length = 0;
    hub.tokens.length = 0;
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(cacheDir, { recursive: true, force: true });
  });
}
