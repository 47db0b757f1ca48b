// A sweep from its jobs to a folder: jobs/ID for each, then one table (for people, as CSV and as JSON) and one page over
// all. Run again, it does what is missing. Does not own where jobs run (the queue).
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { jsonText, RelufyError } from '@relufy/tensor';
import { costRows } from '../compare.js';
import { evalPage } from '../eval-report.js';
import { type FinishedRun, makeFolder, readRun, refuseReport, writeWhole } from '../result-files.js';
import { rowsCsv, scoreRows, scoresOf } from '../result-rows.js';
import { markdownTable } from '../results.js';
import { finishedFiles } from './job-process.js';
import type { JobOutcome, JobQueue } from './job-queue.js';
import type { Job } from './sweep-file.js';

export const jobFolder = (out: string): string => join(out, 'jobs');

export interface SweepOptions {
  readonly out: string;
  readonly signal: AbortSignal;
  readonly onOutcome?: (outcome: JobOutcome, done: number, total: number) => void;
}

/**
 * @returns the table of all jobs.
 * @throws RelufyError `state` when jobs failed, after all others ended.
 */
export async function runSweep(jobs: readonly Job[], queue: JobQueue, options: SweepOptions): Promise<string> {
  const { out, signal, onOutcome } = options;
  // a sweep that goes on has a page already, beside its jobs
  refuseReport(out, { remedy: 'Name another folder.', except: existsSync(jobFolder(out)) ? ['report.html'] : [] });
  makeFolder(jobFolder(out));
  const missing: Job[] = [];
  for (const job of jobs) if ((await finishedFiles(join(jobFolder(out), job.id))) === undefined) missing.push(job);
  await queue.add(missing);
  const failed: string[] = [];
  let done = jobs.length - missing.length;
  if (missing.length > 0)
    for await (const outcome of queue.outcomes(signal)) {
      if ('error' in outcome) failed.push(`${outcome.job.id}: ${outcome.error}`);
      else {
        const folder = join(jobFolder(out), outcome.job.id);
        mkdirSync(folder, { recursive: true });
        // results.json is the last of them, and its being there says that the others are
        for (const [name, text] of Object.entries(outcome.files)) await writeWhole(join(folder, name), text);
      }
      onOutcome?.(outcome, ++done, jobs.length);
    }
  const finished = await finishedRuns(jobs, out);
  const table = sweepTable(finished);
  const rows = finished.flatMap(({ job, run }) =>
    scoreRows(run, { job: job.id, source: job.model, setting: job.setting }),
  );
  const unfinished = jobs.filter((job) => !finished.some((run) => run.job === job)).map(({ id }) => id);
  await writeWhole(join(out, 'table.md'), `${table}\n`);
  await writeWhole(join(out, 'sweep.csv'), rowsCsv(rows));
  await writeWhole(join(out, 'sweep.json'), `${jsonText({ scores: rows, unfinished }, 2)}\n`);
  await writeWhole(join(out, 'report.html'), evalPage(mergedRuns(finished)));
  if (failed.length > 0)
    throw new RelufyError(
      'state',
      `sweep: expected ${jobs.length} jobs to end well, got ${failed.length} that did not: ${failed.join('; ')}. Correct the cause and run the sweep again: what is done stays.`,
    );
  return table;
}

interface FinishedJob {
  readonly job: Job;
  readonly run: FinishedRun;
}

async function finishedRuns(jobs: readonly Job[], out: string): Promise<readonly FinishedJob[]> {
  const finished: FinishedJob[] = [];
  for (const job of jobs) {
    const run = await readRun(join(jobFolder(out), job.id)).catch(() => undefined);
    if (run) finished.push({ job, run });
  }
  return finished;
}

function sweepTable(finished: readonly FinishedJob[]): string {
  const rows = finished.flatMap(({ job, run }) => {
    const costs = Object.fromEntries(costRows([run]).map(({ name, texts }) => [name, texts[0] ?? '']));
    return scoresOf(run).map(({ task, metric, value, stderr }) => [
      job.model,
      job.setting,
      task,
      metric,
      value.toFixed(4),
      stderr === undefined ? 'N/A' : stderr.toFixed(4),
      costs['weights in'] ?? '',
      costs['active FFN neurons'] ?? '',
      costs['MACs per token'] ?? '',
      costs['weight bytes per token'] ?? '',
    ]);
  });
  const head = [
    'Model',
    'Setting',
    'Task',
    'Metric',
    'Value',
    'Stderr',
    'Weights in',
    'Active FFN neurons',
    'MACs',
    'Bytes/token',
  ];
  return markdownTable(head, rows, [4, 5, 7, 8, 9]);
}

/** The tasks of one model and setting as one run, so that a page has a column for each. */
function mergedRuns(finished: readonly FinishedJob[]): readonly FinishedRun[] {
  const merged = new Map<string, FinishedRun>();
  for (const { job, run } of finished) {
    const key = `${job.model} ${job.setting}`;
    const before = merged.get(key);
    merged.set(key, {
      folder: job.setting,
      scores: { ...run.scores, tasks: { ...before?.scores.tasks, ...run.scores.tasks } },
      results: {
        ...run.results,
        results: { ...before?.results.results, ...run.results.results },
        configs: { ...before?.results.configs, ...run.results.configs },
        group_subtasks: { ...before?.results.group_subtasks, ...run.results.group_subtasks },
        relufy: {
          ...(before?.results.relufy ?? run.results.relufy),
          warnings: [...(before?.results.relufy.warnings ?? []), ...(run.results.relufy.warnings ?? [])],
        },
      },
    });
  }
  return [...merged.values()];
}
