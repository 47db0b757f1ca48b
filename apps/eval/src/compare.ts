// Two runs of the same tasks, document by document: differences with a bootstrap interval, McNemar's exact test where a
// document is right or wrong, and what each costs. Does not own files (result-files.ts).
import { mixedFormats } from '@relufy/sparsity';
import { RelufyError, show, showNames } from '@relufy/tensor';
import { aggregate, type MetricValue, metricKind } from './aggregation.js';
import { PythonRandom } from './python-random.js';
import { type FinishedRun, weightsOf } from './result-files.js';
import { markdownTable } from './results.js';

export interface Comparison {
  readonly task: string;
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly a: number;
  readonly b: number;
  /** b - a, and the 2.5 % and 97.5 % points of it under resampled documents. */
  readonly difference: number;
  readonly interval: readonly [low: number, high: number];
  /** McNemar's exact test, two-sided; undefined where a document's score is not 0 or 1. */
  readonly p: number | undefined;
  /** Documents that only one of the runs has right. */
  readonly onlyA: number;
  readonly onlyB: number;
}

/** @throws RelufyError `input` when the runs have no task in common, or asked different questions. */
export function compareRuns(a: FinishedRun, b: FinishedRun, { resamples = 2000 } = {}): Comparison[] {
  const shared = Object.keys(a.scores.tasks).filter((task) => task in b.scores.tasks);
  if (shared.length === 0)
    throw new RelufyError(
      'input',
      `comparison: expected tasks that both runs have, got ${showNames(Object.keys(a.scores.tasks))}, and ${showNames(Object.keys(b.scores.tasks))}. Compare runs of the same tasks.`,
    );
  return shared.flatMap((task) => {
    const [left, right] = [a.scores.tasks[task]!, b.scores.tasks[task]!];
    if (left.hash !== right.hash)
      throw new RelufyError(
        'input',
        `comparison of ${show(task)}: expected the same questions in both runs, got others. Run both with the same data, limit and few-shot examples.`,
      );
    return Object.keys(left.metrics)
      .filter((metric) => metric in right.metrics)
      .map((metric) => compareMetric(a, task, metric, left.metrics[metric]!, right.metrics[metric]!, resamples));
  });
}

function compareMetric(
  run: FinishedRun,
  task: string,
  metric: string,
  a: readonly MetricValue[],
  b: readonly MetricValue[],
  resamples: number,
): Comparison {
  const listed = run.results.configs[task]?.metric_list as { metric: string; aggregation?: string }[] | undefined;
  const kind = metricKind(task, listed?.find((entry) => entry.metric === metric) ?? { metric });
  const value = (values: readonly MetricValue[]) => aggregate(kind, values, 0).value;
  const random = new PythonRandom(0);
  const differences = Array.from({ length: resamples }, () => {
    const chosen = a.map(() => random.below(a.length));
    return value(chosen.map((at) => b[at]!)) - value(chosen.map((at) => a[at]!));
  }).sort((x, y) => x - y);
  const isBinary = [...a, ...b].every((score) => score === 0 || score === 1);
  const only = (x: readonly MetricValue[], y: readonly MetricValue[]) =>
    isBinary ? x.filter((score, at) => score === 1 && y[at] === 0).length : 0;
  const [onlyA, onlyB] = [only(a, b), only(b, a)];
  return {
    task,
    metric,
    higherIsBetter: kind.higherIsBetter,
    a: value(a),
    b: value(b),
    difference: value(b) - value(a),
    interval: [quantile(differences, 0.025), quantile(differences, 0.975)],
    p: isBinary ? mcnemar(onlyA, onlyB) : undefined,
    onlyA,
    onlyB,
  };
}

/** Of sorted values, linear between neighbours. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  return below + ((sorted[Math.ceil(at)] ?? below) - below) * (at - Math.floor(at));
}

/** Two-sided: of the documents that only one run has right, is the split as from a fair coin? */
export function mcnemar(onlyA: number, onlyB: number): number {
  const n = onlyA + onlyB;
  const fewer = Math.min(onlyA, onlyB);
  if (n === 0) return 1;
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= fewer; k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}

export function comparisonTable(comparisons: readonly Comparison[], a: FinishedRun, b: FinishedRun): string {
  const number = (value: number) => value.toFixed(4);
  const signed = (value: number) => `${value < 0 ? '' : '+'}${number(value)}`;
  const scores = markdownTable(
    ['Tasks', 'Metric', '', 'A', 'B', 'B - A', '95 % interval', 'only A / B', 'p'],
    comparisons.map(({ task, metric, higherIsBetter, interval, p, onlyA, onlyB, ...row }) => [
      task,
      metric,
      higherIsBetter ? '↑' : '↓',
      number(row.a),
      number(row.b),
      signed(row.difference),
      `${signed(interval[0])} ... ${signed(interval[1])}`,
      p === undefined ? '' : `${onlyA} / ${onlyB}`,
      p === undefined ? '' : p < 0.0001 ? '< 0.0001' : p.toFixed(4),
    ]),
    [3, 4, 5, 6, 7, 8],
  );
  const costs = markdownTable(
    ['Cost', 'A', 'B', 'B / A'],
    costRows([a, b]).map(({ name, texts, values }) => {
      const [left, right] = values;
      const ratio = left && right ? (right / left).toFixed(3) : '';
      return [name, ...texts, ratio];
    }),
    [1, 2, 3],
  );
  const mixed = mixedFormats([a, b].map((run, at) => ({ name: 'AB'[at] as string, weights: weightsOf(run) })));
  return `A: ${runName(a)}\nB: ${runName(b)}\n\n${scores}\n\n${costs}${mixed ? `\n\n${mixed}` : ''}`;
}

export const runName = ({ folder, results }: FinishedRun): string => `${results.model_name} (${folder})`;

/** What runs cost, a row a quantity. */
export function costRows(runs: readonly FinishedRun[]): { name: string; texts: string[]; values: number[] }[] {
  const costs = runs.map(({ results }) => results.relufy.cost);
  const row = (
    name: string,
    of: (cost: NonNullable<(typeof costs)[number]>) => number,
    unit: (value: number) => string,
  ) => ({
    name,
    values: costs.map((cost) => (cost ? of(cost) : Number.NaN)),
    texts: costs.map((cost) => (cost ? unit(of(cost)) : '')),
  });
  const share = (value: number) => `${(100 * value).toFixed(1)} %`;
  const mega = (unit: string) => (value: number) => `${(value / 1e6).toFixed(2)} M${unit}`;
  return [
    {
      name: 'weights in',
      values: runs.map(() => Number.NaN),
      texts: runs.map((run) => weightsOf(run) ?? 'not noted'),
    },
    row('active FFN neurons', ({ density }) => density.down ?? 1, share),
    row('rows of up that are read', ({ density }) => density.up ?? 1, share),
    row('attention inputs that are not zero', ({ density }) => density.qkv ?? 1, share),
    row('FFN inputs that are not zero', ({ density }) => density.upGate ?? 1, share),
    row('MACs per token', ({ macsPerToken }) => macsPerToken, mega('')),
    row('weight bytes per token', ({ weightBytesPerToken }) => weightBytesPerToken, mega('B')),
    row(
      'decoded tokens/s',
      ({ tokensPerSecond }) => tokensPerSecond,
      (value) => value.toFixed(1),
    ),
  ];
}
