// A sweep with real processes: one is killed with -9 while it works, and so is the coordinator's folder left half done.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folderHolder } from '@relufy/checkpoint/node';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { finishedFiles, jobProcess } from './job-process.js';
import { LocalQueue } from './job-queue.js';
import { jobFolder, runSweep } from './run-sweep.js';
import { type Job, readSweep } from './sweep-file.js';

const script = fileURLToPath(new URL('../testing/run-evaluation.mjs', import.meta.url));
const documents = 30;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-sweep-'));
  const docs = Array.from({ length: documents }, (_, i) => ({
    start: `The fox number ${i} ran to the`,
    ends: [' river.', ' seven the blue.'],
    best: 0,
  }));
  writeFileSync(join(folder, 'foxes__test.jsonl'), docs.map((doc) => JSON.stringify(doc)).join('\n'));
  writeFileSync(
    join(folder, 'foxes.yaml'),
    'task: foxes\ndataset_path: foxes\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: start\ndoc_to_target: best\ndoc_to_choice: ends\n',
  );
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

const jobs = (): Job[] =>
  readSweep(
    'sweep.yaml',
    `models: [llama-tales]\nsettings: [exact, dense]\ntasks: [${join(folder, 'foxes.yaml')}]\ndata: ${folder}\n`,
  );

const scores = (out: string) =>
  readdirSync(jobFolder(out)).map((id) => readFileSync(join(jobFolder(out), id, 'scores.json'), 'utf8'));

const sweep = (out: string, signal = new AbortController().signal) =>
  runSweep(jobs(), new LocalQueue(jobProcess([process.execPath, script], jobFolder(out)), 2), { out, signal });

test('a killed worker is replaced, and the sweep ends as an undisturbed one', { timeout: 120_000 }, async () => {
  const [quiet, disturbed] = [join(folder, 'quiet'), join(folder, 'disturbed')];
  await sweep(quiet);
  const hold = join(folder, 'hold');
  writeFileSync(hold, '');
  vi.stubEnv('RELUFY_TEST_HOLD', hold);
  const running = sweep(disturbed);
  const [first] = jobs() as [Job];
  const out = join(jobFolder(disturbed), first.id);
  const lines = () =>
    existsSync(join(out, 'log.jsonl')) ? readFileSync(join(out, 'log.jsonl'), 'utf8').split('\n').length : 0;
  while (lines() < 6) await new Promise((resolve) => setTimeout(resolve, 20));
  const pid = (await folderHolder(out))?.pid;
  expect(pid).toBeDefined();
  process.kill(pid as number, 'SIGKILL');
  rmSync(hold);
  const table = await running;
  expect(
    table
      .split('\n')
      .slice(2)
      .map((row) => row.split('|')[2]?.trim()),
  ).toEqual(['exact', 'dense'].flatMap((setting) => [setting, setting, setting]));
  expect(scores(disturbed)).toEqual(scores(quiet));
  expect(lines() - 1).toBe(documents + 2);
  // run again, nothing is left to do
  const again = await runSweep(jobs(), new LocalQueue(() => Promise.reject(new Error('no job expected')), 1), {
    out: disturbed,
    signal: new AbortController().signal,
  });
  expect(again).toBe(table);
  // for other tools, the same scores: a row a job and metric
  const { scores: rows, unfinished } = JSON.parse(readFileSync(join(disturbed, 'sweep.json'), 'utf8'));
  expect([rows.length, unfinished]).toEqual([6, []]);
  expect(rows[0]).toMatchObject({ setting: 'exact', task: 'foxes', weights: 'bf16', documents });
  const csv = readFileSync(join(disturbed, 'sweep.csv'), 'utf8').trimEnd().split('\n');
  expect(csv).toHaveLength(7);
  expect(csv[0]).toMatch(/^job,source,setting,model,weights,task,split,/);
  expect(table).toContain('Active FFN neurons');
  // two jobs at a time: their clocks say nothing
  expect(table).not.toMatch(/tokens\/s/i);
});

test('a job that fails is told, and the others end', async () => {
  const out = join(folder, 'failing');
  const fine = {
    'scores.json': '{"format":1,"model":"m","tasks":{}}',
    'results.json':
      '{"model_name":"m","results":{},"higher_is_better":{},"configs":{},"relufy":{"requests_per_second":1}}',
  };
  const ended: string[] = [];
  const queue = new LocalQueue(
    (job) => (job.setting === 'exact' ? Promise.reject(new Error('no such model')) : Promise.resolve(fine)),
    1,
  );
  const run = runSweep(jobs(), queue, {
    out,
    signal: new AbortController().signal,
    onOutcome: ({ job }) => ended.push(job.setting),
  });
  await expect(run).rejects.toThrow(/expected 2 jobs to end well, got 1 that did not: .*no such model/);
  expect(ended).toEqual(['exact', 'dense']);
  const told = JSON.parse(readFileSync(join(out, 'sweep.json'), 'utf8'));
  expect(told).toEqual({ scores: [], unfinished: [(jobs() as [Job])[0].id] });
});

test('jobs have ids that follow from what they do', () => {
  const [a, b] = jobs() as [Job, Job];
  expect(a.id).toMatch(/^llama-tales-exact-foxes.yaml-[0-9a-f]{8}$/);
  expect(b.args.slice(3, 5)).toEqual(['--sparsity', 'dense']);
  expect(jobs()).toEqual([a, b]);
  expect(() => readSweep('s.yaml', 'models: []\ntasks: [x]\n')).toThrow('s.yaml "models"');
  expect(() => readSweep('s.yaml', 'models: [a]\ntasks: [x]\nfoo: 1\n')).toThrow('Unrecognized key');
  expect(() => readSweep('s.yaml', 'models: [a]\ntasks: [x]\nsettings: [sparse]\n')).toThrow(
    's.yaml "settings.0": expected exact, dense, or { name,',
  );
});

test.each(['', '{"model_name": "x"', '\0\0\0', 'null'])(
  'a job whose results.json is %j is not finished',
  async (text) => {
    const job = mkdtempSync(join(folder, 'job-'));
    writeFileSync(join(job, 'scores.json'), '{"format": 1, "model": "x", "tasks": {}}');
    writeFileSync(
      join(job, 'results.json'),
      '{"model_name": "x", "results": {}, "higher_is_better": {}, "configs": {}, "relufy": {"requests_per_second": 1}}',
    );
    expect(Object.keys((await finishedFiles(job)) ?? {})).toEqual(['scores.json', 'results.json']);
    writeFileSync(join(job, 'results.json'), text);
    expect(await finishedFiles(job)).toBeUndefined();
  },
);
