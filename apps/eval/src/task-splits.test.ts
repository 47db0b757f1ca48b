// Tasks whose splits differ, in one run: each by its own choice, and what cannot be scored is left out and said.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { evalPage } from './eval-report.js';
import { type EvaluateOptions, evaluate } from './evaluate.js';
import { readRun, writeResults } from './result-files.js';
import { toLmEvalJson, toTable } from './results.js';
import { readSweep } from './sweep/sweep-file.js';
import { TaskRegistry, type TaskSelection } from './task-registry.js';
import { parseSplits } from './task-splits.js';
import { fakeModel } from './testing/fake-model.js';

let folder: string;
let registry: TaskRegistry;
let both: TaskSelection;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-splits-'));
  // the file's name is in its documents
  for (const file of ['tested__test', 'tested__validation', 'untested__validation', 'untested__train'])
    writeFileSync(join(folder, `${file}.jsonl`), `{"q": "${file}", "c": ["x", "y"], "a": 1}\n`);
  for (const name of ['tested', 'untested'])
    writeFileSync(
      join(folder, `${name}.yaml`),
      `task: ${name}\ndataset_path: ${name}\noutput_type: multiple_choice\ntest_split: test\nvalidation_split: validation\ntraining_split: train\ndoc_to_text: q\ndoc_to_target: a\ndoc_to_choice: c\nmetric_list: [{metric: acc}]\n`,
    );
  writeFileSync(join(folder, 'pair.yaml'), 'group: pair\ntask: [tested, untested]\n');
  registry = await TaskRegistry.open([folder]);
  both = await registry.select(['pair']);
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (options: Partial<EvaluateOptions> = {}, selection = both) =>
  evaluate(fakeModel(), selection, { dataFolder: folder, ...options });

/** The file that each task's document came from. */
const filesOf = async (options: Partial<EvaluateOptions>) =>
  [...(await run(options)).samples.values()].map(([sample]) => sample!.item.doc.q);

test.each([
  ['untested=validation', ['tested__test', 'untested__validation']],
  ['validation', ['tested__validation', 'untested__validation']],
  ['validation,tested=test', ['tested__test', 'untested__validation']],
  ['pair=validation', ['tested__validation', 'untested__validation']],
  ['pair=validation,tested=test', ['tested__test', 'untested__validation']],
  ['*tested=validation,untested=train', ['tested__validation', 'untested__train']],
])('--split %s', async (text, files) => {
  expect(await filesOf(parseSplits('--split', text.split(',')))).toEqual(files);
});

test('a task without its split is left out and said so; the others are scored', async () => {
  const heard: string[] = [];
  const evaluation = await run({ onWarning: (warning) => heard.push(warning) });
  const { results } = evaluation;
  expect(results.tasks.map(({ task, split }) => [task.task, split])).toEqual([['tested', 'test']]);
  expect(heard).toEqual([
    expect.stringMatching(/^Not scored: untested\. .*split "test".*choose it with --split untested=validation\.$/),
    'pair: no mean, since not all of its tasks are scored.',
  ]);
  expect(results.warnings).toEqual(heard);
  const json = toLmEvalJson(results) as { results: object; groups: object; relufy: object };
  expect(json.results).toMatchObject({ tested: { 'acc,none': expect.any(Number) } });
  expect(json.groups).toEqual({ pair: { alias: 'pair' } });
  expect(json.relufy).toMatchObject({ splits: { tested: 'test' }, warnings: heard });
  expect(toTable(results)).toMatch(/tested/);
  await writeResults(folder, evaluation);
  expect(readFileSync(join(folder, 'table.md'), 'utf8')).toContain('Not scored: untested.');
  expect(evalPage([await readRun(folder)])).toContain('Not scored: untested.');
});

test('examples that are in no file leave their task out too', async () => {
  const { results } = await run({ numFewshot: 1, splits: { pair: 'validation' } });
  expect(results.tasks.map(({ task }) => task.task)).toEqual(['untested']);
  expect(results.warnings[0]).toMatch(/^Not scored: tested\. .*split "train".*use --num-fewshot 0/);
});

test('nothing that can be scored is an error', async () => {
  await expect(run({ split: 'nowhere' })).rejects.toThrow(/split "nowhere" .* The same of untested\.$/);
  await expect(run({}, await registry.select(['untested']))).rejects.toThrow('--split untested=validation');
  await expect(run({ splits: { other: 'test' } })).rejects.toThrow(
    /split of "other": expected a task or group of this run.* It has tested, untested\./,
  );
});

test.each(['a=', '=b', '', 'a=b=c', 'a=b,a=c', 'test,train'])('--split "%s" is refused', (text) => {
  expect(() => parseSplits('--split', text.split(','))).toThrow(/^--split: expected /);
});

test('a sweep has a split for all, or by task', () => {
  const jobs = (split: string) =>
    readSweep('s.yaml', `models: [m]\ntasks: [a, b]\nsplit: ${split}\n`).map(({ args }) => args.join(' '));
  expect(jobs('validation').every((args) => args.endsWith('--split validation'))).toBe(true);
  const [first, second] = jobs('{ a: validation }');
  expect([first, second]).toEqual([expect.stringMatching(/--split validation$/), expect.not.stringContaining('split')]);
  expect(() => jobs('{ c: test }')).toThrow('"split.c": expected one of the tasks a, b');
  expect(() => jobs('a=test')).toThrow('"split": expected one split, or { TASK: SPLIT, ... }');
});
