// Writes docs/experiments: a page an experiment, whose results stand between two marks and are made anew, while the words
// around them are written by hand; the charts beside it; and every number in results.csv. Does not own what the results are (reports.mjs).
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reports } from './reports.mjs';
import { readResult, resultsCsv } from './results.mjs';

const [begin, end] = ['<!-- results: written by `pnpm experiments --report` -->', '<!-- end of results -->'];

/**
 * Writes the pages of those experiments of which a run is done; gives the files written.
 * @param {import('./plan.mjs').Plan} plan @param {string} runs @param {string} docs
 */
export async function writeReports(plan, runs, docs) {
  const byName = new Map(plan.runs.map((run) => [run.name, run]));
  /** @type {string[]} */
  const written = [];
  for (const [experiment, members] of Object.entries(plan.experiments)) {
    const all = members.map((name) => ({ name, result: readResult(runs, byName.get(name)) }));
    const done = all.flatMap(({ result }) => result ?? []);
    if (done.length === 0) continue;
    const missing = all.flatMap(({ name, result }) => (result ? [] : [name]));
    const { title, tables, charts } = reports[experiment](
      done,
      members.map((name) => byName.get(name)),
    );
    await mkdir(docs, { recursive: true });
    const parts = [
      begin,
      ...(missing.length > 0 ? [`Not run yet: ${missing.join(', ')}.`] : []),
      trainingOf(done),
      ...tables.map(markdownTable),
      ...[...charts].map(([name, { title: caption }]) => `![${caption}](${experiment}-${name}.svg)`),
      end,
    ];
    const page = join(docs, `${experiment}.md`);
    const before = existsSync(page) ? await readFile(page, 'utf8') : `# ${title}\n\n${begin}\n${end}\n`;
    await writeFile(page, replaceResults(page, before, parts.join('\n\n')));
    for (const [name, { svg }] of charts) await writeFile(join(docs, `${experiment}-${name}.svg`), `${svg}\n`);
    written.push(page);
  }
  const finished = plan.runs.flatMap((run) => readResult(runs, run) ?? []);
  if (finished.length > 0) {
    written.push(join(docs, 'results.csv'));
    await writeFile(join(docs, 'results.csv'), resultsCsv(finished));
  }
  return written;
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

/** @param {{ title?: string, head: readonly string[], rows: readonly (readonly string[])[], note?: string }} table */
function markdownTable({ title, head, rows, note }) {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const [first, ...others] = cells;
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const table = [line(first), rule, ...others.map(line)].join('\n');
  return [...(title ? [`**${title}**`] : []), table, ...(note ? [note] : [])].join('\n\n');
}

function replaceResults(page, before, results) {
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`${page}: expected the marks around its results, got none. Put them back.`);
  return before.slice(0, from) + results + before.slice(to + end.length);
}
