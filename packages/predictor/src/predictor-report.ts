// Predictors as a page and charts: each layer's recall and what it proposes, what its misses would have added, and what other
// thresholds, alphas or ranks would do. Does not own the numbers (predictor-statistics.ts) nor how charts look
// (@relufy/sparsity).
import { barChart, type Line, lineChart, noteHtml, page, tableHtml } from '@relufy/charts';
import type { LayerPrediction } from './predictor-statistics.js';
import { predictorTotals } from './predictor-statistics.js';
import type { RankPoint } from './rank-allocation.js';

/** What a page tells of. */
export interface PredictorReport {
  readonly title: string;
  readonly layers: readonly LayerPrediction[];
  readonly perplexity: number;
  readonly densePerplexity: number;
  /** Share of the blocks' weight bytes that are skipped, the predictors' bytes counted against it. */
  readonly sparsity: number;
  /** By layer: what each rank would have proposed. */
  readonly rankCurves?: readonly (readonly RankPoint[])[];
}

const percent = (share: number, digits = 1): string =>
  Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : '';

/** A whole page, with nothing beside it. */
export function predictorPage(report: PredictorReport): string {
  const { title, layers } = report;
  return page(title, [
    { title: 'Summary', html: `${tableHtml(summaryTable(report))}${noteHtml(summaryNote)}` },
    { title: 'Layer by layer', charts: layerCharts(layers), html: tableHtml(layerTable(layers)) },
    { title: 'Other operating points', charts: curveCharts(report) },
  ]);
}

/** The page's charts, by file name. */
export function predictorCharts(report: PredictorReport): Map<string, string> {
  const charts = [...layerCharts(report.layers), ...curveCharts(report)];
  return new Map(charts.map((svg, at) => [`${chartNames[at]}.svg`, svg]));
}

const chartNames = ['shares', 'missed', 'recall', 'points', 'ranks'] as const;

const summaryNote =
  'Recall: of all active neurons of layers with a predictor, those that it proposes. Precision: of the proposed ones, those that are active. Missed: of what active neurons add, |h| times the norm of their column of down, the share of those that were not proposed. Skipped counts the predictors against it.';

function summaryTable({ layers, perplexity, densePerplexity, sparsity }: PredictorReport) {
  const totals = predictorTotals(layers);
  return {
    head: [
      'layers',
      'recall',
      'precision',
      'active',
      'proposed',
      'missed',
      'predictor / FFN bytes',
      'skipped',
      'perplexity',
      'dense',
      'rise',
    ],
    rows: [
      [
        `${totals.layers} of ${layers.length}`,
        percent(totals.recall, 2),
        percent(totals.precision),
        percent(totals.active),
        percent(totals.proposed),
        percent(totals.missed, 2),
        percent(totals.share, 2),
        percent(sparsity),
        perplexity.toFixed(3),
        densePerplexity.toFixed(3),
        percent(perplexity / densePerplexity - 1, 2),
      ],
    ],
  };
}

function layerTable(layers: readonly LayerPrediction[]) {
  return {
    head: ['layer', 'predictor', 'active', 'proposed', 'recall', 'precision', 'missed', 'bytes', 'of the FFN'],
    rows: layers.map((one) => [
      String(one.layer),
      predictorText(one),
      percent(one.active),
      percent(one.proposed),
      percent(one.recall, 2),
      percent(one.precision),
      percent(one.missed, 2),
      String(one.bytes),
      percent(one.bytes / one.ffnBytes, 2),
    ]),
  };
}

/** What a layer's predictor is, in a word. */
export function predictorText({ hasPredictor, rank, alpha, inputs }: LayerPrediction): string {
  if (!hasPredictor) return 'none';
  if (rank !== undefined) return `rank ${rank}`;
  if (inputs !== undefined) return `${inputs} inputs`;
  return alpha === undefined ? 'signs' : `alpha ${alpha}`;
}

function layerCharts(layers: readonly LayerPrediction[]): string[] {
  const line = (name: string, of: (one: LayerPrediction) => number): Line => ({
    name,
    dots: true,
    points: layers.flatMap((one) => (one.hasPredictor ? [[one.layer, 100 * of(one)] as const] : [])),
  });
  return [
    lineChart({
      ...{ title: 'Neurons, layer by layer', x: 'layer', y: 'share of neurons, %' },
      see: 'What lies between proposed and active is read for nothing.',
      lines: [line('active', ({ active }) => active), line('proposed', ({ proposed }) => proposed)],
    }),
    barChart({
      ...{ title: 'What misses would have added', x: 'layer', y: 'missed, %' },
      labels: layers.map(({ layer }) => String(layer)),
      series: [{ name: 'missed', bars: layers.map(({ missed }) => ({ value: 100 * missed })) }],
    }),
    lineChart({
      ...{ title: 'Recall and precision', x: 'layer', y: '%' },
      lines: [line('recall', ({ recall }) => recall), line('precision', ({ precision }) => precision)],
      yDomain: [0, 100],
    }),
  ];
}

function curveCharts({ layers, rankCurves }: PredictorReport): string[] {
  const own = layers.filter(({ curve }) => curve.length > 0);
  const charts = [
    lineChart({
      ...{ title: 'Proposed over recall', x: 'recall, %', y: 'neurons proposed, %' },
      see: 'Of each layer, if its thresholds were moved.',
      lines: own.map(({ layer, curve }) => ({
        name: `layer ${layer}`,
        points: curve.map(({ recall, proposed }) => [100 * recall, 100 * proposed] as const),
      })),
    }),
  ];
  if (own.some(({ curve }) => curve[0]?.alpha !== undefined))
    charts.push(
      lineChart({
        ...{ title: 'Recall over alpha', x: 'alpha, %', y: 'recall, %' },
        lines: own.map(({ layer, curve }) => ({
          name: `layer ${layer}`,
          points: curve.map(({ recall, alpha }) => [alpha ?? Number.NaN, 100 * recall] as const),
        })),
        yDomain: [80, 100],
      }),
    );
  if (rankCurves)
    charts.push(
      lineChart({
        ...{ title: 'Proposed over rank', x: 'rank', y: 'neurons proposed, %' },
        see: 'At the recall asked for, as estimated before the fit to choose ranks.',
        lines: rankCurves.map((points, layer) => ({
          name: `layer ${layer}`,
          points: points.map(({ rank, proposed }) => [rank, 100 * proposed] as const),
        })),
      }),
    );
  return charts;
}
