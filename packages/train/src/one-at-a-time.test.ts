// Two runs in one folder: the second is refused in a sentence before it touches anything, whether it is of another process or
// of this one; a run that was killed with -9 holds nothing. Runs that share token files encode once.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createReferenceBackend } from '@relufy/tensor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseRunConfig, type RunEvent, runTraining } from './index.js';
import { type TinyRun, tinyRun } from './testing/tiny-run.js';

let tiny: TinyRun;
const children: ChildProcess[] = [];
beforeAll(async () => {
  tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-one-')));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(tiny.folder, { recursive: true, force: true });
});

const train = (out: string, onEvent: (event: RunEvent) => void = () => {}, changes = {}) =>
  runTraining(parseRunConfig(tiny.config(out, { steps: 9, ...changes })), {
    backend: createReferenceBackend(),
    onEvent,
  });

/** A run in a process of its own, that has got as far as to print `until`. */
async function start(out: string, until: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('./testing/run-child.mjs', import.meta.url));
  writeFileSync(`${out}.yaml`, stringify(tiny.config(out, { steps: 100_000, checkpoint: { every: 3 } })));
  const child = spawn(process.execPath, [script, `${out}.yaml`, 'reference'], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (text) => {
      if (String(text).includes(until)) resolve();
    });
  });
  return child;
}

it('a folder in which another process trains is refused, until that is killed', { timeout: 60_000 }, async () => {
  const out = join(tiny.folder, 'two');
  const child = await start(out, 'step 4');
  const refused = train(out, undefined, { seed: 9 });
  await expect(refused).rejects.toThrow(
    `${out}: expected no other process to work there, got process ${child.pid}. Wait for it, or name another folder.`,
  );
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  expect(readdirSync(out)).toContain('lock');
  const controller = new AbortController();
  const events: RunEvent[] = [];
  const resumed = runTraining(parseRunConfig(tiny.config(out, { steps: 100_000 })), {
    backend: createReferenceBackend(),
    signal: controller.signal,
    onEvent: (event) => {
      events.push(event);
      if (event.kind === 'step') controller.abort('enough');
    },
  });
  await expect(resumed).rejects.toBe('enough');
  expect(events.map(({ kind }) => kind)).toContain('resumed');
  expect(readdirSync(out)).not.toContain('lock');
});

it('a second run of the same process is refused too', async () => {
  const out = join(tiny.folder, 'same');
  const [first, second] = await Promise.allSettled([train(out), train(out)]);
  const states = [first, second].map(({ status }) => status);
  expect(states.sort()).toEqual(['fulfilled', 'rejected']);
  const { reason } = [first, second].find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  expect(reason.code).toBe('state');
  expect(reason.message).toContain('got process this one.');
  expect(readdirSync(out)).not.toContain('lock');
});

it('runs that share a folder of tokens encode once', async () => {
  const tokens = join(tiny.folder, 'tokens');
  const outs = ['a', 'b', 'c'].map((name) => join(tiny.folder, name));
  await Promise.all(outs.map((out) => train(out, undefined, { tokens })));
  expect(readdirSync(tokens)).toHaveLength(1);
  const models = outs.map((out) => readFileSync(join(out, 'model/model.safetensors')));
  expect(models.every((bytes) => bytes.equals(models[0] as Buffer))).toBe(true);
});
