// `pnpm experiments [NAME...]`: trains and measures what runs.yaml lists, one after the other, skipping what is done, then
// writes docs/experiments. Owns the command line and the processes. A run that is killed goes on from its checkpoint.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { carryOut, jobsOf } from './jobs.mjs';
import { chosenRuns, readPlan } from './plan.mjs';
import { prepare } from './prepare.mjs';
import { writeReports } from './report.mjs';

const usage = `pnpm experiments [NAME...] [options]

Runs experiments, or single runs (default: all), one after the other; what is done already is skipped. Then writes docs/experiments.

  --runs FOLDER     where runs lie (default: build/experiments)
  --shared FOLDER   where the data are (default: ../shared)
  --threads N       threads that a run trains on
  --backend NAME    what trains (default: native where its binary is there)
  --background      go on in the background; the log is RUNS/log.txt
  --report          only write docs/experiments from what is there
  --list            say what there is to do`;

const root = fileURLToPath(new URL('../../', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: join(root, 'build/experiments') },
    shared: { type: 'string', default: join(root, '../shared') },
    threads: { type: 'string' },
    backend: { type: 'string' },
    background: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const folder = resolve(values.runs);
const log = (line) => process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

const cli = join(root, 'packages/relufy/dist/cli.js');

/** The `relufy` command in a process of its own. */
function relufy(/** @type {readonly string[]} */ command) {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [cli, ...command], { stdio: 'inherit' });
    child.on('error', fail);
    child.on('close', (code, signal) =>
      code === 0
        ? done(undefined)
        : fail(new Error(`relufy ${command[0]}: expected it to succeed, got ${signal ?? `exit code ${code}`}.`)),
    );
  });
}

async function main() {
  if (values.help) return log(usage);
  const plan = readPlan();
  const runs = chosenRuns(plan, positionals);
  if (values.list) {
    for (const { name, from } of runs) log(from ? `${name} (from ${from})` : name);
    return;
  }
  if (values.background) return goToBackground();
  const { threads, backend } = values;
  const computing = [...(threads ? ['--threads', threads] : []), ...(backend ? ['--backend', backend] : [])];
  if (!values.report) {
    setPriority(5);
    await prepare({ folder, shared: resolve(values.shared), text: plan.text, log });
    for (const run of runs) {
      const ppl = plan.experiments.activations?.includes(run.name) ?? false;
      await carryOut(run, jobsOf(run, { folder, measure: plan.measure, training: computing, ppl }), {
        folder,
        execute: relufy,
        log,
      });
    }
  }
  for (const file of await writeReports(plan, folder, join(root, 'docs/experiments'))) log(file);
}

function goToBackground() {
  mkdirSync(folder, { recursive: true });
  const out = openSync(join(folder, 'log.txt'), 'a');
  const again = process.argv.slice(1).filter((argument) => argument !== '--background');
  const child = spawn(process.execPath, again, { stdio: ['ignore', out, out], detached: true });
  child.unref();
  log(`process ${child.pid}, ${join(folder, 'log.txt')}`);
}

await main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
