// Writes docs/experiments: a page an experiment, whose results stand between two marks and are made anew, while the words
// around them are written by hand; the charts beside it; and every number in results.csv. Does not own what the results are (reports.mjs).
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { markdownTable, writeResults } from '../measuring/pages.mjs';
import { reports } from './reports.mjs';
import { readResult, resultInCsv, resultsCsv } from './results.mjs';

/** Experiments for which the numbers in results.csv are enough of a run that was made elsewhere. */
const fromTable = new Set(['seeds']);

const marks = { start: '<!-- results: written by `pnpm experiments --report` -->', end: '<!-- end of results -->' };

/**
 * Writes the pages of those experiments of which a run is done; gives the files written.
 * @param {import('./plan.mjs').Plan} plan @param {string} runs @param {string} docs
 */
export async function writeReports(plan, runs, docs) {
  const byName = new Map(plan.runs.map((run) => [run.name, run]));
  const tableFile = join(docs, 'results.csv');
  const table = existsSync(tableFile) ? await readFile(tableFile, 'utf8') : '';
  /** @type {string[]} */
  const written = [];
  for (const [experiment, members] of Object.entries(plan.experiments)) {
    if (!Object.hasOwn(reports, experiment)) continue;
    const all = members.map((name) => {
      const run = byName.get(name);
      const result = readResult(runs, run) ?? (fromTable.has(experiment) ? resultInCsv(run, table) : undefined);
      return { name, result };
    });
    const done = all.flatMap(({ result }) => result ?? []);
    const missing = all.flatMap(({ name, result }) => (result ? [] : [name]));
    const page = join(docs, `${experiment}.md`);
    if (done.length === 0 || (await shows(page, missing))) continue;
    const { title, tables, charts } = reports[experiment](
      done,
      members.map((name) => byName.get(name)),
    );
    await mkdir(docs, { recursive: true });
    writeResults(page, { ...marks, title }, [
      ...(missing.length > 0 ? [`Not run yet: ${missing.join(', ')}.`] : []),
      trainingOf(done),
      ...tables.map(markdownTable),
      ...[...charts].map(([name, { title: caption }]) => `![${caption}](${experiment}-${name}.svg)`),
    ]);
    for (const [name, { svg }] of charts) await writeFile(join(docs, `${experiment}-${name}.svg`), `${svg}\n`);
    written.push(page);
  }
  const finished = plan.runs.flatMap((run) => readResult(runs, run) ?? []);
  if (finished.length > 0) {
    written.push(tableFile);
    await writeFile(tableFile, mergedCsv(plan, table, resultsCsv(finished)));
  }
  return written;
}

/** Whether a page has a row of one of these runs, which was made elsewhere: written anew, it would lose it. */
async function shows(page, names) {
  if (!existsSync(page)) return false;
  const rows = (await readFile(page, 'utf8')).split('\n');
  return names.some((name) => rows.some((row) => row.startsWith(`| ${name} `)));
}

/** Rows of runs that were made elsewhere stay. @param {import('./plan.mjs').Plan} plan */
function mergedCsv({ runs }, before, now) {
  const [head, ...rows] = now.trimEnd().split('\n');
  const [headBefore, ...rowsBefore] = before.trimEnd().split('\n');
  const nameOf = (row) => row.slice(0, row.indexOf(','));
  const made = new Set(rows.map(nameOf));
  const kept = headBefore === head ? rowsBefore.filter((row) => !made.has(nameOf(row))) : [];
  const all = [...rows, ...kept];
  return [head, ...runs.flatMap(({ name }) => all.filter((row) => nameOf(row) === name)), ''].join('\n');
}

/**
 * What the runs had to read, where their loss began and ended, and the format of their weights: it changes perplexity by
 * itself. Not how fast it went: that is a matter of what else the machine did.
 * @param {readonly import('./results.mjs').Result[]} results
 */
function trainingOf(results) {
  const formats = results.map(({ measured: { weights = 'not noted' } }) => weights);
  const loss = (value) => value?.toFixed(3) ?? 'not noted';
  const rows = results.map(({ run, metrics, lossBefore }, at) => {
    const { step, tokens, validationLoss } = metrics.at(-1);
    const read = [String(step), `${(tokens / 1e6).toFixed(2)} M`];
    return [run.name, run.from ?? 'drawn', formats[at], ...read, loss(lossBefore), loss(validationLoss)];
  });
  const note = 'Weights are in different formats: perplexity differs by that too.';
  return markdownTable({
    head: ['run', 'from', 'weights in', 'steps', 'tokens', 'held-out loss at step 0', 'at the end'],
    rows,
    ...(new Set(formats).size > 1 && { note }),
  });
}
