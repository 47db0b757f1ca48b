// Sizes as counted from configs are the published ones.
import { describe, expect, test } from 'vitest';
import { chatModelRows, chatModels, chatModelsTable } from './chat-models.js';
import { runCli } from './testing/run-cli.js';

/** Of the models' safetensors, as the hub tells them. */
const published: Readonly<Record<string, number>> = {
  'HuggingFaceTB/SmolLM2-135M-Instruct': 134_515_008,
  'HuggingFaceTB/SmolLM2-360M-Instruct': 361_821_120,
  'HuggingFaceTB/SmolLM2-1.7B-Instruct': 1_711_376_384,
  'Qwen/Qwen2.5-0.5B-Instruct': 494_032_768,
  'Qwen/Qwen2.5-1.5B-Instruct': 1_543_714_304,
  'Qwen/Qwen3-0.6B': 596_049_920,
  'TinyLlama/TinyLlama-1.1B-Chat-v1.0': 1_100_048_384,
};

describe('small chat models', () => {
  test('have as many parameters as published', () => {
    const counted = Object.fromEntries(chatModelRows().map(({ id, parameters }) => [id, parameters]));
    expect(counted).toMatchObject(published);
    expect(chatModels.map(({ id }) => id).sort()).toEqual(Object.keys(published).sort());
  });

  test('are listed by size, small ones only, with what they take', () => {
    const rows = chatModelRows();
    const sizes = rows.map(({ parameters }) => parameters);
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expect(Math.max(...sizes)).toBeLessThan(5e9);
    expect(rows.find(({ id }) => id.endsWith('SmolLM2-360M-Instruct'))).toMatchObject({
      downloadBytes: 723_642_240,
      int8Bytes: 384_434_940,
      int4Bytes: 203_524_380,
      sparse: false,
    });
    expect(rows.some(({ sparse }) => sparse)).toBe(true);
  });

  test('`relufy models --chat` prints them, or JSON', async () => {
    const { code, stdout } = await runCli(['models', '--chat']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${chatModelsTable()}\n` });
    const json = JSON.parse((await runCli(['models', '--chat', '--json'])).stdout);
    expect(json.map(({ id }: { id: string }) => id)).toEqual(chatModelRows().map(({ id }) => id));
  });
});
