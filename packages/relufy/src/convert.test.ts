// `relufy convert`, spawned: every format it writes loads again and says the same, and what it refuses leaves nothing.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-'));
});
afterAll(() => rm(folder, { recursive: true }));

const prompt = ['--prompt', 'Once upon a time', '--max-new-tokens', '12', '--temperature', '0'];
const text = async (model: string) => (await runCli(['generate', '--model', model, ...prompt])).stdout;

describe('relufy convert', () => {
  test.each([
    [['--dtype', 'f32'], 'f32'],
    [['--layout', 'packed'], 'packed'],
    [['--to', 'gguf'], 'model-f16.gguf'],
    [['--dtype', 'f32'], 'model-f32.gguf'],
  ])('%j writes a model that goes on as the original does', async (options, name) => {
    const out = join(folder, name);
    const { code, stdout } = await runCli(['convert', 'llama-tales', ...options, '--out', out]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${out}\n` });
    expect(await text(out)).toBe(await text('llama-tales'));
  });

  test('--stage 2 is recorded in what it writes', async () => {
    const out = join(folder, 'stage2');
    expect((await runCli(['convert', 'llama-tales', '--stage', '2', '--shift', '0.1', '--out', out])).code).toBe(0);
    const { stdout } = await runCli(['inspect', out, '--json']);
    const { spec, sites } = JSON.parse(stdout);
    expect(spec.masks).toContainEqual({ at: ['q', 'k', 'v'], kind: 'relu' });
    expect(spec.ffn.activation).toEqual({ kind: 'relu', threshold: 0.1 });
    expect(sites.find(({ site }: { site: string }) => site === 'qkv').sparse).toBe(true);
  });

  test.each([
    [['--dtype', 'int3'], 2, '--dtype: expected f32, bf16, int8, int4, uint4, got "int3".'],
    [['--to', 'gguf', '--dtype', 'bf16'], 2, '--dtype: expected f32, f16, q8_0, q4_0, got "bf16".'],
    [['--dtype', 'int8', '--calibrate', 'a.txt'], 2, '--calibrate: expected it with --dtype int4 or uint4, got int8.'],
    [
      ['--to', 'gguf', '--calibrate', 'a.txt'],
      2,
      '--to gguf: expected no --stage, --shift, --layout, --bundle, --plan or --calibrate, got one.',
    ],
    [['--shift', '1'], 2, '--shift: expected --stage with it, got none.'],
    [['--stage', '3'], 1, 'relufy "stage": expected 1 or 2, got 3.'],
    [['--dtype', 'int8', '--layout', 'hf'], 1, 'convert option "layout": expected packed for int8, got hf.'],
  ])('refuses %j in one line', async (options, expected, message) => {
    const before = await readdir(folder);
    const { code, stderr } = await runCli(['convert', 'llama-tales', ...options, '--out', join(folder, 'refused')]);
    expect(stderr).toBe(`${message}\n`);
    expect(code).toBe(expected);
    expect(await readdir(folder)).toEqual(before);
  });
});
