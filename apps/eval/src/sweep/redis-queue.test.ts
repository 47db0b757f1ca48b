// A sweep through a real Redis or Valkey server, which the test starts. A worker is killed with -9 in the middle of a job:
// another one takes the job, and nothing is lost or doubled.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folderHolder } from '@relufy/checkpoint/node';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { RedisQueue } from './redis-queue.js';
import { jobFolder, runSweep } from './run-sweep.js';
import { type Job, readSweep } from './sweep-file.js';

const server = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0);
const workerScript = fileURLToPath(new URL('../testing/run-worker.mjs', import.meta.url));

test('an unreachable or wrong server is one clear error', async () => {
  await expect(RedisQueue.open({ url: 'redis://127.0.0.1:1' })).rejects.toThrow(
    /queue redis:\/\/127.0.0.1:1: expected a Redis or Valkey server, got .*ECONNREFUSED/,
  );
  await expect(RedisQueue.open({ url: 'http://localhost' })).rejects.toThrow('Name it as redis://host:6379');
  await expect(RedisQueue.open({ url: 'redis://me:secret@127.0.0.1:1' })).rejects.toThrow(/^queue redis:\/\/127/);
});

function describeServer(name: string, body: () => void): void {
  if (server) describe(name, body);
  else it.skip(`${name} (skipped: neither redis-server nor valkey-server is installed)`);
}

describeServer('a sweep through Redis', () => {
  let folder: string;
  let url: string;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relufy-redis-'));
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    children.push(
      spawn(server as string, ['--port', String(port), '--save', '', '--dir', folder], { stdio: 'ignore' }),
    );
    for (let attempt = 0; ; attempt++) {
      try {
        await (await RedisQueue.open({ url })).close();
        break;
      } catch (error) {
        if (attempt > 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    const docs = Array.from({ length: 20 }, (_, i) => ({
      start: `The owl ${i} flew to the`,
      ends: [' tree.', ' of it.'],
    }));
    writeFileSync(join(folder, 'owls__test.jsonl'), docs.map((doc) => JSON.stringify(doc)).join('\n'));
    writeFileSync(
      join(folder, 'owls.yaml'),
      'task: owls\ndataset_path: owls\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: start\ndoc_to_target: 0\ndoc_to_choice: ends\n',
    );
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  const jobs = (): Job[] =>
    readSweep(
      'sweep.yaml',
      `models: [llama-tales]\nsettings: [exact, dense]\ntasks: [${join(folder, 'owls.yaml')}]\ndata: ${folder}\n`,
    );

  const sweep = async (name: string, out: string) => {
    const queue = await RedisQueue.open({ url, name });
    try {
      return await runSweep(jobs(), queue, { out, signal: new AbortController().signal });
    } finally {
      await queue.close();
    }
  };

  const startWorker = (name: string, at: string, env: NodeJS.ProcessEnv = {}): ChildProcess => {
    const child = spawn(process.execPath, [workerScript, url, name, at], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, ...env },
    });
    children.push(child);
    return child;
  };

  test('a killed worker gives its job back', { timeout: 120_000 }, async () => {
    const [quiet, disturbed] = [join(folder, 'quiet'), join(folder, 'disturbed')];
    // workers have folders of their own, as on other machines
    const hold = join(folder, 'hold');
    writeFileSync(hold, '');
    const doomed = startWorker('disturbed', join(folder, 'doomed'), { RELUFY_TEST_HOLD: hold });
    const running = sweep('disturbed', disturbed);
    const log = (at: string, job: Job) => join(folder, at, job.id, 'log.jsonl');
    const lines = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0);
    const [first] = jobs() as [Job];
    while (lines(log('doomed', first)) < 6) await new Promise((resolve) => setTimeout(resolve, 20));
    const evaluation = (await folderHolder(join(folder, 'doomed', first.id)))?.pid;
    doomed.kill('SIGKILL');
    if (evaluation !== undefined) process.kill(evaluation, 'SIGKILL');
    startWorker('disturbed', join(folder, 'spare'));
    await running;
    startWorker('quiet', join(folder, 'third'));
    await sweep('quiet', quiet);
    const scores = (out: string) =>
      readdirSync(jobFolder(out)).map((id) => readFileSync(join(jobFolder(out), id, 'scores.json'), 'utf8'));
    expect(scores(disturbed)).toHaveLength(2);
    expect(scores(disturbed)).toEqual(scores(quiet));
    expect(lines(log('spare', first))).toBe(22);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
