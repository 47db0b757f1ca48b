// The files that say what a run is: whatever an interrupted write or a full disk has made of run.json, no checkpoint is
// lost by it, and nobody is told to remove a folder that holds one.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryFiles, openCheckpoint, streamSafetensors } from '@relufy/checkpoint';
import { createReferenceBackend } from '@relufy/tensor';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseRunConfig, type RunEvent, runTraining } from './index.js';
import { type TinyRun, tinyRun } from './testing/tiny-run.js';

let tiny: TinyRun;
let finished: string;
let undisturbed: Buffer;
let folder: string;
let file: string;

beforeAll(async () => {
  tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-run-folder-')));
  // one place for all of them: a config names it
  folder = join(tiny.folder, 'run');
  file = join(folder, 'run.json');
  finished = join(tiny.folder, 'finished');
  await go();
  undisturbed = readFileSync(join(folder, 'model/model.safetensors'));
  cpSync(folder, finished, { recursive: true });
});
afterAll(() => rmSync(tiny.folder, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  cpSync(finished, folder, { recursive: true });
  rmSync(join(folder, 'model'), { recursive: true });
});

async function go(changes: Readonly<Record<string, unknown>> = {}): Promise<{ warnings: string[]; resumed: string[] }> {
  const events: RunEvent[] = [];
  const options = { backend: createReferenceBackend(), onEvent: (event: RunEvent) => events.push(event) };
  await runTraining(parseRunConfig(tiny.config(folder, changes)), options);
  return {
    warnings: events.flatMap((event) => (event.kind === 'warning' ? [event.message] : [])),
    resumed: events.flatMap((event) => (event.kind === 'resumed' ? [event.path] : [])),
  };
}

const damages: [string, string][] = [
  ['empty', ''],
  ['of zeros', '\0'.repeat(200)],
  ['cut off', '{\n  "model": {'],
  ['no JSON', 'model:\n  from: x\n'],
  ['null', 'null'],
  ['a list', '[]'],
  ['a text', '"x"'],
  ['an empty object', '{}'],
  ['of something else', '{"step": 3}'],
];

describe('run.json', () => {
  it.each(damages)('that is %s is made anew from the checkpoint, and told', async (_, text) => {
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, text);
    const { warnings, resumed } = await go();
    expect(warnings).toEqual([
      expect.stringMatching(/run\.json: expected the run's config, got .*\. It was made anew from .*step-00000006\.$/),
    ]);
    expect(resumed).toEqual([expect.stringContaining('step-00000006')]);
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(readFileSync(join(folder, 'model/model.safetensors')).equals(undisturbed)).toBe(true);
  });

  it.each([...damages.slice(0, 3), ['gone', undefined] as const])(
    'that is %s does not let another config go on',
    async (_, text) => {
      if (text === undefined) unlinkSync(file);
      else writeFileSync(file, text);
      await expect(go({ seed: 8 })).rejects.toThrow(
        /step-00000006 "seed": expected the config that the run began with, 7, got 8\. Change it back, or choose another out\./,
      );
      expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000003', 'step-00000006']);
    },
  );

  it('that is empty, beside checkpoints of earlier versions, is an error that keeps them and says how to go on', async () => {
    for (const step of ['step-00000003', 'step-00000006']) await withoutConfig(join(folder, 'checkpoints', step));
    writeFileSync(file, '');
    await expect(go()).rejects.toThrow(
      /run\.json: expected the run's config, got an empty file\. The checkpoints beside it are whole: keep the folder\. If the config is the one that the run began with, remove this one file and start again: the run goes on from .*step-00000006\.$/,
    );
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000003', 'step-00000006']);
    unlinkSync(file);
    expect((await go()).resumed).toEqual([expect.stringContaining('step-00000006')]);
  });

  it('that is empty, with no checkpoint yet, is made anew', async () => {
    rmSync(join(folder, 'checkpoints'), { recursive: true });
    writeFileSync(file, '');
    const { warnings, resumed } = await go();
    expect(warnings).toEqual([expect.stringMatching(/run\.json: .* got an empty file\. It was made anew\.$/)]);
    expect(resumed).toEqual([]);
    expect(readFileSync(join(folder, 'model/model.safetensors')).equals(undisturbed)).toBe(true);
  });

  it('that is a folder is an error in one sentence', async () => {
    unlinkSync(file);
    mkdirSync(file);
    await expect(go()).rejects.toThrow(/run\.json: expected a readable file, got a folder\. Check its rights\./);
  });
});

it.each([
  ['cut off', (text: string) => text.slice(0, -10)],
  ['with lines that are none', (text: string) => `null\n3\n\0\0\n${text}`],
])('metrics.jsonl %s keeps its whole lines', async (_, damage) => {
  const metrics = join(folder, 'metrics.jsonl');
  const text = readFileSync(metrics, 'utf8');
  writeFileSync(metrics, damage(text));
  rmSync(join(folder, 'checkpoints/step-00000006'), { recursive: true });
  await go();
  const steps = readFileSync(metrics, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).step);
  expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
  expect(readdirSync(folder).filter((name) => name.includes('tmp'))).toEqual([]);
});

/** As a checkpoint was that says nothing of its run, and has no checksums. */
async function withoutConfig(path: string): Promise<void> {
  const place = join(path, 'model.safetensors');
  const files = memoryFiles('old', { 'model.safetensors': new Uint8Array(readFileSync(place)) });
  const checkpoint = await openCheckpoint(files);
  const tensors = [];
  for (const { name, shape } of checkpoint.tensors.values()) {
    const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
    tensors.push({ name, dtype: 'F32', shape, data: (await checkpoint.readStored(name, 0, rows)).slice() });
  }
  const metadata = { 'relufy.run': checkpoint.metadata['relufy.run'] as string };
  const pieces: Uint8Array[] = [];
  for await (const piece of streamSafetensors(tensors, { metadata })) pieces.push(piece.slice());
  writeFileSync(place, Buffer.concat(pieces));
  unlinkSync(join(path, 'SHA256SUMS'));
}
