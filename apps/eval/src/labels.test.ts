// Labels that no choice has, questions that name one, stops that stop nothing: as lm-evaluation-harness has them, or said.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { evaluate } from './evaluate.js';
import { itemMetrics, labelWarning } from './metrics.js';
import { makeItem } from './requests.js';
import { readTask } from './task-file.js';
import { fakeModel } from './testing/fake-model.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-labels-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const taskOf = (fields: object = {}) =>
  readTask('t.yaml', {
    task: 't',
    dataset_path: 't',
    test_split: 'test',
    output_type: 'multiple_choice',
    doc_to_text: 'q',
    doc_to_target: 'a',
    doc_to_choice: 'c',
    ...fields,
  });

const itemOf = (doc: Record<string, unknown>, fields: object = {}) =>
  makeItem(taskOf(fields), 0, { q: 'Q', c: ['x', 'y'], ...doc }, () => '');

// the second choice has the best score in every measure
const responses = [-3, -1].map((logprob) => ({ logprob, isGreedy: false, tokens: 1 }));

test.each([
  ['-1', -1, 0, true],
  ['beyond the choices', 2, 0, true],
  ['a text that is no choice', 'z', 0, true],
  ['an empty text', '', 0, true],
  ['no whole number', 0.5, 0, true],
  ['several, one of them outside', [1, 7], 1, true],
  ['several, all outside', [-1, 'z', null], 0, true],
  ['none of several', [], 0, true],
  ['a number', 1, 1, false],
  ['a text', 'y', 1, false],
  ['yes', true, 1, false],
  ['several', ['x', 'y'], 1, false],
])('a label: %s', (_, a, right, warned) => {
  const item = itemOf({ a });
  expect(itemMetrics(taskOf(), item, responses)).toEqual({ acc: right, acc_norm: right, acc_bytes: right });
  expect(labelWarning(taskOf(), [item]) !== undefined).toBe(warned);
});

test('a run with such labels ends, counts them as wrong, and says how many', async () => {
  const docs = [0, -1, 5].map((a) => JSON.stringify({ q: 'Q', c: ['x', 'y'], a }));
  writeFileSync(join(folder, 't__test.jsonl'), docs.join('\n'));
  const { results, samples } = await evaluate(
    fakeModel(),
    { tasks: [taskOf()], groups: [] },
    { dataFolder: folder, bootstrapIterations: 0 },
  );
  expect(
    samples
      .get('t')
      ?.slice(1)
      .map(({ metrics }) => metrics.acc),
  ).toEqual([0, 0]);
  expect(results.warnings).toEqual([
    't: the label of 2 of 3 documents is none of their choices (first in document 1: -1, of 2 choices). No answer to them counts as right, as in lm-evaluation-harness.',
  ]);
});

test.each([
  ['a template', { doc_to_text: '{{n}}' }, { n: 3 }],
  ['a field', { doc_to_text: 'n' }, { n: 2 }],
  ['a negative field', { doc_to_text: 'n' }, { n: -1 }],
  ['the file', { doc_to_text: 7 }, {}],
])('a question that %s makes a number without a choice is an error', (_, fields, doc) => {
  expect(() => itemOf({ a: 0, ...doc }, fields)).toThrow(
    /t "doc_to_text": expected a text, or the number of one of 2 choices, got -?\d\. Digits alone name a choice/,
  );
});

test('a question of digits names a choice where there is one, and is a text where there are no choices', () => {
  const contextOf = (item: ReturnType<typeof itemOf>) => (item.requests[0] as { context: string }).context;
  expect(contextOf(itemOf({ a: 0, n: 1 }, { doc_to_text: '{{n}}' }))).toBe('y');
  expect(contextOf(itemOf({ a: 0, n: 3 }, { doc_to_text: '{{n}}:' }))).toBe('3:');
  for (const output_type of ['generate_until', 'loglikelihood'])
    expect(contextOf(itemOf({ a: 0, n: 1 }, { output_type, doc_to_text: '{{n}}' }))).toBe('y');
  const free = { output_type: 'generate_until', doc_to_choice: undefined, doc_to_text: '{{n}}' };
  expect(contextOf(itemOf({ a: 'z', n: 3 }, free))).toBe('3');
});

test.each([[[false, true]], [['False', 'True']], [{ no: false, yes: true }], ['{{ [1 == 2, 1 == 1] }}']])(
  'choices that are no texts are asked for as Python prints them: %j',
  (doc_to_choice) => {
    const item = itemOf({ answer: true }, { doc_to_choice, doc_to_target: '{{answer}}' });
    expect(item.choices).toEqual(['False', 'True']);
    expect(item.requests.map((request) => 'continuation' in request && request.continuation)).toEqual([
      ' False',
      ' True',
    ]);
    expect(itemMetrics(taskOf(), item, responses).acc).toBe(1);
    expect(
      itemMetrics(taskOf(), itemOf({ answer: false }, { doc_to_choice, doc_to_target: '{{answer}}' }), responses).acc,
    ).toBe(0);
    expect(
      itemMetrics(taskOf(), itemOf({ answer: true }, { doc_to_choice, doc_to_target: 'answer' }), responses).acc,
    ).toBe(1);
  },
);

test('a target that is a list of Python is several targets', () => {
  expect(itemOf({ l: ['x', "it's"] }, { doc_to_target: '{{l}}' }).target).toEqual(['x', "it's"]);
  expect(itemOf({ l: 'no list' }, { doc_to_target: '[{{l}}]' }).target).toBe('[no list]');
});

test('the label of a generation is the text of its choice', () => {
  const item = itemOf({ a: 1 }, { output_type: 'generate_until' });
  expect(item.target).toBe('y');
  const said = (text: string) =>
    itemMetrics(taskOf({ output_type: 'generate_until' }), item, [{ ...responses[0]!, text }]);
  expect([said('y'), said('1')]).toEqual([{ exact_match: 1 }, { exact_match: 0 }]);
  expect(() => itemOf({ a: 2 }, { output_type: 'generate_until' })).toThrow(
    /t "doc_to_target": expected the number of one of 2 choices, got 2/,
  );
});

test('an empty stop stops nothing', () => {
  const untilOf = (until: unknown, fields: object = {}) => {
    const item = itemOf({ a: 'z' }, { output_type: 'generate_until', generation_kwargs: { until }, ...fields });
    return (item.requests[0] as { settings: { until: readonly string[] } }).settings.until;
  };
  expect(untilOf([''])).toEqual([]);
  expect(untilOf('')).toEqual([]);
  expect(untilOf(['', '\n', ''])).toEqual(['\n']);
  expect(untilOf(undefined, { fewshot_delimiter: '' })).toEqual([]);
  expect(() => untilOf([1])).toThrow('"generation_kwargs.until": expected texts');
});
