// The model that the chat opens with: what its package holds, and that it answers.
import { readdir, stat } from 'node:fs/promises';
import { modelUrl, modelUrls } from '@relufy/smollm2-135m-instruct';
import { expect, test } from 'vitest';
import { loadModel } from './node.js';
import { runCli } from './testing/run-cli.js';

const packaged = 'smollm2-135m-instruct';

test('its files are those that the package names, of less than 50 MB each and 100 MB in all', async () => {
  const files = await readdir(modelUrl);
  expect(files.sort()).toEqual(Object.keys(modelUrls()).sort());
  const sizes = await Promise.all(files.map(async (file) => (await stat(new URL(file, modelUrl))).size));
  expect(Math.max(...sizes)).toBeLessThan(50e6);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(100e6);
});

test('is what chat takes where none is named', async () => {
  const input = 'What is the capital of France?\nWhat is 2+2?';
  const { code, stdout, stderr } = await runCli(['chat', '--temperature', '0', '--max-new-tokens', '12'], { input });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^The capital of France is Paris\.\n/);
}, 60_000);

test('says how its author samples, and stays as its file has it', async () => {
  await using model = await loadModel(packaged, { contextLength: 64 });
  expect(model.name).toBe(packaged);
  expect(model.recommendedSampling).toMatchObject({ temperature: 0.2, topP: 0.9 });
  // the layers in 5 bits a weight, the embedding in 8, rows padded to cache lines
  expect(model.stats().denseWeightBytesPerToken).toBeLessThan(103e6);
}, 60_000);
