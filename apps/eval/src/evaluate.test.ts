import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { readDocs } from './data-files.js';
import { evaluate, logHeader } from './evaluate.js';
import { RequestLog } from './request-log.js';
import { toLmEvalJson, toTable } from './results.js';
import { loadDocs } from './task-data.js';
import { TaskRegistry, type TaskSelection } from './task-registry.js';
import { docChoices, docTarget, docText } from './task-values.js';
import { fakeModel } from './testing/fake-model.js';

let folder: string;
let selection: TaskSelection;

const task = `
task: colours
dataset_path: mine/colours
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "Q: {{q}}"
doc_to_target: "{{a}}"
doc_to_choice: "{{c}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
metadata: {version: 1.0}
`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-eval-'));
  const docs = Array.from({ length: 12 }, (_, i) => ({ q: `q${i}`, a: i % 3, c: ['red', 'green', `blue ${i}`] }));
  const lines = docs.map((doc) => JSON.stringify(doc)).join('\n');
  writeFileSync(join(folder, 'colours__test.jsonl.gz'), gzipSync(lines));
  writeFileSync(join(folder, 'colours__train.jsonl'), lines);
  writeFileSync(join(folder, 'colours.yaml'), task);
  selection = await (await TaskRegistry.open()).select([join(folder, 'colours.yaml')]);
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a context is computed once for its choices, and the results are in the schema of lm-evaluation-harness', async () => {
  const model = fakeModel();
  const { results } = await evaluate(model, selection, { dataFolder: folder });
  expect(model.calls.count).toBe(12);
  const json = toLmEvalJson(results) as Record<string, never>;
  expect(json.results).toEqual({
    colours: {
      alias: 'colours',
      'acc,none': expect.any(Number),
      'acc_stderr,none': expect.any(Number),
      'acc_norm,none': expect.any(Number),
      'acc_norm_stderr,none': expect.any(Number),
    },
  });
  expect(json['n-samples']).toEqual({ colours: { original: 12, effective: 12 } });
  expect(json['n-shot']).toEqual({ colours: 0 });
  const lines = toTable(results).split('\n');
  expect(lines[0]).toBe('| Tasks |Version|Filter|n-shot| Metric |   |Value |   |Stderr|');
  expect(lines[1]).toBe('|-------|------:|------|-----:|--------|---|-----:|---|-----:|');
  expect(lines[2]).toMatch(/^\|colours\| {6}1\|none {2}\| {5}0\|acc {5}\|↑ {2}\|0\.\d{4}\|± {2}\|0\.\d{4}\|$/);
});

test('few-shot examples are drawn as Python draws them', async () => {
  const { samples } = await evaluate(fakeModel(), selection, { dataFolder: folder, numFewshot: 2, limit: 2 });
  const contexts = samples.get('colours')?.map(({ item }) => (item.requests[0] as { context: string }).context);
  // random.Random(1234).sample(range(12), 2) gives 7, 1 and then 0, 1, of which 1 is the document itself
  expect(contexts).toEqual(['Q: q7 green\n\nQ: q1 green\n\nQ: q0', 'Q: q0 red\n\nQ: q1']);
});

test('a run that was interrupted goes on where it was, and ends the same', async () => {
  const path = join(folder, 'log.jsonl');
  const whole = await evaluate(fakeModel(), selection, { dataFolder: folder });
  const stopping = new AbortController();
  const first = fakeModel();
  const header = logHeader(first, selection, {});
  const log = await RequestLog.open(path, header, false);
  const interrupted = evaluate(first, selection, {
    dataFolder: folder,
    log,
    signal: stopping.signal,
    onProgress: ({ requests }) => {
      if (requests === 15) stopping.abort(new Error('stop'));
    },
  });
  await expect(interrupted).rejects.toThrow('stop');
  log.close();
  // a line that a crash tore
  writeFileSync(path, `${readFileSync(path, 'utf8')}{"task":"colours","d":9,"w":0`);
  await expect(RequestLog.open(path, header, false)).rejects.toThrow('--resume');
  await expect(RequestLog.open(path, { ...header, limit: 3 }, true)).rejects.toThrow('expected a run with limit 3');
  const again = await RequestLog.open(path, header, true);
  const second = fakeModel();
  const resumed = await evaluate(second, selection, { dataFolder: folder, log: again });
  again.close();
  expect([first.calls.count, second.calls.count]).toEqual([5, 7]);
  expect(resumed.results.tasks[0]?.metrics).toEqual(whole.results.tasks[0]?.metrics);
  expect(resumed.samples).toEqual(whole.samples);
});

test('bad input is one clear error', async () => {
  const run = (options: object) => evaluate(fakeModel(), selection, { dataFolder: folder, ...options });
  await expect(run({ dataFolder: tmpdir() })).rejects.toThrow(/colours: expected the split "test" of "mine\/colours"/);
  await expect(run({ split: 'validation' })).rejects.toThrow('There is train and test: choose it with --split');
  const unlearned = { ...selection.tasks[0]!, training_split: 'nowhere' };
  await expect(
    evaluate(fakeModel(), { tasks: [unlearned], groups: [] }, { dataFolder: folder, numFewshot: 2 }),
  ).rejects.toThrow(
    /expected the split "nowhere" of "mine\/colours".* got no such file\. Few-shot examples come from it: add the file, or use --num-fewshot 0/,
  );
  await expect(run({ limit: 0 })).rejects.toThrow('expected a limit of at least one document');
  await expect(run({ numFewshot: 20 })).rejects.toThrow('expected at least 20 documents');
  const nan = fakeModel({
    score: async (asked) =>
      asked.map(({ continuations }) => continuations.map(() => ({ logprob: Number.NaN, isGreedy: false }))),
  });
  await expect(evaluate(nan, selection, { dataFolder: folder })).rejects.toThrow('expected a finite log-probability');
  await expect(evaluate(fakeModel({ maxLength: 3 }), selection, { dataFolder: folder })).rejects.toThrow(
    /colours document 0: request: expected a continuation of at most 3 tokens/,
  );
  writeFileSync(join(folder, 'broken__test.jsonl'), '{"q": 1}\n{"q": \n');
  const broken = { ...selection.tasks[0]!, dataset_path: 'broken' };
  await expect(evaluate(fakeModel(), { tasks: [broken], groups: [] }, { dataFolder: folder })).rejects.toThrow(
    /broken__test.jsonl: expected a JSON object in line 2/,
  );
  writeFileSync(join(folder, 'nothing__test.jsonl'), '\n');
  const nothing = { ...selection.tasks[0]!, dataset_path: 'nothing' };
  await expect(evaluate(fakeModel(), { tasks: [nothing], groups: [] }, { dataFolder: folder })).rejects.toThrow(
    /colours: expected documents in .*nothing__test.jsonl, got none\. Check the data\./,
  );
});

test('contexts that are too long are cut on the left, and counted', async () => {
  const { results } = await evaluate(fakeModel({ maxLength: 8 }), selection, { dataFolder: folder, limit: 2 });
  expect(results.tasks[0]?.truncated).toBe(4);
});

describeShared('every built-in task runs on the data of ../shared/eval', 'eval', () => {
  test('one document each', async () => {
    const registry = await TaskRegistry.open();
    const run = async (chosen: readonly string[], options: object) =>
      evaluate(fakeModel({ maxLength: 100_000 }), await registry.select(chosen), {
        dataFolder: shared('eval'),
        limit: 2,
        bootstrapIterations: 0,
        ...options,
      });
    const others = registry.taskNames.filter((name) => name !== 'sciq');
    const { results, samples } = await run(['mmlu', 'blimp', ...others], {});
    expect(results.groups).toHaveLength(6);
    expect(results.tasks.every(({ metrics }) => metrics.every(({ value }) => Number.isFinite(value)))).toBe(true);
    expect(samples.get('boolq')?.[0]?.item).toMatchObject({ choices: ['no', 'yes'], target: 0 });
    expect(samples.get('winogrande')?.[0]?.item.requests).toEqual([
      {
        kind: 'loglikelihood',
        context: 'Sarah was a much better surgeon than Maria so Sarah',
        continuation: ' always got the easier cases.',
      },
      {
        kind: 'loglikelihood',
        context: 'Sarah was a much better surgeon than Maria so Maria',
        continuation: ' always got the easier cases.',
      },
    ]);
    await run(['arc_easy', 'arc_challenge', 'openbookqa', 'sciq'], { split: 'validation' });
  });

  test.each([
    ['arc_easy', 2376],
    ['arc_challenge', 1172],
  ])('%s: the test split as it is, with three to five choices', async (name, count) => {
    const [task] = (await (await TaskRegistry.open()).select([name])).tasks;
    const docs = await loadDocs(task!, 'test', { folder: shared('eval') });
    expect(docs).toHaveLength(count);
    // another copy of the same questions, which has four choices everywhere
    const copies = await readDocs(shared(`eval/${name}_test.jsonl.gz`));
    let same = 0;
    for (const [at, doc] of docs.entries()) {
      const [choices, copied] = [docChoices(task!, doc), copies[at]!.choices as string[]];
      expect(docText(task!, doc)).toBe(`${copies[at]!.query}\nAnswer:`);
      expect(docTarget(task!, doc)).toBeLessThan(choices.length);
      if (choices.length !== 4) continue;
      expect(choices).toEqual(copied);
      // where answers are numbered from 1, that copy is off by one
      const ahead = Number(copies[at]!.gold) - Number(docTarget(task!, doc));
      expect(ahead).toBe(ahead === 0 || !String(doc.id).startsWith('NYSEDREGENTS') ? 0 : 1);
      same++;
    }
    expect([count - same, new Set(docs.map((doc) => docChoices(task!, doc).length))]).toEqual([
      name === 'arc_easy' ? 11 : 7,
      new Set([3, 4, 5]),
    ]);
    const [genes] = docs.filter(({ id }) => id === 'NYSEDREGENTS_2010_8_13');
    if (genes) expect(docChoices(task!, genes)[Number(docTarget(task!, genes))]).toBe('DNA');
    expect(genes !== undefined).toBe(name === 'arc_easy');
  });

  test('MMLU with five examples begins as in lm-evaluation-harness', async () => {
    const registry = await TaskRegistry.open();
    const { samples } = await evaluate(fakeModel({ maxLength: 10_000 }), await registry.select(['mmlu_anatomy']), {
      dataFolder: shared('eval'),
      limit: 1,
      numFewshot: 5,
    });
    const { requests, choices } = samples.get('mmlu_anatomy')![0]!.item;
    const { context, continuation } = requests[0] as { context: string; continuation: string };
    expect(context.startsWith('The following are multiple choice questions (with answers) about anatomy.\n\n')).toBe(
      true,
    );
    expect(context.match(/\nAnswer: [ABCD]\n\n/g)).toHaveLength(5);
    expect(context.endsWith('\nAnswer:')).toBe(true);
    expect([continuation, choices]).toEqual([' A', ['A', 'B', 'C', 'D']]);
  });
});
