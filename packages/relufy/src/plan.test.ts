// A sparsity plan from a folder, by the commands that take one: what inspect says, what is measured, what is refused.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parsePlan, planJson, type SparsityPlan } from '@relufy/models';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

/** The bundled model has 8 layers: a sixteenth of the inputs of queries, keys and values, half of those of o. */
const plan: SparsityPlan = {
  method: 'largest',
  baseModel: { name: 'llama-tales' },
  masks: [
    { at: ['q', 'k', 'v'], kind: 'top', k: Array.from({ length: 8 }, () => 16) },
    { at: ['o'], kind: 'top', k: [64, 96, 128, 128, 128, 128, 128, 128], groupSize: 2 },
  ],
  expected: { modelSparsity: 0.25, perplexity: 9.5, densePerplexity: 7.25 },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-plan-'));
  await writeFile(join(folder, 'sparsity_config.json'), planJson(plan));
});
afterAll(() => rm(folder, { recursive: true }));

test('inspect says what it does where, and what is then read', async () => {
  const { stdout } = await runCli(['inspect', 'llama-tales', '--plan', folder]);
  const at = stdout.indexOf('plan largest');
  expect(stdout.slice(at)).toMatchInlineSnapshot(`
    "plan largest
      made for     llama-tales
      q, k, v      the 16 largest |x|
      o            the 64 to 128 groups of 2 with the largest sums of |x|
      expected     25 % of the blocks' weights skipped, perplexity 9.50 (dense 7.25)

    weights that a token reads, exact
      qkv           2.10 MB    12 %  channels that are not zero, stored transposed
      o             1.05 MB   5.9 %  channels that are not zero, stored transposed
      upGate        4.19 MB    24 %  all
      up            4.19 MB    24 %  neurons that the gate lets through
      down          4.19 MB    24 %  channels that are not zero, stored transposed
      head          2.10 MB    12 %  all
    "
  `);
  const { stdout: json } = await runCli(['inspect', 'llama-tales', '--plan', folder, '--json']);
  expect(JSON.parse(json).plan).toEqual(parsePlan('p', planJson(plan)));
});

test('measure counts what its masks keep', async () => {
  const text = join(folder, 'text.txt');
  await writeFile(text, 'Once upon a time there was a fox who lived in the woods with her cubs. '.repeat(8));
  const out = join(folder, 'measured');
  const args = ['measure', 'llama-tales', '--data', text, '--out', out, '--threads', '1'];
  const { code, stderr } = await runCli([...args, '--plan', folder]);
  expect(code, stderr).toBe(0);
  const measurement = JSON.parse(await readFile(join(out, 'measurement.json'), 'utf8'));
  for (const { masks, density } of measurement.layers) {
    expect(masks.qkv.mean).toBe(16 / 256);
    expect(density.qkv.mean).toBe(16 / 256);
    expect(masks.neurons.mean).toBeGreaterThan(0);
  }
  expect(measurement.decode.density.qkv).toEqual(Array.from({ length: 8 }, () => 16 / 256));
  const [first] = measurement.decode.density.o;
  expect(first).toBeCloseTo(128 / 256, 12);
});

test('generate takes it, and refuses what is none', async () => {
  const args = ['generate', '--prompt', 'Once', '--max-new-tokens', '8', '--temperature', '0', '--json'];
  const dense = JSON.parse((await runCli(args)).stdout);
  const planned = JSON.parse((await runCli([...args, '--plan', folder])).stdout);
  expect(planned.text).not.toBe(dense.text);
  const { code, stderr } = await runCli([...args, '--plan', tmpdir()]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^plan .*: expected a sparsity_config\.json, found none\. Name the folder of a sparsity plan\./,
  );
});
