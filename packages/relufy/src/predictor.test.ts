// `relufy predictor`: a plan's folder that other commands take, a report, PowerInfer's files, and what is refused before anything
// is computed.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { torchBin } from '../../checkpoint/testing/bin.js';
import { runCli } from './testing/run-cli.js';

let folder: string;
let text: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-predictor-'));
  text = join(folder, 'text.txt');
  await writeFile(
    text,
    'Once upon a time there was a fox who lived in the woods with her cubs. She was very kind. '.repeat(16),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const predictor = (...args: readonly string[]) => runCli(['predictor', ...args]);
const sizes = [
  '--tokens',
  '192',
  '--held-out-tokens',
  '64',
  '--trial-tokens',
  '64',
  '--window',
  '64',
  '--threads',
  '1',
];
const fit = (...args: readonly string[]) => predictor('fit', 'llama-tales', '--data', text, ...sizes, ...args);

test('a fit that was ended goes on with the same command', async () => {
  const out = join(folder, 'ended');
  const args = ['--rank', '4', '--epochs', '1', '--out', out];
  const whole = await fit(...args);
  expect(whole.code, whole.stderr).toBe(0);
  const weights = await readFile(join(out, 'sparsity_model.safetensors'));
  await rm(out, { recursive: true });
  // ended as soon as the first layers are there
  const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
  const journal = `${out}.partial.jsonl`;
  const command = ['predictor', 'fit', 'llama-tales', '--data', text, ...sizes, ...args];
  const child = spawn(process.execPath, [cli, ...command], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await expect
    .poll(() => readFile(journal, 'utf8').catch(() => ''), { timeout: 60_000, interval: 5 })
    .toContain('"fit 0 1"');
  child.kill('SIGKILL');
  await ended;
  await expect(readdir(out)).rejects.toThrow('ENOENT');
  expect(await readFile(journal, 'utf8')).toContain('"fit 0 0"');
  const again = await fit(...args);
  expect(again.code, again.stderr).toBe(0);
  expect(again.stdout).toBe(whole.stdout);
  expect(await readFile(join(out, 'sparsity_model.safetensors'))).toEqual(weights);
});

test('fits a plan that generate takes and report judges', async () => {
  const out = join(folder, 'plan');
  const { code, stdout, stderr } = await fit('--rank', '8', '--epochs', '2', '--dtype', 'int8', '--out', out);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^llama-tales: predictor\nlayer {2}0 {2}rank 8 /);
  expect(stdout).toMatch(
    /\nrecall [\d.]+ %, [\d.]+ % proposed for [\d.]+ % active, predictors [\d.]+ % of the FFNs' bytes\n/,
  );
  expect((await readdir(out)).sort()).toEqual([
    'report.html',
    'report.json',
    'sparsity_config.json',
    'sparsity_model.safetensors',
  ]);
  // what had been fitted is no longer needed
  expect(await readdir(folder)).not.toContain('plan.partial.jsonl');
  const plan = JSON.parse(await readFile(join(out, 'sparsity_config.json'), 'utf8'));
  expect(plan).toMatchObject({
    method: 'predictor',
    base_model: { name: 'llama-tales' },
    predictor: { dtype: 'bf16', per_neuron: true },
    calibration: { text: 'text.txt', tokens: 192, dtype: 'int8', options: { kind: 'low-rank', rank: 8, recall: 0.95 } },
  });
  const run = await runCli(['generate', '--prompt', 'Once', '--max-new-tokens', '4', '--plan', out, '--json']);
  expect(run.code, run.stderr).toBe(0);
  const judged = join(folder, 'judged');
  const report = await predictor(
    'report',
    'llama-tales',
    '--plan',
    out,
    '--data',
    text,
    '--tokens',
    '64',
    '--json',
    '--out',
    judged,
  );
  expect(report.code, report.stderr).toBe(0);
  const numbers = JSON.parse(await readFile(join(judged, 'report.json'), 'utf8'));
  expect(numbers.layers).toHaveLength(8);
  expect(numbers.totals.recall).toBeGreaterThan(0.8);
  expect(await readdir(judged)).toContain('points.png');
});

test('sets the alpha of sign bits in a plan without tensors', async () => {
  const out = join(folder, 'signs');
  const { code, stdout, stderr } = await fit('--kind', 'signs', '--recall', '0.9', '--out', out, '--json');
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout).layers[3].alpha).toBeGreaterThan(90);
  expect((await readdir(out)).sort()).toEqual(['report.html', 'report.json', 'sparsity_config.json']);
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Recall over alpha');
});

test("imports PowerInfer's files", async () => {
  const files = join(folder, 'powerinfer');
  const [hidden, neurons] = [256, 1024];
  await mkdir(files);
  const data = new Float32Array(4 * neurons).fill(0.01);
  await writeFile(
    join(files, 'model_2.pt'),
    torchBin([
      { name: 'fc1.weight', dtype: 'F32', shape: [4, hidden], data: data.slice(0, 4 * hidden) },
      { name: 'fc2.weight', dtype: 'F32', shape: [neurons, 4], data },
    ]),
  );
  const out = join(folder, 'imported');
  const { code, stderr } = await predictor('import', files, '--model', 'llama-tales', '--out', out);
  expect(code, stderr).toBe(0);
  const plan = JSON.parse(await readFile(join(out, 'sparsity_config.json'), 'utf8'));
  expect(plan.predictor).toEqual({ rank: [0, 0, 4, 0, 0, 0, 0, 0], relu: true, input: 'residual', dtype: 'bf16' });
});

test.each([
  [['--rank', 'many', '--out', 'OUT'], 2, /^--rank: expected a whole number/m],
  [['--kind', 'signs', '--rank', '8', '--out', 'OUT'], 1, /^fitPredictors option "rank": expected the kind low-rank/m],
  [['--out', tmpdir()], 2, /^--out: expected a folder that does not exist yet/m],
] as [string[], number, RegExp][])('refuses fit %j', async (args, exitCode, message) => {
  const out = join(folder, 'refused');
  const { code, stderr } = await fit(...args.map((arg) => (arg === 'OUT' ? out : arg)));
  expect(stderr).toMatch(message);
  expect(code).toBe(exitCode);
  expect((await readdir(folder)).filter((name) => name.startsWith('refused'))).toEqual([]);
});

test('says what there is', async () => {
  const { code, stdout } = await predictor('fit', '--help');
  expect(code).toBe(0);
  expect(stdout).toContain('--budget <percent>');
  expect((await predictor('fti')).code).toBe(2);
});
