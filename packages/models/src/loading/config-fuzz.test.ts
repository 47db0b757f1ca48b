// Thousands of damaged configs: each runs, or there is one short RelufyError, soon. RELUFY_FUZZ=N raises the count
// (`node packages/checkpoint/testing/fuzz.mjs` does so).
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type ModelFiles, memoryFiles } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { shared } from '../../../../tools/testing/shared.js';
import { mutate, random } from '../../../checkpoint/testing/craft.js';
import { planModel, readJson } from './plan-model.js';

const modelUrl = new URL('../../../llama-tales/model/', import.meta.url);

const rounds = Number(process.env.RELUFY_FUZZ ?? 0) || 1500;

/** In the place of any value; NaN and Infinity as Python writes them. */
const hostile = [
  ...[
    'null',
    'true',
    '"x"',
    '""',
    '[]',
    '{}',
    '[[1]]',
    '{"type":"x"}',
    'NaN',
    '-Infinity',
    '0',
    '-1',
    '1',
    '2',
    '7',
    '0.5',
  ],
  ...['1e308', '1e-320', '4294967296', '16777216', '65536', '9007199254740993', '-0', '100000', '1000000'],
  ...[`"${'y'.repeat(10_000)}"`, `[${Array(5000).fill(1)}]`, '"\\u001b[2J"', '[-1]', '[0, 1, 2]', '"relu"', '"gelu"'],
];

/** Text with one to three of its values exchanged, keys doubled, or bytes changed. */
function damaged(text: string, seed: number): string {
  const next = random(seed);
  const pick = (below: number): number => Math.floor(next() * below);
  if (next() < 0.2) return new TextDecoder().decode(mutate(new TextEncoder().encode(text), next));
  let out = text;
  for (let changes = 1 + pick(3); changes > 0; changes--) {
    const places = [
      ...out.matchAll(/(?<=": ?)(?:"[^"]*"|-?[\d.]+(?:e[+-]?\d+)?|true|false|null|\[[^[\]]*\]|\{[^{}]*\})/g),
    ];
    const place = places[pick(places.length)];
    if (place)
      out = out.slice(0, place.index) + hostile[pick(hostile.length)] + out.slice(place.index + place[0].length);
  }
  return out;
}

async function survives(files: ModelFiles, config: string, seed: number): Promise<boolean> {
  const began = process.cpuUsage();
  const changed: ModelFiles = {
    ...files,
    readText: async (file, options) =>
      file === 'config.json'
        ? memoryFiles('m', { [file]: config }).readText(file, options)
        : files.readText(file, options),
  };
  let planned = false;
  try {
    const plan = await planModel(changed, { contextLength: 8 });
    await plan.checkpoint.close();
    planned = true;
  } catch (error) {
    if (!RelufyError.is(error)) throw new Error(`seed ${seed}`, { cause: error });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that are looked for.
    if (error.message.length > 1000 || /[\u0000-\u001f\u007f-\u009f]/.test(error.message))
      throw new Error(`seed ${seed}: ${error.message.length} characters: ${error.message.slice(0, 300)}`);
  }
  // of computing, whatever else the machine has to do
  const ms = process.cpuUsage(began).user / 1e3;
  if (ms > 1000) throw new Error(`seed ${seed}: ${ms} ms for ${config.slice(0, 300)}`);
  return planned;
}

describe('a mutated config', async () => {
  const folders = [fileURLToPath(modelUrl)];
  const golden = await readdir(shared('golden')).catch(() => [] as string[]);
  for (const name of golden) {
    const text = await readFile(shared(`golden/${name}/config.json`), 'utf8').catch(() => undefined);
    if (text !== undefined && folders.length < 40) folders.push(shared(`golden/${name}`));
  }
  it(
    'loads, or gives one error',
    async () => {
      let planned = 0;
      let seed = 0;
      for (const folder of folders) {
        const files = await folderFiles(folder);
        const config = JSON.stringify(await readJson(files, 'config.json'), null, 1);
        for (let i = 0; i < rounds / folders.length; i++) {
          seed++;
          if (await survives(files, damaged(config, seed), seed)) planned++;
        }
      }
      expect(planned).toBeGreaterThan(rounds / 100);
      expect(planned).toBeLessThan(rounds);
    },
    120_000 + rounds * 5,
  );
});
