// Every file that a person names to a command may be without an end, a pipe that nobody writes into, or gigabytes of nothing.
// Each is one error, in the memory and processor time that the command takes anyway. Limits of time here are of processes.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from './testing/run-cli.js';

let folder: string;
const names = { pipe: '', hole: '', endless: '/dev/zero' };
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-named-'));
  names.pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [names.pipe]);
  names.hole = join(folder, 'hole');
  writeFileSync(names.hole, '');
  truncateSync(names.hole, 2 ** 36);
});
afterAll(() => rmSync(folder, { recursive: true }));

const commands: readonly (readonly [name: string, args: (file: string) => readonly string[]])[] = [
  ['the config of a training', (file) => ['train', '--config', file]],
  ['a sweep', (file) => ['eval', '--sweep', file, '--out', join(folder, 'sweep')]],
  ['a task', (file) => ['eval', 'llama-tales', '--tasks', taskIn(file), '--out', join(folder, 'task')]],
  ['a measurement', (file) => ['measure', '--report', file, '--out', join(folder, 'measured')]],
  ['a text', (file) => ['measure', 'llama-tales', '--data', file, '--out', join(folder, 'measured')]],
  ['keys', (file) => ['serve', 'llama-tales', '--port', '0', '--api-key-file', file]],
];

/** A command's processor time and most memory, as it tells them at its end. */
async function costOf(args: readonly string[]) {
  const last = `import { writeSync } from 'node:fs'; process.on('exit', () => writeSync(2, JSON.stringify(process.resourceUsage())));`;
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(last)}` };
  const { code, stderr } = await runCli(args, { env });
  const at = stderr.lastIndexOf('{"userCPUTime"');
  const { userCPUTime, systemCPUTime, maxRSS } = JSON.parse(stderr.slice(at)) as NodeJS.ResourceUsage;
  return {
    code,
    stderr: stderr.slice(0, at),
    seconds: (userCPUTime + systemCPUTime) / 1e6,
    mebibytes: maxRSS / 1024,
  };
}

/** Task files are told by their ending. */
function taskIn(file: string): string {
  const path = join(folder, `task-${file.replaceAll('/', '-')}.yaml`);
  rmSync(path, { force: true });
  execFileSync('ln', ['-s', file, path]);
  return path;
}

describe.skipIf(process.platform === 'win32')('what has no end, or is nobody’s, as', () => {
  test.each(commands)(
    '%s',
    async (_, args) => {
      for (const file of Object.values(names)) {
        const { code, stdout, stderr } = await runCli(args(file));
        expect([code, stdout]).toEqual([expect.toBeOneOf([1, 2]), '']);
        expect(stderr).toMatch(/^[^\n]*expected [^\n]*\n$/);
      }
    },
    60_000,
  );
});

test.skipIf(process.platform === 'win32')('standard input without an end is refused where it is held', async () => {
  const yes = "yes 'and so on'";
  const run = `${yes} | ${process.execPath} ${join(import.meta.dirname, '../dist/cli.js')} generate --prompt - 2>&1; true`;
  const said = execFileSync('sh', ['-c', run], { encoding: 'utf8', timeout: 60_000 });
  expect(said).toMatch(/^standard input: expected at most \d+ characters, got more\. Give a part of it\.\n$/);
});

describe('files of 600 KB that lie in every value', () => {
  const many = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i)).join();
  const measurements = [
    `{"layers":[${many(200_000, () => '{}')}]}`,
    `{"series":[${many(120_000, () => '[""]')}]}`,
    `{"unreadWeights":[${many(200_000, () => '""')}]}`,
    `{"decode":{"density":{${many(45_000, (i) => `"${i}":[""]`)}}}}`,
    `{${many(60_000, (i) => `"k${i}":0`)}}`,
  ];

  test.each([...measurements.entries()])('a measurement, %i', async (at, text) => {
    const file = join(folder, `lies-${at}.json`);
    writeFileSync(file, text);
    const args = ['measure', '--report', file, '--out', join(folder, 'out')];
    const { code, stderr, seconds, mebibytes } = await costOf(args);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/lies-\d\.json: expected a measurement\.json [^\n]*\n$/)]);
    expect(seconds).toBeLessThan(3);
    expect(mebibytes).toBeLessThan(180);
  });

  test('the results of a run', async () => {
    const run = join(folder, 'run');
    mkdirSync(run);
    writeFileSync(join(run, 'scores.json'), '{"format":1,"model":"m","tasks":{}}');
    writeFileSync(
      join(run, 'results.json'),
      `{"model_name":"m","results":{"t":{${many(60_000, (i) => `"${i}":[]`)}}},"higher_is_better":{},"configs":{},"relufy":{"requests_per_second":1}}`,
    );
    const { code, stderr, seconds } = await costOf(['eval', '--compare', run, run]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/results\.json: expected a file of a finished run[^\n]*\n$/),
    ]);
    expect(seconds).toBeLessThan(3);
  });
});
