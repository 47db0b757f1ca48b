// Finished runs as one HTML page and its charts: scores with their standard errors, what each run costs, and paired
// comparisons with the first. Does not own drawing (@relufy/charts) or the statistics (compare.ts).
import { barChart, noteHtml, type PageSection, type PageTable, page, shortNames, tableHtml } from '@relufy/charts';
import { mixedFormats } from '@relufy/sparsity';
import { jsonText } from '@relufy/tensor';
import { type Comparison, compareRuns, costRows } from './compare.js';
import { type FinishedRun, weightsOf } from './result-files.js';
import { rowsCsv, type Score, scoreRows, scoresOf } from './result-rows.js';

const isShare = (metric: string): boolean => /^(acc|exact_match)/.test(metric);
const letter = (at: number): string => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[at] ?? String(at + 1);

/** How runs are told apart: by their models or their folders where these suffice, each cut to what differs. */
function runLabels(runs: readonly FinishedRun[]): string[] {
  const full = runs.map(({ results }) => results.model_name);
  if (runs.length === 1) return full;
  const models = shortNames(full);
  const folders = shortNames(runs.map(({ folder }) => folder));
  const different = new Set(full).size;
  return runs.map((_, at) => {
    const [model, folder] = [models[at] as string, folders[at] as string];
    const both = different === 1 ? folder : `${model} (${folder})`;
    return `${letter(at)}: ${different === runs.length ? model : both}`;
  });
}

interface Scores {
  readonly names: readonly string[];
  /** Task and metric, in the order of the first run that has them. */
  readonly keys: readonly (readonly [task: string, metric: string])[];
  readonly find: (run: number, task: string, metric: string) => Score | undefined;
}

function gather(runs: readonly FinishedRun[]): Scores {
  const scores = runs.map(scoresOf);
  const keys = new Map(scores.flat().map(({ task, metric }) => [`${task} ${metric}`, [task, metric] as const]));
  return {
    names: runLabels(runs),
    keys: [...keys.values()],
    find: (run, task, metric) => scores[run]?.find((score) => score.task === task && score.metric === metric),
  };
}

/** The charts of a page, by file name. */
export function evalCharts(runs: readonly FinishedRun[]): Map<string, string> {
  const scores = gather(runs);
  return new Map([...scoreCharts(runs, scores), ...costCharts(runs, scores.names)]);
}

/** The files of a comparison: name -> content. */
export function evalFiles(runs: readonly FinishedRun[]): Map<string, string> {
  const charts = [...evalCharts(runs)].map(([name, svg]) => [`${name}.svg`, svg] as const);
  const rows = runs.flatMap((run) => scoreRows(run, { run: run.folder }));
  return new Map([
    ['report.html', evalPage(runs)],
    ['comparison.csv', rowsCsv(rows)],
    ['comparison.json', `${jsonText({ scores: rows, differences: allDifferences(runs) }, 2)}\n`],
    ...charts,
  ]);
}

/** Each run against the first, where both have a task. */
const allDifferences = ([first, ...others]: readonly FinishedRun[]) =>
  others
    .filter((other) => haveTask(first as FinishedRun, other))
    .flatMap((other) =>
      compareRuns(first as FinishedRun, other).map((comparison) => ({
        first: first?.folder,
        other: other.folder,
        ...comparison,
      })),
    );

const haveTask = (a: FinishedRun, b: FinishedRun): boolean =>
  Object.keys(b.scores.tasks).some((task) => task in a.scores.tasks);

export function evalPage(runs: readonly FinishedRun[]): string {
  const scores = gather(runs);
  const { names, keys, find } = scores;
  const legend: PageTable = {
    head: ['run', 'model', 'folder'],
    rows: runs.map(({ folder, results }, at) => [letter(at), results.model_name, folder]),
  };
  const table: PageTable = {
    head: ['task', 'metric', ...names],
    rows: keys.map(([task, metric]) => [task, metric, ...runs.map((_, at) => scoreText(find(at, task, metric)))]),
  };
  const costs: PageTable = {
    head: ['cost', ...names],
    rows: costRows(runs).map(({ name, texts }) => [name, ...texts]),
  };
  const mixed = mixedFormats(runs.map((run, at) => ({ name: names[at] as string, weights: weightsOf(run) })));
  const sections: PageSection[] = [
    ...(runs.length > 1 ? [{ title: 'Runs', html: tableHtml(legend) }] : []),
    ...warningSections(runs, names),
    { title: 'Scores', charts: [...scoreCharts(runs, scores).values()], html: tableHtml(table) },
    {
      title: 'Cost',
      charts: [...costCharts(runs, names).values()],
      html: tableHtml(costs) + (mixed ? noteHtml(mixed) : ''),
    },
    ...differenceSections(runs, names),
  ];
  return page(
    `Evaluation: ${shortNames([...new Set(runs.map(({ results }) => results.model_name))]).join(', ')}`,
    sections,
  );
}

function scoreText(score: Score | undefined): string {
  if (score === undefined) return '';
  const value = score.value.toFixed(4);
  return score.stderr === undefined ? value : `${value} ± ${score.stderr.toFixed(4)}`;
}

/** More bars than this are not told apart: of groups, their members are left to the table. */
const mostTasks = 32;

/** Shares in one chart; a perplexity, which has a scale of its own, is left to the table. */
function scoreCharts(runs: readonly FinishedRun[], { names, keys, find }: Scores): Map<string, string> {
  const members = new Set(runs.flatMap(({ results }) => Object.values(results.group_subtasks ?? {}).flat()));
  const metrics = [...new Set(keys.map(([, metric]) => metric))].filter(isShare);
  const charts = metrics.map((metric) => {
    const all = keys.flatMap(([task, of]) => (of === metric ? [task] : []));
    const groups = all.filter((task) => !members.has(task) || runs.some((run) => isGroup(run, task)));
    const tasks = all.length > mostTasks && groups.length > 0 ? groups : all;
    const chart = barChart({
      title: `${metric}, with one standard error`,
      x: '',
      y: metric,
      see: 'Whiskers: one standard error. Close ones need the paired comparison.',
      yDomain: [0, 1],
      labels: tasks,
      series: names.map((name, at) => ({
        name,
        bars: tasks.map((task) => {
          const found = find(at, task, metric);
          if (found === undefined) return undefined;
          const { value, stderr } = found;
          return { value, ...(stderr !== undefined && { interval: [value - stderr, value + stderr] as const }) };
        }),
      })),
    });
    return [metric, chart] as const;
  });
  return new Map(charts);
}

const isGroup = ({ results }: FinishedRun, task: string): boolean => (results.group_subtasks?.[task]?.length ?? 0) > 0;

function costCharts(runs: readonly FinishedRun[], names: readonly string[]): Map<string, string> {
  if (runs.length < 2) return new Map();
  const charts = costRows(runs)
    .filter(({ name }) => /bytes|tokens\/s/.test(name))
    .map(({ name, values }) => {
      const chart = barChart({
        title: name,
        x: '',
        y: name,
        see: /tokens/.test(name)
          ? 'Each timed once, in passing: other work on the machine moves it.'
          : 'What a token reads of the weights: the lower, the less memory is moved.',
        labels: [''],
        series: names.map((run, at) => ({ name: run, bars: [{ value: values[at] as number }] })),
      });
      return [name.replaceAll(/\W+/g, '-'), chart] as const;
    });
  return new Map(charts);
}

function warningSections(runs: readonly FinishedRun[], names: readonly string[]): PageSection[] {
  const rows = runs.flatMap(({ results }, at) =>
    (results.relufy.warnings ?? []).map((warning) => (runs.length > 1 ? [names[at] as string, warning] : [warning])),
  );
  if (rows.length === 0) return [];
  return [{ title: 'Warnings', html: tableHtml({ head: runs.length > 1 ? ['run', 'warning'] : ['warning'], rows }) }];
}

/** Against the first run, where there is a task that both have. */
function differenceSections([first, ...others]: readonly FinishedRun[], names: readonly string[]): PageSection[] {
  return others.flatMap((other, at) => {
    if (!haveTask(first as FinishedRun, other)) return [];
    const html = tableHtml(differences(compareRuns(first as FinishedRun, other)));
    return [{ title: `${names[at + 1]} against ${names[0]}`, html }];
  });
}

function differences(comparisons: readonly Comparison[]): PageTable {
  const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
  return {
    head: ['task', 'metric', 'difference', '95 % interval', 'only first / only this', "McNemar's p"],
    rows: comparisons.map(({ task, metric, difference, interval, onlyA, onlyB, p }) => [
      task,
      metric,
      signed(difference),
      `${signed(interval[0])} to ${signed(interval[1])}`,
      p === undefined ? '' : `${onlyA} / ${onlyB}`,
      p === undefined ? '' : p < 0.0001 ? '< 0.0001' : p.toFixed(4),
    ]),
  };
}
