// kill -9 in the middle of an evaluation, and the same command again: the scores of a run that nobody killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareRuns, comparisonTable } from './compare.js';
import { readRun } from './result-files.js';

const script = fileURLToPath(new URL('testing/run-evaluation.mjs', import.meta.url));
const documents = 40;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-kill-'));
  const animals = ['fox', 'bear', 'owl', 'mouse'];
  const docs = Array.from({ length: documents }, (_, i) => ({
    start: `Once upon a time there was a ${animals[i % 4]} number ${i} who`,
    ends: [' was happy.', ' seven the blue'],
    best: 0,
  }));
  writeFileSync(join(folder, 'stories__test.jsonl'), docs.map((doc) => JSON.stringify(doc)).join('\n'));
  writeFileSync(
    join(folder, 'stories.yaml'),
    'task: stories\ndataset_path: stories\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: start\ndoc_to_target: best\ndoc_to_choice: ends\nmetric_list: [{metric: acc}, {metric: acc_norm}]\n',
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (out: string, env: NodeJS.ProcessEnv = {}): ChildProcess =>
  spawn(
    process.execPath,
    [script, '--tasks', join(folder, 'stories.yaml'), '--data', folder, '--out', join(folder, out), '--resume'],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } },
  );

const ended = (child: ChildProcess) =>
  new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? code)),
  );

const lines = (out: string): number => {
  try {
    return readFileSync(join(folder, out, 'log.jsonl'), 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
};

test('a killed evaluation goes on and ends as if it had not been', { timeout: 120_000 }, async () => {
  const whole = ended(run('whole'));
  const hold = join(folder, 'hold');
  writeFileSync(hold, '');
  const child = run('killed', { RELUFY_TEST_HOLD: hold });
  const end = ended(child);
  while (lines('killed') < 8 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGKILL');
  expect(await end).toBe('SIGKILL');
  const before = lines('killed');
  expect(before).toBeLessThan(documents);
  expect(await ended(run('killed'))).toBe(0);
  expect(await whole).toBe(0);
  // header, the task's line, a line a document: none twice
  expect(lines('killed')).toBe(documents + 2);
  const [a, b] = [await readRun(join(folder, 'whole')), await readRun(join(folder, 'killed'))];
  expect(b.scores).toEqual(a.scores);
  const answers = (out: string) =>
    readFileSync(join(folder, out, 'log.jsonl'), 'utf8')
      .split('\n')
      .sort();
  expect(answers('killed')).toEqual(answers('whole'));
  const comparisons = compareRuns(a, b);
  expect(comparisons.map(({ difference, p }) => [difference, p])).toEqual([
    [0, 1],
    [0, 1],
  ]);
  expect(comparisonTable(comparisons, a, b)).toContain('weight bytes per token');
});
