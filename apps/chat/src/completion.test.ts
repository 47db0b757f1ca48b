import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { complete } from './completion.js';

test('commands, settings and models', () => {
  expect(complete('/s', [])[0]).toEqual(['/save ', '/system ', '/set ', '/stats ']);
  expect(complete('/', [])[0].length).toBeGreaterThan(8);
  expect(complete('/set top', [])).toEqual([['topP ', 'topK '], 'top']);
  expect(complete('/model l', ['llama-tales', 'other'])).toEqual([['llama-tales'], 'l']);
  expect(complete('hello', [])[0]).toEqual([]);
  expect(complete('/stats x', [])[0]).toEqual([]);
});

test('paths, hidden ones when asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'relufy-complete-'));
  await Promise.all([
    mkdir(join(folder, 'chats')),
    writeFile(join(folder, 'chat.md'), ''),
    writeFile(join(folder, '.h'), ''),
  ]);
  expect(complete(`/load ${folder}/`, [])).toEqual([[`${folder}/chat.md`, `${folder}/chats/`], `${folder}/`]);
  expect(complete(`/save ${folder}/.`, [])[0]).toEqual([`${folder}/.h`]);
  expect(complete(`/load ${folder}/none/x`, [])[0]).toEqual([]);
  await rm(folder, { recursive: true });
});
