// The charts of what earlier tokens loaded: neurons that are used again, drafts that are verified together, and neurons that
// stay in a file. Each compares runs, and is a whole SVG by file name. Does not own drawing (@relufy/charts), the other
// charts (measurement-charts.ts) or tables (report.ts).
import { type Line, lineChart } from '@relufy/charts';
import type { Measurement } from './record.js';

/** Only what some run has measured. */
export function loadedCharts(runs: readonly Measurement[], labels: readonly string[]): Map<string, string> {
  const charts = new Map<string, string>();
  if (runs.some(({ reuse }) => reuse)) {
    charts.set('reuse', reuseChart(runs, labels));
    charts.set('reuse-kept', reuseKeptChart(runs, labels));
  }
  if (runs.some(({ speculation }) => speculation?.points.length)) {
    charts.set('speculation-acceptance', acceptanceChart(runs, labels));
    charts.set('speculation-union', unionChart(runs, labels));
    charts.set('speculation-timed', timedChart(runs, labels));
  }
  if (runs.some(({ flash }) => flash?.points.length)) {
    charts.set('flash-hits', hitChart(runs, labels));
    charts.set('flash-bytes', bytesChart(runs, labels));
  }
  return charts;
}

type Points = Line['points'];

/** Two lines a run, the second dashed and named once, where the run has what they show. */
function pairs<T>(
  runs: readonly Measurement[],
  labels: readonly string[],
  of: (run: Measurement) => T | undefined,
  points: (found: T) => Points,
  second?: { readonly name: string; readonly points: (found: T) => Points },
): Line[] {
  const first = runs.findIndex((run) => of(run) !== undefined);
  return runs.flatMap((run, at): Line[] => {
    const found = of(run);
    if (found === undefined) return [];
    return [
      { name: labels[at] as string, color: at, dots: true, points: points(found) },
      ...(second
        ? [{ name: second.name, color: at, dashed: true, inLegend: at === first, points: second.points(found) }]
        : []),
    ];
  });
}

type Reuse = NonNullable<Measurement['reuse']>;
const aboveDense = ({ densePerplexity }: Reuse, perplexity: number): number => Math.log(perplexity / densePerplexity);

const reuseChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Neurons of gamma tokens serve the next gamma',
    x: 'gamma, tokens',
    y: 'loss above the model as it is',
    see: 'Near zero: the neurons of the tokens before are enough for the next ones.',
    xLog: 2,
    lines: pairs(
      runs,
      labels,
      ({ reuse }) => reuse,
      (reuse) => reuse.points.map(({ gamma, perplexity }) => [gamma, aboveDense(reuse, perplexity)]),
      {
        name: 'random sets of the same size',
        points: (reuse) =>
          reuse.points.map(({ gamma, randomPerplexity }) => [gamma, aboveDense(reuse, randomPerplexity)]),
      },
    ),
  });

/** Neurons that a window keeps, and what is read anew for each of the tokens that they serve. */
const reuseKeptChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Neurons that gamma tokens load',
    x: 'gamma, tokens',
    y: 'share of the neurons',
    yDomain: [0, 1],
    see: 'Dashed: what a token reads anew, over the 2 gamma tokens that they serve.',
    xLog: 2,
    lines: pairs(
      runs,
      labels,
      ({ reuse }) => reuse,
      ({ points }) => points.map(({ gamma, kept }) => [gamma, kept]),
      {
        name: 'read anew a token',
        points: ({ points }) => points.map(({ gamma, kept }) => [gamma, kept / (2 * gamma)]),
      },
    ),
  });

const acceptanceChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Drafted tokens that are accepted',
    x: 'tokens drafted at a time',
    y: 'of those whose predecessors were',
    yDomain: [0, 1],
    see: 'At 1 every drafted token saves a step of the target.',
    lines: pairs(
      runs,
      labels,
      ({ speculation }) => speculation,
      ({ points }) => points.map(({ gamma, acceptance }) => [gamma, acceptance]),
    ),
  });

const unionChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Weights that a step of several tokens leaves unread',
    x: 'tokens drafted at a time',
    y: 'share of all weights',
    see: 'Above the dashed line: the tokens of a step share neurons.',
    lines: pairs(
      runs,
      labels,
      ({ speculation }) => speculation,
      ({ points }) => points.map(({ gamma, unread }) => [gamma, unread]),
      {
        name: 'independent sets as large',
        points: ({ points }) => points.map(({ gamma, unreadRandom }) => [gamma, unreadRandom]),
      },
    ),
  });

const timedChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Speculative decoding over plain sparse decoding, timed',
    x: 'tokens drafted at a time',
    y: 'times as fast',
    see: 'Dashed: the formula, of acceptance, draft cost and unread weights.',
    lines: pairs(
      runs,
      labels,
      ({ speculation }) => speculation,
      ({ points }) => points.map(({ gamma, timed }) => [gamma, timed.overSparse]),
      {
        name: 'by the formula',
        points: ({ points }) => points.map(({ gamma, predicted }) => [gamma, predicted.overSparse]),
      },
    ),
  });

type FlashPoint = NonNullable<Measurement['flash']>['points'][number];
/** Where all weights fit, there are no slots. */
const room = ({ slots, neurons }: FlashPoint): number => (neurons === 0 ? 1 : slots / neurons);
const byRoom = (points: readonly FlashPoint[], of: (point: FlashPoint) => number): Points =>
  [...points].sort((a, b) => room(a) - room(b)).map((point) => [100 * room(point), of(point)]);

const hitChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Neurons that were in memory when a token needed them',
    x: 'room for neurons, % of all',
    y: 'share of those needed',
    yDomain: [0, 1],
    see: 'The steeper at first, the more tokens use what those before them loaded.',
    lines: pairs(
      runs,
      labels,
      ({ flash }) => flash,
      ({ points }) => byRoom(points, ({ hitShare }) => hitShare),
    ),
  });

const bytesChart = (runs: readonly Measurement[], labels: readonly string[]): string =>
  lineChart({
    title: 'Bytes that a token reads of the file',
    x: 'room for neurons, % of all',
    y: 'MB a token',
    see: 'What a disk has to deliver for each token of an answer.',
    lines: pairs(
      runs,
      labels,
      ({ flash }) => flash,
      ({ points }) => byRoom(points, ({ bytesPerToken }) => bytesPerToken / 1e6),
    ),
  });
