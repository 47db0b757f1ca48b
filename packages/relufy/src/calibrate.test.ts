// `relufy calibrate`: a plan's folder that other commands take, a sweep, a run that was ended and goes on, and what is
// refused before anything is computed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openJournal } from './calibration-journal.js';
import { cliPath, runCli } from './testing/run-cli.js';

let folder: string;
let text: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relufy-calibrate-'));
  text = join(folder, 'text.txt');
  await writeFile(
    text,
    'Once upon a time there was a fox who lived in the woods with her cubs. She was very kind. '.repeat(12),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const sizes = ['--tokens', '64', '--trial-tokens', '32', '--window', '32', '--threads', '1'];
const calibrate = (...args: readonly string[]) =>
  runCli(['calibrate', 'llama-tales', '--data', text, ...sizes, ...args]);

test('writes a plan that generate takes', async () => {
  const out = join(folder, 'plan');
  const { code, stdout, stderr } = await calibrate('--method', 'teal', '--sparsity', '0.7', '--out', out);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(
    /^teal: (69|70|71)\.\d % of the blocks' weights skipped, perplexity [\d.]+ \(dense [\d.]+, .* more\)\n/,
  );
  const plan = JSON.parse(await readFile(join(out, 'sparsity_config.json'), 'utf8'));
  expect(plan).toMatchObject({
    method: 'teal',
    base_model: { name: 'llama-tales' },
    calibration: { text: 'text.txt', tokens: 64, seed: 1, options: { sparsity: 0.7 } },
  });
  expect(existsSync(`${out}.partial.jsonl`)).toBe(false);
  const run = await runCli(['generate', '--prompt', 'Once', '--max-new-tokens', '4', '--plan', out, '--json']);
  expect(run.code, run.stderr).toBe(0);
});

test('a sweep is a folder of plans and their curve', async () => {
  const out = join(folder, 'sweep');
  const { code, stderr } = await calibrate('--method', 'top', '--sweep', '0.6,0.7', '--out', out);
  expect(code, stderr).toBe(0);
  expect((await readdir(out)).sort()).toEqual(['curve.json', 'report.html', 'sparsity-60', 'sparsity-70']);
  const report = await readFile(join(out, 'report.html'), 'utf8');
  expect(report).toContain('Perplexity over skipped weights');
  expect(report.match(/<svg/g)).toHaveLength(3);
  const curve = JSON.parse(await readFile(join(out, 'curve.json'), 'utf8'));
  expect(curve.map(({ plan }: { plan: string }) => plan)).toEqual(['sparsity-60', 'sparsity-70']);
  for (const { sparsity, perplexity, densePerplexity } of curve) {
    expect(sparsity).toBeGreaterThan(0.55);
    expect(perplexity).not.toBe(densePerplexity);
  }
});

test('a journal gives what it holds to the same inputs, and nothing to others', async () => {
  const path = join(folder, 'run.partial.jsonl');
  const journal = await openJournal(path, { of: 1 });
  await journal.put('a', { list: [1, 2] });
  await journal.put('b', 0.1);
  await journal.close();
  // killed while it wrote a line
  await writeFile(path, '{"key":"c","value":[1,', { flag: 'a' });
  const again = await openJournal(path, { of: 1 });
  expect([again.get('a'), again.get('b'), again.get('c')]).toEqual([{ list: [1, 2] }, 0.1, undefined]);
  await again.put('d', 4);
  await again.close();
  const third = await openJournal(path, { of: 1 });
  expect([third.get('a'), third.get('d')]).toEqual([{ list: [1, 2] }, 4]);
  await third.close();
  const other = await openJournal(path, { of: 2 });
  expect(other.get('a')).toBeUndefined();
  await other.remove();
  await other.close();
  expect(existsSync(path)).toBe(false);
});

test('killed in the middle it leaves no plan, and the same command goes on to the same bytes', async () => {
  const args = ['--method', 'top', '--sweep', '0.6,0.65,0.7,0.75'];
  const whole = join(folder, 'whole');
  expect((await calibrate(...args, '--out', whole)).code).toBe(0);
  const out = join(folder, 'killed');
  const journal = `${out}.partial.jsonl`;
  const lines = () => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').length - 1 : 0);
  const { code } = await runCli(['calibrate', 'llama-tales', '--data', text, ...sizes, ...args, '--out', out], {
    whileRunning: (child) => {
      const poll = setInterval(() => lines() > 3 && child.kill('SIGKILL'), 2);
      child.on('close', () => clearInterval(poll));
    },
  });
  expect(code).toBe(null);
  expect(existsSync(out)).toBe(false);
  expect((await readdir(folder)).filter((name) => /^killed.*l$/.test(name))).toEqual(['killed.partial.jsonl']);
  const before = lines();
  expect(before).toBeGreaterThan(3);
  expect((await calibrate(...args, '--out', out)).code).toBe(0);
  const files = (await readdir(whole, { recursive: true })).filter((name) => /\.\w+$/.test(name));
  expect(files).toContain(join('sparsity-60', 'sparsity_config.json'));
  for (const name of files) expect(await readFile(join(out, name)), name).toEqual(await readFile(join(whole, name)));
  expect(existsSync(journal)).toBe(false);
});

const inNamespace = (script: string, ...values: readonly string[]) =>
  spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', ...values], { encoding: 'utf8' });
const canMount = inNamespace('mount -t tmpfs tmpfs /mnt').status === 0;

test.skipIf(!canMount)('a full disk: one sentence, nothing half written, and with room the run goes on', async () => {
  const disk = join(folder, 'disk');
  await mkdir(disk);
  // a threshold a channel takes 57 KB; what was measured fits
  const args = ['calibrate', 'llama-tales', '--data', text, ...sizes, '--method', 'random', '--sparsity', '0.7'];
  const script = `
    disk="$1"; node="$2"; shift 2
    mount -t tmpfs -o size=48k tmpfs "$disk" || exit 90
    "$node" "$@" --out "$disk/plan" && exit 91
    find "$disk" -mindepth 1 | sort >&2
    mount -o remount,size=64m "$disk" || exit 92
    "$node" "$@" --out "$disk/plan" && ls "$disk" "$disk/plan"`;
  const { status, stdout, stderr } = inNamespace(script, disk, process.execPath, cliPath, ...args);
  expect(stderr).toMatch(/expected to write it, got ENOSPC\. The disk is full; free some space\.$/m);
  expect(stderr.match(/ENOSPC/g)).toHaveLength(1);
  expect(stderr.split('\n').filter((line) => line.startsWith(disk) && !line.includes('ENOSPC'))).toEqual([
    join(disk, 'plan.partial.jsonl'),
  ]);
  expect(status, stderr).toBe(0);
  expect(stdout).toMatch(/^plan\n[\s\S]*sparsity_config\.json\nsparsity_model\.safetensors\n$/m);
});

test.each([
  [['--method', 'teal', '--out', 'OUT'], 2, /^calibrate: expected one of --sparsity, .* got none\.$/m],
  [['--method', 'tael', '--sparsity', '0.4', '--out', 'OUT'], 2, /^--method: expected teal, .* got "tael"\.$/m],
  [
    ['--method', 'teal', '--density', 'dwon=0.5', '--out', 'OUT'],
    2,
    /^--density: expected shares by place .*, got "dwon=0\.5"\.$/m,
  ],
  [
    ['--method', 'teal', '--sparsity', '0.4', '--tokens', '99999', '--out', 'OUT'],
    1,
    /^calibrate: expected a text of 99999 tokens for statistics and 32 for trials, got \d+\. Give a longer text/m,
  ],
  [
    ['--method', 'teal', '--sparsity', '0.3', '--out', 'OUT'],
    1,
    /^calibrate: expected a sparsity above [\d.]+ %, which the model has by itself, got 30 %\./m,
  ],
  [
    ['--method', 'teal', '--sparsity', '0.4', '--out', tmpdir()],
    2,
    /^--out: expected a folder that does not exist yet/m,
  ],
] as [string[], number, RegExp][])('refuses %j', async (args, exitCode, message) => {
  const out = join(folder, 'refused');
  const { code, stderr } = await calibrate(...args.map((arg) => (arg === 'OUT' ? out : arg)));
  expect(stderr).toMatch(message);
  expect(code).toBe(exitCode);
  expect((await readdir(folder)).filter((name) => name.startsWith('refused'))).toEqual([]);
});

test('two calibrations into one folder do not write into each other', async () => {
  const out = join(folder, 'twice');
  const both = await Promise.all([1, 2].map(() => calibrate('--method', 'teal', '--sparsity', '0.7', '--out', out)));
  expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
  const { stderr } = both.find(({ code }) => code === 1) as (typeof both)[number];
  expect(stderr).toMatch(
    /expected no other run that writes there|expected a folder that does not exist|expected no folder/,
  );
  expect((await readdir(folder)).filter((name) => name.startsWith('twice.'))).toEqual([]);
});

test('a link that lies where a run keeps what it has measured is not written through', async () => {
  const [victim, path] = [join(folder, 'victim'), join(folder, 'linked.partial.jsonl')];
  await writeFile(victim, 'mine\n');
  await symlink(victim, path);
  await expect(openJournal(path, { a: 1 })).rejects.toMatchObject({ code: 'io' });
  expect(await readFile(victim, 'utf8')).toBe('mine\n');
});
