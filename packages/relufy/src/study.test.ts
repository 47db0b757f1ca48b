// `relufy eval` and `relufy measure` as a user runs them, on the bundled model.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-study-'));
  const docs = Array.from({ length: 4 }, (_, i) => ({ q: `The cat ${i} sat on the`, c: [' mat.', ' of.'], a: 0 }));
  writeFileSync(join(folder, 'cats__test.jsonl'), docs.map((doc) => JSON.stringify(doc)).join('\n'));
  writeFileSync(
    join(folder, 'cats.yaml'),
    'task: cats\ndataset_path: cats\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\ndoc_to_choice: c\nmetric_list: [{metric: acc}]\n',
  );
  writeFileSync(join(folder, 'text.txt'), 'Once upon a time there was a fox who liked to read. '.repeat(12));
});
afterAll(() => rmSync(folder, { recursive: true }));

const evaluate = (out: string, ...more: string[]) =>
  runCli([
    'eval',
    'llama-tales',
    ...['--tasks', join(folder, 'cats.yaml'), '--data', folder, '--out', join(folder, out), '--context-length', '128'],
    ...more,
  ]);

test('eval writes a table and files, refuses to overwrite, resumes, compares', { timeout: 120_000 }, async () => {
  const first = await evaluate('sparse');
  expect(first).toMatchObject({ code: 0 });
  expect(first.stdout).toMatch(/\|cats \| {3}Yaml\|none {2}\| {5}0\|acc {3}\|↑ {2}\|/);
  expect(first.stdout).toMatch(/active FFN neurons \d+\.\d %; .*; weights in bf16$/m);
  expect(readdirSync(join(folder, 'sparse')).sort()).toEqual([
    'log.jsonl',
    'report.html',
    'results.csv',
    'results.json',
    'scores.json',
    'table.md',
  ]);
  const again = await evaluate('sparse');
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('expected no earlier run, got one')]);
  const resumed = await evaluate('sparse', '--resume', '--log-samples');
  expect([resumed.code, existsSync(join(folder, 'sparse', 'samples_cats.jsonl'))]).toEqual([0, true]);
  await evaluate('dense', '--sparsity', 'dense');
  const both = ['sparse', 'dense'].map((name) => join(folder, name));
  const compared = await runCli(['eval', '--compare', ...both, '--out', join(folder, 'both')]);
  expect(compared.stdout).toMatch(/\|cats \|acc {3}\|↑ {2}\|.*\|\+0\.0000\|/);
  expect(readFileSync(join(folder, 'both', 'report.html'), 'utf8')).toContain('McNemar');
  expect(readdirSync(join(folder, 'both'))).toEqual(expect.arrayContaining(['acc.svg', 'acc.png']));
  const { scores, differences } = JSON.parse(readFileSync(join(folder, 'both', 'comparison.json'), 'utf8'));
  expect(scores.map(({ task, metric, weights }: Record<string, string>) => [task, metric, weights])).toEqual([
    ['cats', 'acc', 'bf16'],
    ['cats', 'acc', 'bf16'],
  ]);
  expect(differences).toMatchObject([{ task: 'cats', metric: 'acc', difference: 0 }]);
  const rows = (path: string) => readFileSync(join(folder, path), 'utf8').trimEnd().split('\n');
  expect([rows('both/comparison.csv').length, rows('sparse/results.csv').length]).toEqual([3, 2]);
});

test.each([
  [['eval', 'llama-tales'], 2, '--tasks: expected names'],
  [['eval', 'llama-tales', '--tasks', 'nothing', '--out', 'x'], 1, 'Did you mean'],
  [['eval', '--sweep', 'nowhere.yaml', '--out', 'x'], 2, '--sweep: expected a YAML file, got "nowhere.yaml": ENOENT'],
  [['measure', 'llama-tales', '--out', 'x'], 2, '--data: expected a text file'],
  [['measure', 'llama-tales', '--reuse', '4,x', '--out', 'x'], 2, '--reuse: expected a whole number >= 1, got "x"'],
  [['measure', 'llama-tales', '--data', 'nowhere.txt', '--out', 'x'], 2, '--data: expected a text file'],
])('%j ends with one clear line', async (args, code, message) => {
  const result = await runCli(args);
  expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(message)]);
  expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
});

test.each([
  ['random.txt', 'random.txt": expected text in UTF-8 or UTF-16, got other bytes. Save it as UTF-8.'],
  ['random.gz', '--data: expected a text file, plain or gzipped (.gz), got'],
  ['empty.txt', 'expected a text of at least two tokens'],
  ['.', '--data: expected a text file'],
])('measure refuses %s as a text in one line', async (file, message) => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 151 + 200) % 256);
  for (const name of ['random.txt', 'random.gz']) writeFileSync(join(folder, name), bytes);
  writeFileSync(join(folder, 'empty.txt'), '');
  const { code, stderr } = await runCli([
    'measure',
    'llama-tales',
    '--data',
    join(folder, file),
    '--out',
    join(folder, 'no'),
  ]);
  expect([code, stderr]).toEqual([expect.any(Number), expect.stringContaining(message)]);
  expect(code).not.toBe(0);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
});

test('a folder that cannot be made is told before anything is computed', async () => {
  const file = join(folder, 'text.txt');
  const measured = await runCli(['measure', 'llama-tales', '--data', file, '--out', join(file, 'x')]);
  expect(measured).toMatchObject({ code: 1, stdout: '' });
  expect(measured.stderr).toMatch(/^--out: expected a folder to write to, got ENOTDIR[^\n]*\n$/);
  const scored = await evaluate(join('text.txt', 'x'));
  expect(scored).toMatchObject({ code: 1, stdout: '' });
  expect(scored.stderr).toMatch(/expected a folder to write to, got ENOTDIR[^\n]*--out\.\n$/);
});

test('measure tells of drafts and of neurons in a file', { timeout: 120_000 }, async () => {
  const model = join(folder, 'converted');
  const convert = await runCli(['convert', 'llama-tales', '--dtype', 'int8', '--bundle', '--out', model]);
  expect(convert.code, convert.stderr).toBe(0);
  const out = join(folder, 'loaded');
  const args = ['--data', join(folder, 'text.txt'), '--tokens', '64', '--window', '64', '--decode-tokens', '0'];
  const speculation = ['--speculate', 'prompt', '--draft-tokens', '1,3'];
  // the least that it takes, as it says itself: WebAssembly's worker is counted too
  const ask = ['generate', '--model', model, '--context-length', '128', '--threads', '1', '--prompt', 'x'];
  const [, little] = /at least (\d+MB)/.exec((await runCli([...ask, '--memory-budget', '1MB'])).stderr) ?? [];
  const flash = ['--memory-budgets', `${little},1GB`, '--context-length', '128', '--threads', '1'];
  const { code, stderr } = await runCli(['measure', model, ...args, ...speculation, ...flash, '--out', out]);
  expect(code, stderr).toBe(0);
  const record = JSON.parse(readFileSync(join(out, 'measurement.json'), 'utf8'));
  expect(record.speculation).toMatchObject({ draft: 'prompt', rounds: 5 });
  expect(record.speculation.points.map(({ gamma }: { gamma: number }) => gamma)).toEqual([1, 3]);
  for (const point of record.speculation.points) {
    expect(point.acceptance).toBeLessThanOrEqual(1);
    // the tokens of a step read no less than one of them, and no more than as many that share nothing
    expect(point.unread).toBeLessThanOrEqual(point.unreadOne);
    expect(point.unread).toBeGreaterThan(0);
    expect(point.timed.overSparse).toBeGreaterThan(0);
    expect(point.predicted.overSparse).toBeGreaterThan(0);
  }
  const [small, large] = record.flash.points;
  expect(small.slots).toBeLessThan(small.neurons);
  expect(small.hitShare).toBeGreaterThan(0);
  expect(small.hitShare).toBeLessThan(1);
  expect(small.rowsPerToken).toBeCloseTo(2 * (1 - small.hitShare) * small.neededPerToken, 6);
  expect(large).toMatchObject({ neurons: 0, hitShare: 1, bytesPerToken: 0 });
  expect(readdirSync(out)).toEqual(
    expect.arrayContaining(['speculation-timed.svg', 'speculation-union.svg', 'flash-hits.svg', 'flash-bytes.svg']),
  );
  const page = readFileSync(join(out, 'report.html'), 'utf8');
  expect(page).toContain('Speculation by prompt: greedy answers');
  expect(page).toMatch(/Neurons in a file: \d+ tokens of answers/);
  expect(readFileSync(join(out, 'runs.csv'), 'utf8')).toMatch(/,flash\.hitShare,\d+000000,0\.\d+/);
});

test('measure writes JSON, CSV, charts and a page; several make one page', { timeout: 120_000 }, async () => {
  const out = join(folder, 'measured');
  const args = [
    '--data',
    join(folder, 'text.txt'),
    '--tokens',
    '128',
    '--window',
    '64',
    '--decode-tokens',
    '8',
    '--reuse',
    '1,4',
  ];
  const { code, stdout } = await runCli(['measure', 'llama-tales', ...args, '--out', out]);
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/^llama-tales: \d+\.\d\d % of neurons active over 128 tokens/),
  ]);
  const record = JSON.parse(readFileSync(join(out, 'measurement.json'), 'utf8'));
  expect(record.layers).toHaveLength(8);
  expect(record.reuse.points.map(({ gamma }: { gamma: number }) => gamma)).toEqual([1, 4]);
  expect(record.decode.weightBytesPerToken).toBeLessThan(record.decode.denseWeightBytesPerToken);
  const files = readdirSync(out);
  expect(files).toEqual(
    expect.arrayContaining([
      'report.html',
      'layers.csv',
      'runs.csv',
      'curves.csv',
      'layer-token.svg',
      'aggregated.svg',
    ]),
  );
  const named = (extension: string) =>
    files.filter((file) => file.endsWith(extension)).map((file) => file.slice(0, -extension.length));
  expect(named('.png')).toEqual(named('.svg'));
  expect(files.filter((file) => file.endsWith('.tmp'))).toEqual([]);
  const file = join(out, 'measurement.json');
  const both = await runCli(['measure', '--report', file, file, '--out', join(folder, 'page')]);
  expect([both.code, existsSync(join(folder, 'page', 'report.html'))]).toEqual([0, true]);

  // reports are not written over: told before the model is read, with everything left as it was
  const before = readFileSync(file, 'utf8');
  const refusals = [
    ['measure', 'no-such-model', ...args, '--out', out],
    ['measure', '--report', file, file, '--out', out],
    ['measure', '--report', file, file, '--out', join(folder, 'page')],
    ['eval', '--compare', join(folder, 'sparse'), join(folder, 'dense'), '--out', out],
    ['eval', '--compare', join(folder, 'sparse'), join(folder, 'dense'), '--out', join(folder, 'sparse')],
  ];
  for (const refused of refusals) {
    const { code: failed, stderr } = await runCli(refused);
    expect([failed, stderr]).toEqual([
      1,
      expect.stringMatching(/^--out: expected a folder without an earlier report, got .*--force\.\n$/),
    ]);
  }
  const scored = await evaluate('measured');
  expect([scored.code, scored.stderr]).toEqual([
    1,
    expect.stringContaining('measured with report.html and measurement.json'),
  ]);
  expect(readFileSync(file, 'utf8')).toBe(before);
  const forced = await runCli(['measure', 'llama-tales', ...args, '--name', 'again', '--out', out, '--force']);
  expect([forced.code, JSON.parse(readFileSync(file, 'utf8')).model]).toEqual([0, 'again']);
});
