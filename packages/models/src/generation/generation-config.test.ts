// What generation_config.json recommends: read where it says that one samples, and what does not fit left out.
import { memoryFiles } from '@relufy/checkpoint';
import { expect, test } from 'vitest';
import { readGenerationConfig } from './generation-config.js';

const read = (config: unknown) =>
  readGenerationConfig(
    memoryFiles('m', { 'generation_config.json': new TextEncoder().encode(JSON.stringify(config)) }),
    9,
  );

test('ids and settings, by their names in other software', async () => {
  const config = { do_sample: true, eos_token_id: [2, 5], temperature: 0.2, top_p: 0.9, no_repeat_ngram_size: 6 };
  expect(
    await read({ ...config, repetition_penalty: 1.1, min_p: null, presence_penalty: 0.5, max_length: 20 }),
  ).toEqual({
    eosTokenIds: [2, 5],
    sampling: { temperature: 0.2, topP: 0.9, noRepeatNgramSize: 6, repetitionPenalty: 1.1, presencePenalty: 0.5 },
  });
});

test('nothing is recommended for greedy decoding, nor by what does not fit', async () => {
  for (const config of [{}, { temperature: 0.6, top_p: 0.9 }, { do_sample: false, temperature: 0.6 }])
    expect((await read(config)).sampling).toEqual({});
  const odd = { do_sample: true, top_k: -1, temperature: '0.7', top_p: 0, repetition_penalty: -2, min_p: 0.1 };
  expect((await read(odd)).sampling).toEqual({ minP: 0.1 });
  expect(await readGenerationConfig(memoryFiles('m', {}), 9)).toEqual({ eosTokenIds: [], sampling: {} });
});

test('what is no object, or no ids, is an error', async () => {
  await expect(read([1])).rejects.toThrow('m generation_config.json: expected an object, got [1].');
  await expect(read({ eos_token_id: 'x' })).rejects.toThrow(/eos_token_id.*got "x"/);
});
