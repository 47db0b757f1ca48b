import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseHubId } from '../../node.js';
import { hubCacheDir, hubToken } from './environment.js';
import { selectFiles } from './select.js';

it('names are recognised', () => {
  expect(parseHubId('facebook/opt-125m')).toEqual({ repository: 'facebook/opt-125m' });
  expect(parseHubId('gpt2')).toEqual({ repository: 'gpt2' });
  expect(parseHubId('hf:a/b@refs/pr/1')).toEqual({ repository: 'a/b', revision: 'refs/pr/1' });
  expect(parseHubId('hf:a/b@v1.0:Q4_K_M')).toEqual({ repository: 'a/b', revision: 'v1.0', gguf: 'Q4_K_M' });
  for (const text of [
    '',
    './a',
    '/a/b',
    '../a',
    'a/b/c',
    'a/..',
    'a--b/c',
    'a/b@../x',
    'a b',
    'C:\\x',
    '~/x',
    `a/${'b'.repeat(99)}`,
    'a/b.git',
  ])
    expect(parseHubId(text), text).toBeUndefined();
});

it('the environment is read as Python reads it', async () => {
  const cacheDir = await mkdtemp(join(tmpdir(), 'relufy-env-'));
  expect(hubCacheDir({ HF_HUB_CACHE: '/a' })).toBe('/a');
  expect(hubCacheDir({ HF_HOME: '/b' })).toBe(join('/b', 'hub'));
  expect(hubCacheDir({ XDG_CACHE_HOME: '/c' })).toBe(join('/c', 'huggingface', 'hub'));
  expect(await hubToken({ HF_TOKEN: ' hf_a\n' })).toBe('hf_a');
  expect(await hubToken({ HF_TOKEN: 'hf_a', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeUndefined();
  await writeFile(join(cacheDir, 'token'), 'hf_b\n');
  expect(await hubToken({ HF_HOME: cacheDir })).toBe('hf_b');
  expect(await hubToken({ HF_TOKEN_PATH: join(cacheDir, 'none') })).toBeUndefined();
  await rm(cacheDir, { recursive: true });
});

it('files are chosen as openCheckpoint looks for them', () => {
  const file = (path: string) => ({ path, size: 1, hash: { kind: 'git' as const, hex: '' } });
  const select = (paths: string[], gguf?: string) => {
    const { files, index } = selectFiles('a/b', paths.map(file), gguf);
    return [...files, ...(index ? [index] : [])].map(({ path }) => path);
  };
  const all = [
    'config.json',
    'flax_model.msgpack',
    'model.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
  ];
  expect(select(all)).toEqual(['config.json', 'model.safetensors']);
  expect(select(all.filter((name) => name !== 'model.safetensors'))).toEqual([
    'config.json',
    'model.safetensors.index.json',
  ]);
  expect(select(all.slice(0, 3))).toEqual(['config.json', 'model.safetensors']);
  expect(select([...all.slice(0, 2), 'pytorch_model.bin', 'vocab.json', 'merges.txt'])).toEqual([
    'config.json',
    'vocab.json',
    'merges.txt',
    'pytorch_model.bin',
  ]);
  expect(select(['x.Q4_0-00002-of-00002.gguf', 'x.Q4_0-00001-of-00002.gguf', 'mmproj-x.gguf'])).toEqual([
    'x.Q4_0-00001-of-00002.gguf',
    'x.Q4_0-00002-of-00002.gguf',
  ]);
  expect(select(['x-Q4_0.gguf', 'x-Q4_K_M.gguf'], 'q4_k_m')).toEqual(['x-Q4_K_M.gguf']);
  expect(() => select(['x-Q4_0.gguf'], 'Q8_0')).toThrow('expected a GGUF file "Q8_0", got Q4_0');
  expect(() => select(['flax_model.msgpack'])).toThrow('got none of them');
});
