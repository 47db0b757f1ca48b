// Measurements as CSV for other tools: a row a layer and site, one quantity a row for whole runs, one point a row for
// curves. Texts and long lists that only this package needs stay in measurement.json. Does not own the page (report.ts).
import { type Cell, csv } from './csv.js';
import { weightBytes } from './macs.js';
import { meanOver, meanWhileDecoding, numbered } from './measurement-charts.js';
import { type LayerMeasurement, type Measurement, measuredSites } from './record.js';

/** By file name. */
export function measurementCsvs(runs: readonly Measurement[]): Map<string, string> {
  return new Map([
    ['runs.csv', runsCsv(runs)],
    ['layers.csv', layersCsv(runs)],
    ['curves.csv', curvesCsv(runs)],
  ]);
}

type Quantity = readonly [quantity: string, at: Cell, value: Cell];

function runsCsv(runs: readonly Measurement[]): string {
  const head = [
    'model',
    'text',
    'tokens',
    'window',
    'criterion',
    'criterionValue',
    'backend',
    'weights',
    'quantity',
    'at',
    'value',
  ];
  const rows = runs.flatMap((run) => {
    const { model, text, tokens, window, criterion, backend, weights } = run;
    const known = quantitiesOf(run).filter(([, , value]) => value !== undefined);
    return known.map((quantity) => [
      model,
      text,
      tokens,
      window,
      criterion.kind,
      criterion.value,
      backend,
      weights,
      ...quantity,
    ]);
  });
  return csv(head, rows);
}

const named = (prefix: string, values: Readonly<Record<string, number | undefined>>): Record<string, Cell> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value]));

/** `at` is gamma, the bytes of a budget, or the p of CETT-PPL-p %. */
function quantitiesOf(run: Measurement): Quantity[] {
  const { layers, macs, perplexity, unreadWeights, decode, reuse, speculation, flash, cettPpl } = run;
  const counted = weightBytes(macs, decode.denseWeightBytesPerToken);
  const ofDecoding = (value: number): Cell => (decode.tokens > 0 ? value : undefined);
  return [
    ['perplexity', '', perplexity],
    ...measuredSites.map(
      (site): Quantity => [`density.${site}`, '', meanOver(layers, ({ density }) => density[site].mean)],
    ),
    ...Object.keys(decode.density).map((site): Quantity => [`decodeDensity.${site}`, '', meanWhileDecoding(run, site)]),
    ['macs.dense.blocks', '', macs.dense.blocks],
    ['macs.dense.withHead', '', macs.dense.withHead],
    ['macs.measured.blocks', '', macs.measured.blocks],
    ['macs.measured.withHead', '', macs.measured.withHead],
    ['weightBytes.dense', '', ofDecoding(decode.denseWeightBytesPerToken)],
    ['weightBytes.counted.blocks', '', counted?.blocks],
    ['weightBytes.counted.withHead', '', counted?.withHead],
    ['weightBytes.read', '', ofDecoding(decode.weightBytesPerToken)],
    ['decode.tokens', '', decode.tokens],
    ['decode.tokensPerSecond', '', ofDecoding(decode.tokensPerSecond)],
    ...unreadWeights.map((share, at): Quantity => ['unreadWeights', at + 1, share]),
    ['reuse.densePerplexity', '', reuse?.densePerplexity],
    ...(reuse?.points ?? []).flatMap(({ gamma, ...values }) =>
      Object.entries(values).map(([name, value]): Quantity => [`reuse.${name}`, gamma, value]),
    ),
    ...(speculation?.points ?? []).flatMap(({ gamma, predicted, timed, ...values }) =>
      Object.entries({ ...values, ...named('predicted', predicted), ...named('timed', timed) }).map(
        ([name, value]): Quantity => [`speculation.${name}`, gamma, value],
      ),
    ),
    ['flash.inMemory.tokensPerSecond', '', flash?.tokensPerSecond],
    ...(flash?.points ?? []).flatMap(({ budget, ...values }) =>
      Object.entries(values).map(([name, value]): Quantity => [`flash.${name}`, budget, value]),
    ),
    ...(cettPpl
      ? (['target', 'sparsity', 'perplexity', 'densePerplexity'] as const).map(
          (name): Quantity => [`cettPpl.${name}`, cettPpl.p, cettPpl[name]],
        )
      : []),
  ];
}

/** The sites of a layer, and the rows of a gated FFN's up projection: these are counted only while decoding. */
const rowSites = ['qkv', 'o', 'upGate', 'up', 'down'] as const;

const atDown: Readonly<Record<string, (layer: LayerMeasurement) => Cell>> = {
  neurons: ({ use }) => use.neurons,
  // of no neurons there are no shares
  reuseNext: ({ use }) => (use.density > 0 ? use.reuseNext : undefined),
  hotShare80: ({ use }) => (use.density > 0 ? use.hotShare80 : undefined),
  dead: ({ use }) => use.dead,
  rare: ({ use }) => use.rare,
  alwaysOn: ({ use }) => use.alwaysOn,
  preActivationNotPositive: ({ preActivation }) => preActivation.notPositive,
  magnitudeZero: ({ magnitude }) => magnitude?.zero,
  magnitudeMean: ({ magnitude }) => magnitude?.mean,
  magnitudeMax: ({ magnitude }) => magnitude?.max,
  cettThreshold: ({ cett }) => cett?.threshold,
  cett: ({ cett }) => cett?.cett,
  cettSparsity: ({ cett }) => cett?.sparsity,
};

function layersCsv(runs: readonly Measurement[]): string {
  const head = [
    ...['model', 'text', 'layer', 'site', 'tokens', 'criterion', 'criterionValue'],
    ...['density', 'deviation', 'min', 'max', 'decodeDensity'],
    ...Object.keys(atDown),
  ];
  const rows = runs.flatMap(({ model, text, tokens, criterion, layers, decode }) =>
    layers.flatMap((measured) =>
      rowSites.flatMap((site): Cell[][] => {
        const decoding = decode.density[site]?.[measured.layer];
        if (site === 'up' && decoding === undefined) return [];
        const spread = site === 'up' ? undefined : measured.density[site];
        const isDown = site === 'down';
        return [
          [
            ...[model, text, measured.layer, site, tokens],
            ...[isDown ? criterion.kind : 'nonzero', isDown ? criterion.value : 0],
            ...[spread?.mean, spread?.deviation, spread?.min, spread?.max, decoding],
            ...Object.values(atDown).map((value) => (isDown ? value(measured) : undefined)),
          ],
        ];
      }),
    ),
  );
  return csv(head, rows);
}

type Point = readonly [x: Cell, y: Cell];

/** What x and y are stands in the package's README. */
function curvesOf(measured: LayerMeasurement, run: Measurement): Record<string, readonly Point[]> {
  const { layer, use, preActivation, magnitude, cett } = measured;
  const { low, high, bins, below, above } = preActivation;
  const edge = (bin: number) => low + (bin * (high - low)) / bins.length;
  return {
    density: numbered(run.series[layer] ?? []),
    ...Object.fromEntries(
      Object.entries(run.inputSeries ?? {}).map(([site, series]) => [`density.${site}`, numbered(series[layer] ?? [])]),
    ),
    preActivation: [
      [Number.NEGATIVE_INFINITY, below],
      ...bins.map((share, bin): Point => [edge(bin), share]),
      [high, above],
    ],
    magnitude: magnitude?.quantiles ?? [],
    hotCurve: use.hotCurve.map((share, at): Point => [at / (use.hotCurve.length - 1), share]),
    aggregatedUnused: numbered(use.aggregatedUnused, 1),
    randomUnused: numbered(use.randomUnused, 1),
    windowUnion: numbered(use.windowUnion, 1),
    cett: (cett?.curve ?? []).map(([threshold, error]): Point => [threshold, error]),
    cettSparsity: (cett?.curve ?? []).map(([threshold, , sparsity]): Point => [threshold, sparsity]),
  };
}

function curvesCsv(runs: readonly Measurement[]): string {
  const rows = runs.flatMap((run) =>
    run.layers.flatMap((measured) =>
      Object.entries(curvesOf(measured, run)).flatMap(([curve, points]) =>
        points.map((point): Cell[] => [run.model, run.text, measured.layer, curve, ...point]),
      ),
    ),
  );
  return csv(['model', 'text', 'layer', 'curve', 'x', 'y'], rows);
}
