// Finished runs as one HTML page: scores with their standard errors, what each run costs, and paired comparisons with the
// first. Does not own drawing (@relufy/sparsity) or the statistics (compare.ts).
import { barChart, type PageSection, type PageTable, page, tableHtml } from '@relufy/sparsity';
import { type Comparison, compareRuns, costRows, runName } from './compare.js';
import type { FinishedRun } from './result-files.js';

interface Score {
  readonly task: string;
  readonly metric: string;
  readonly value: number;
  readonly stderr: number | undefined;
}

/** The scores of a run, in the order of its results file. */
export function scoresOf({ results }: FinishedRun): Score[] {
  return Object.entries(results.results).flatMap(([task, entries]) =>
    Object.entries(entries).flatMap(([key, value]) => {
      const [metric, filter] = key.split(',') as [string, string | undefined];
      if (filter === undefined || metric.endsWith('_stderr') || typeof value !== 'number') return [];
      const stderr = entries[`${metric}_stderr,${filter}`];
      return [{ task, metric, value, stderr: typeof stderr === 'number' ? stderr : undefined }];
    }),
  );
}

const isShare = (metric: string): boolean => /^(acc|exact_match)/.test(metric);

export function evalPage(runs: readonly FinishedRun[]): string {
  const names = runs.map((run, at) =>
    runs.length === 1 ? run.results.model_name : `${'ABCDEFGHIJ'[at] ?? at}: ${runName(run)}`,
  );
  const scores = runs.map(scoresOf);
  const keys = [...new Set(scores.flat().map(({ task, metric }) => `${task} ${metric}`))];
  const find = (run: number, key: string) => scores[run]?.find(({ task, metric }) => `${task} ${metric}` === key);
  const table: PageTable = {
    head: ['task', 'metric', ...names],
    rows: keys.map((key) => [
      ...key.split(' '),
      ...runs.map((_, at) => {
        const found = find(at, key);
        if (found === undefined) return '';
        return found.stderr === undefined
          ? found.value.toFixed(4)
          : `${found.value.toFixed(4)} ± ${found.stderr.toFixed(4)}`;
      }),
    ]),
  };
  const costs: PageTable = {
    head: ['cost', ...names],
    rows: costRows(runs).map(({ name, texts }) => [name, ...texts]),
  };
  const sections: PageSection[] = [
    { title: 'Scores', charts: scoreCharts(names, keys, find), html: tableHtml(table) },
    { title: 'Cost', charts: costCharts(runs, names), html: tableHtml(costs) },
    ...runs.slice(1).map((run, at) => ({
      title: `${names[at + 1]} against ${names[0]}`,
      html: tableHtml(differences(compareRuns(runs[0] as FinishedRun, run))),
    })),
  ];
  return page(`Evaluation: ${[...new Set(runs.map(({ results }) => results.model_name))].join(', ')}`, sections);
}

type Find = (run: number, key: string) => Score | undefined;

/** Shares in one chart; a perplexity, which has a scale of its own, is left to the table. */
function scoreCharts(names: readonly string[], keys: readonly string[], find: Find): string[] {
  const metrics = [...new Set(keys.map((key) => key.split(' ')[1] as string))].filter(isShare);
  return metrics.map((metric) => {
    const tasks = keys.filter((key) => key.endsWith(` ${metric}`));
    return barChart({
      title: `${metric}, with one standard error`,
      x: '',
      y: metric,
      yDomain: [0, 1],
      labels: tasks.map((key) => key.split(' ')[0] as string),
      series: names.map((name, at) => ({
        name,
        bars: tasks.map((key) => {
          const found = find(at, key);
          if (found === undefined) return undefined;
          const { value, stderr } = found;
          return { value, ...(stderr !== undefined && { interval: [value - stderr, value + stderr] as const }) };
        }),
      })),
    });
  });
}

function costCharts(runs: readonly FinishedRun[], names: readonly string[]): string[] {
  if (runs.length < 2) return [];
  return costRows(runs)
    .filter(({ name }) => /bytes|tokens\/s/.test(name))
    .map(({ name, values }) =>
      barChart({
        title: name,
        x: '',
        y: name,
        labels: names.map((_, at) => 'ABCDEFGHIJ'[at] ?? String(at)),
        series: [{ name, bars: values.map((value) => ({ value })) }],
      }),
    );
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
