// Runs as rows and pages: what a run cost and the format of its weights stand beside each score.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jsonText } from '@relufy/tensor';
import { afterEach, expect, test } from 'vitest';
import { comparisonTable } from './compare.js';
import { evalFiles, evalPage } from './eval-report.js';
import { type FinishedRun, readRun } from './result-files.js';
import { rowsCsv, scoreRows } from './result-rows.js';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function run(folder: string, weights?: string): FinishedRun {
  const cost = {
    ...{ tokens: 8, tokensPerSecond: 10, weightBytesPerToken: 5, denseWeightBytesPerToken: 10 },
    ...{ density: { down: 0 }, macsPerToken: 6, denseMacsPerToken: 12 },
  };
  return {
    folder,
    scores: { format: 1, model: 'm, "large"', tasks: { t: { hash: 'h', metrics: { acc: [1, 0] } } } },
    results: {
      model_name: 'm, "large"',
      results: {
        t: { alias: 't', 'acc,none': 0.5, 'acc_stderr,none': 0.5 },
        pages: { 'word_perplexity,none': 20, 'word_perplexity_stderr,none': 'N/A' },
        broken: { 'acc,none': null },
      },
      higher_is_better: { t: { acc: true } },
      configs: {},
      ...(weights !== undefined && { config: { model_args: { weights } } }),
      'n-samples': { t: { effective: 2 } },
      'n-shot': { t: 5 },
      relufy: { requests_per_second: 1, splits: { t: 'validation' }, cost },
    },
  };
}

test('a row a score, with all that is known of it', () => {
  const rows = scoreRows(run('runs/a', 'int8'), { run: 'runs/a' });
  expect(rows).toHaveLength(2);
  expect(rows[0]).toEqual({
    ...{ run: 'runs/a', model: 'm, "large"', weights: 'int8', task: 't', split: 'validation', documents: 2 },
    ...{ numFewshot: 5, metric: 'acc', filter: 'none', value: 0.5, stderr: 0.5, activeFfnNeurons: 0 },
    ...{ macsPerToken: 6, denseMacsPerToken: 12, weightBytesPerToken: 5, denseWeightBytesPerToken: 10 },
    tokensPerSecond: 10,
  });
  const [head, first, second] = rowsCsv(rows).split('\n');
  expect(head?.split(',')).toEqual(Object.keys(rows[0]!));
  expect(first).toBe('runs/a,"m, ""large""",int8,t,validation,2,5,acc,none,0.5,0.5,0,6,12,5,10,10');
  // what is not known is an empty cell, and zero is zero
  expect(second).toBe('runs/a,"m, ""large""",int8,pages,,,,word_perplexity,none,20,,0,6,12,5,10,10');
});

test('a comparison has its formats as a row, and says so where they differ', () => {
  const [a, b, old] = [run('runs/a', 'int8'), run('runs/b', 'bf16'), run('runs/c')];
  expect(comparisonTable([], a, b)).toMatch(/\|weights in +\| +int8\| +bf16\| +\|/);
  expect(comparisonTable([], a, b)).toContain('in different formats (A in int8, B in bf16)');
  expect(comparisonTable([], a, run('x', 'int8'))).not.toContain('different formats');
  expect(evalPage([a, b])).toContain('(A: a in int8, B: b in bf16)');
  expect(evalPage([a, old])).toContain('B: c in a format that was not noted');
  expect(evalPage([a])).not.toContain('different formats');
});

test('a comparison is a page, its charts, CSV and JSON', () => {
  const files = evalFiles([run('runs/a', 'int8'), run('runs/b', 'int8')]);
  expect([...files.keys()].filter((name) => !name.endsWith('.svg'))).toEqual([
    'report.html',
    'comparison.csv',
    'comparison.json',
  ]);
  const { scores, differences } = JSON.parse(files.get('comparison.json') as string);
  expect(scores.map(({ run: of }: { run: string }) => of)).toEqual(['runs/a', 'runs/a', 'runs/b', 'runs/b']);
  expect(differences).toMatchObject([{ first: 'runs/a', other: 'runs/b', task: 't', difference: 0 }]);
  // a score that one of them lacks is told from a zero
  const other = run('runs/c', 'int8');
  const zero = { ...other, results: { ...other.results, results: { u: { 'acc,none': 0 } } } };
  const chart = evalFiles([run('runs/a', 'int8'), zero]).get('acc.svg') as string;
  expect(chart.match(/>–<\/text>/g)).toHaveLength(2);
  expect(chart).toContain('<title>B: c, u: 0</title></path>');
  expect(chart).toContain('Whiskers: one standard error.');
});

test('a score that is not finite is one, by its name, in every file and when they are read again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'relufy-rows-'));
  folders.push(folder);
  const { scores, results } = run(folder, 'int8');
  const endless = { 'word_perplexity,none': Number.POSITIVE_INFINITY, 'word_perplexity_stderr,none': 'N/A' };
  writeFileSync(
    join(folder, 'scores.json'),
    jsonText({ ...scores, tasks: { t: { hash: 'h', metrics: { a: [NaN] } } } }),
  );
  writeFileSync(join(folder, 'results.json'), jsonText({ ...results, results: { endless } }));
  const read = await readRun(folder);
  expect(read.scores.tasks.t?.metrics).toEqual({ a: [Number.NaN] });
  const rows = scoreRows(read, {});
  expect(rows).toMatchObject([{ task: 'endless', value: Number.POSITIVE_INFINITY, stderr: undefined }]);
  expect(rowsCsv(rows)).toContain(',word_perplexity,none,Infinity,');
  expect(JSON.parse(evalFiles([read]).get('comparison.json') as string).scores[0].value).toBe('Infinity');
});
