// What files and servers say does not command a terminal: names of tensors, texts of tokens, values in errors.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

const bundled = fileURLToPath(new URL('../../llama-tales/model/', import.meta.url));
const hostile = '\x1b]0;owned\x07\x9b2J\u202e\r';
/** All that a terminal may have. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
const unsafe = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-output-'));
  await cp(bundled, folder, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true }));

describe('a hostile file', () => {
  test.each([
    ['model_type', { model_type: hostile }],
    ['hidden_act', { hidden_act: `relu${hostile}` }],
    ['a number', { num_hidden_layers: hostile }],
  ])('with %s in its config is told without commands', async (_, change) => {
    const config = JSON.parse(await readFile(join(bundled, 'config.json'), 'utf8'));
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...change }));
    const { code, stdout, stderr } = await runCli(['inspect', folder]);
    expect(code).toBe(1);
    expect(stderr).toContain('owned');
    expect(stdout + stderr).not.toMatch(unsafe);
  });

  test('with names of tensors is listed without commands, and as it is in JSON', async () => {
    await cp(join(bundled, 'config.json'), join(folder, 'config.json'));
    const weights = join(bundled, 'model.safetensors');
    const bytes = await readFile(weights);
    const size = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + size));
    const end = bytes.length - 8 - size;
    header[`extra${hostile}`] = { dtype: 'F32', shape: [1], data_offsets: [end, end + 4] };
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    await writeFile(
      join(folder, 'model.safetensors'),
      Buffer.concat([length, text, bytes.subarray(8 + size), Buffer.alloc(4)]),
    );
    const listed = await runCli(['inspect', folder, '--tensors']);
    expect(listed.stdout).toContain('extra\\x1b]0;owned\\x07\\x9b2J\\u202e');
    expect(listed.stdout).not.toMatch(unsafe);
    const json = await runCli(['inspect', folder, '--tensors', '--json']);
    expect(json.stdout).not.toMatch(unsafe);
    const names = JSON.parse(json.stdout).tensors.map(({ name }: { name: string }) => name);
    expect(names).toContain(`extra${hostile}`);
  });

  test('named by the user or not there is told without commands', async () => {
    for (const args of [['inspect', `./nope${hostile}`], ['inspect', folder, `--dtype=${hostile}`], [hostile]]) {
      const { code, stdout, stderr } = await runCli(args);
      expect(code).toBeGreaterThan(0);
      expect(stdout + stderr).not.toMatch(unsafe);
    }
  });

  test('with texts of tokens writes answers without commands', async () => {
    const tokenizer = JSON.parse(await readFile(join(bundled, 'tokenizer.json'), 'utf8'));
    const replace = { type: 'Replace', pattern: { String: 'e' }, content: '\x1b[2J\x9be' };
    tokenizer.decoder = { type: 'Sequence', decoders: [tokenizer.decoder, replace] };
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
    await cp(join(bundled, 'model.safetensors'), join(folder, 'model.safetensors'));
    const { code, stdout, stderr } = await runCli([
      'generate',
      '--model',
      folder,
      '--prompt',
      'Once upon a',
      '--max-new-tokens',
      '6',
      '--temperature',
      '0',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('\\x1b[2J\\x9be');
    expect(stdout).not.toMatch(unsafe);
  });
});
