// The charts of measurements, each a whole SVG by file name: those that compare runs, and those of one run. Does not own
// drawing (@relufy/charts) or tables (report.ts).

import { barChart, heatMap, type Line, lineChart, shortNames } from '@relufy/charts';
import { loadedCharts } from './loaded-charts.js';
import { type LayerMeasurement, type MeasuredSite, type Measurement, measuredSites } from './record.js';
import { draftCost, overDenseSpeculation } from './speculative.js';

export const meanOver = (layers: readonly LayerMeasurement[], of: (layer: LayerMeasurement) => number): number =>
  layers.reduce((sum, layer) => sum + of(layer), 0) / Math.max(1, layers.length);

/** Of shares of active neurons: over the layers that have any; undefined where none has. */
export function meanOverActive(
  layers: readonly LayerMeasurement[],
  of: (layer: LayerMeasurement) => number,
): number | undefined {
  const active = layers.filter(({ use }) => use.density > 0);
  return active.length === 0 ? undefined : meanOver(active, of);
}

/** Over the layers; undefined where nothing was counted. */
export function meanWhileDecoding({ decode }: Measurement, site: string): number | undefined {
  const read = decode.density[site] ?? [];
  return read.length === 0 ? undefined : read.reduce((sum, share) => sum + share, 0) / read.length;
}

const siteNames: Readonly<Record<MeasuredSite, string>> = {
  qkv: 'into attention (qkv)',
  o: 'out of attention (o)',
  upGate: 'into the FFN (upGate)',
  down: 'FFN neurons (down)',
};

const meanCurve = (layers: readonly LayerMeasurement[], of: (layer: LayerMeasurement) => readonly number[]): number[] =>
  Array.from({ length: layers.length === 0 ? 0 : Math.min(...layers.map((layer) => of(layer).length)) }, (_, at) =>
    meanOver(layers, (layer) => of(layer)[at] ?? 0),
  );

/** A point a value: x counts from `first`. */
export const numbered = (values: readonly number[], first = 0): (readonly [number, number])[] =>
  values.map((value, at) => [at + first, value]);

/** How runs are told apart. */
export function names(runs: readonly Measurement[]): string[] {
  const short = shortNames(runs.map(({ model }) => model));
  return short.map((name, at) => (short.filter((other) => other === name).length > 1 ? `${name} #${at + 1}` : name));
}

/** Charts that compare runs, by file name. */
export function comparisonCharts(runs: readonly Measurement[]): Map<string, string> {
  const labels = names(runs);
  const each = (points: (run: Measurement) => readonly (readonly [number, number])[]): Line[] =>
    runs.map((run, at) => ({ name: labels[at] as string, points: points(run) }));
  const charts = new Map<string, string>();
  charts.set(
    'density-by-layer',
    lineChart({
      title: 'Active neurons by layer',
      x: 'layer',
      y: 'active FFN neurons',
      see: 'The lower a line, the less of the FFN is read.',
      lines: densityLines(runs, labels),
    }),
  );
  charts.set(
    'aggregated',
    lineChart({
      title: 'Neurons that no token has used so far',
      x: 'tokens',
      y: 'FFN neurons unused so far',
      yDomain: [0, 1],
      see: 'Above the dashed lines: tokens share neurons more than chance would have.',
      lines: runs.flatMap((run, at): Line[] => {
        const unused = meanCurve(run.layers, ({ use }) => use.aggregatedUnused);
        const independent = unused.map((_, t) => meanOver(run.layers, ({ use }) => (1 - use.density) ** (t + 1)));
        const random = meanCurve(run.layers, ({ use }) => use.randomUnused);
        return [
          { name: labels[at] as string, color: at, points: numbered(unused, 1) },
          {
            name: 'random sets of the same size',
            color: at,
            dashed: true,
            inLegend: at === 0,
            points: numbered(random, 1),
          },
          {
            name: 'if tokens were independent (s^t)',
            color: 7,
            dashed: true,
            inLegend: at === 0,
            points: numbered(independent, 1),
          },
        ];
      }),
    }),
  );
  charts.set(
    'hot-cold',
    lineChart({
      title: 'Hot and cold neurons',
      x: 'hottest neurons, %',
      y: 'share of the activity',
      yDomain: [0, 1],
      see: 'The steeper at first, the fewer neurons do most of the work.',
      lines: each(({ layers }) =>
        numbered(
          meanCurve(
            layers.filter(({ use }) => use.density > 0),
            ({ use }) => use.hotCurve,
          ),
        ),
      ),
    }),
  );
  charts.set(
    'window-union',
    lineChart({
      title: 'Neurons that consecutive tokens use together',
      x: 'tokens in the window',
      y: 'FFN neurons',
      see: 'What so many tokens read together. Flat: neighbours share neurons.',
      lines: each(({ layers }) =>
        numbered(
          meanCurve(layers, ({ use }) => use.windowUnion),
          1,
        ),
      ),
    }),
  );
  charts.set('speculation', speculationChart(runs, labels));
  for (const [name, svg] of loadedCharts(runs, labels)) charts.set(name, svg);
  return charts;
}

/** Over the text, and what the runtime read of each down projection while it decoded. */
function densityLines(runs: readonly Measurement[], labels: readonly string[]): Line[] {
  const first = runs.findIndex(({ decode }) => decode.density.down?.length);
  return runs.flatMap((run, at): Line[] => {
    const points = numbered(run.layers.map(({ use }) => use.density));
    const read = run.decode.density.down ?? [];
    const decoding: Line = { name: 'read while decoding', color: at, dashed: true, points: numbered(read) };
    return [
      { name: labels[at] as string, color: at, points, ...(runs.length === 1 && { band: spreadOf(run) }) },
      ...(read.length > 0 ? [{ ...decoding, inLegend: at === first }] : []),
    ];
  });
}

function speculationChart(runs: readonly Measurement[], labels: readonly string[]): string {
  const speedUps = (unread: readonly number[]) =>
    numbered(
      unread.map((share, at) => overDenseSpeculation({ gamma: at + 1, c: draftCost, unread: share })),
      1,
    );
  const lines = runs.flatMap((run, at): Line[] => [
    { name: labels[at] as string, color: at, points: speedUps(run.unreadWeights) },
    {
      name: 'if tokens were independent (s^t)',
      color: at,
      dashed: true,
      inLegend: at === 0,
      points: speedUps(unreadIfIndependent(run)),
    },
  ]);
  const most = Math.max(1, ...lines.flatMap(({ points }) => points.map(([, times]) => times)));
  return lineChart({
    title: 'Speculative decoding over a dense target, computed',
    x: `tokens drafted, each ${draftCost} of a pass of the target`,
    y: 'times as fast',
    yDomain: [1, most + 0.05 * (most - 1) || 2],
    see: 'Computed, not timed: what skipping unread weights gains when drafting.',
    lines,
  });
}

/** What gamma tokens would leave unread if one's neurons said nothing about the next one's. */
function unreadIfIndependent({ layers, unreadWeights }: Measurement): number[] {
  const idle = (tokens: number) => meanOver(layers, ({ use }) => (1 - use.density) ** tokens);
  const one = idle(1);
  return unreadWeights.map((_, at) => (one === 0 ? 0 : ((unreadWeights[0] ?? 0) * idle(at + 1)) / one));
}

/** One standard deviation over tokens to either side. */
const spreadOf = ({ layers }: Measurement): NonNullable<Line['band']> =>
  layers.map(({ density: { down } }, layer) => [layer, down.mean - down.deviation, down.mean + down.deviation]);

/** Lines that lie on each other become one, with all their names. */
function merged(lines: readonly Line[]): Line[] {
  const byPoints = new Map<string, Line>();
  for (const line of lines) {
    const key = JSON.stringify(line.points);
    const same = byPoints.get(key);
    byPoints.set(key, same ? { ...same, name: `${same.name}, ${line.name}` } : line);
  }
  return [...byPoints.values()];
}

/** Charts of one run, by file name. */
export function runCharts(run: Measurement): Map<string, string> {
  const { layers } = run;
  const charts = new Map<string, string>();
  charts.set(
    'sites-by-layer',
    lineChart({
      title: 'Inputs of the matrices that are not zero',
      x: 'layer',
      y: 'entries that are not zero',
      yDomain: [0, 1],
      see: 'At 1 there is nothing to skip; below 1, rows behind zeros are not read.',
      lines: merged(
        measuredSites.map((site) => ({
          name: siteNames[site],
          points: numbered(layers.map(({ density }) => density[site].mean)),
        })),
      ),
    }),
  );
  charts.set('pre-activations', preActivationChart(layers));
  charts.set(
    'aggregated-by-layer',
    lineChart({
      title: 'Unused neurons, layer by layer',
      x: 'tokens',
      y: 'FFN neurons unused so far',
      yDomain: [0, 1],
      see: 'Layers whose lines stay high use few neurons for the whole text.',
      lines: pick(layers, 6).map(({ layer, use }) => ({
        name: `layer ${layer}`,
        points: numbered(use.aggregatedUnused, 1),
      })),
    }),
  );
  for (const [site, rows] of Object.entries({ down: run.series, ...run.inputSeries }))
    charts.set(
      site === 'down' ? 'layer-token' : `layer-token-${site}`,
      heatMap({
        title: site === 'down' ? 'Active FFN neurons' : `Not zero: ${siteNames[site as MeasuredSite]}`,
        x: 'token',
        y: 'layer',
        see: 'The darker, the more of that layer is read for that token.',
        rows,
      }),
    );
  const sized = layers.filter(({ magnitude }) => magnitude !== undefined);
  if (sized.length > 0) charts.set('magnitudes', magnitudeChart(sized));
  const searched = layers.filter(({ cett }) => cett !== undefined);
  if (searched.length > 0) charts.set('cett', cettChart(searched));
  charts.set(
    'dead-always',
    barChart({
      title: 'Neurons that are never, or always, active',
      x: 'layer',
      y: 'FFN neurons',
      see: 'Never active: no use for this text. Always active: read for each token.',
      labels: layers.map(({ layer }) => String(layer)),
      series: [
        { name: 'never active', bars: layers.map(({ use }) => ({ value: use.dead / use.neurons })) },
        { name: 'always active', bars: layers.map(({ use }) => ({ value: use.alwaysOn / use.neurons })) },
      ],
    }),
  );
  return charts;
}

/** From the natural sparsity up, where zeros are left out for nothing. */
function cettChart(layers: readonly LayerMeasurement[]): string {
  const lines = pick(layers, 6).map(({ layer, cett }) => ({
    name: `layer ${layer}`,
    points: (cett?.curve ?? []).flatMap(([, error, sparsity]) => (error <= 0.6 ? [[error, sparsity] as const] : [])),
  }));
  const least = Math.min(1, ...lines.flatMap(({ points }) => points.map(([, sparsity]) => sparsity)));
  return lineChart({
    title: 'What leaving out small neurons costs',
    x: 'CETT: relative error of the layer',
    y: 'neurons left out',
    see: 'How many neurons may be left out for an error of the layer.',
    yDomain: [Math.floor(Math.min(least, 0.9) * 10) / 10, 1],
    lines,
  });
}

/** From the share of zeros up: these have no place on a logarithmic axis. */
function magnitudeChart(layers: readonly LayerMeasurement[]): string {
  const lines = pick(layers, 6).map(({ layer, magnitude }) => ({
    name: magnitude?.zero === 1 ? `layer ${layer}: all zero` : `layer ${layer}`,
    points: (magnitude?.quantiles ?? []).map(
      ([share, size]) => [size, (magnitude?.zero ?? 0) + (1 - (magnitude?.zero ?? 0)) * share] as const,
    ),
  }));
  const least = Math.min(0.9, ...lines.flatMap(({ points }) => points.map(([, share]) => share)));
  return lineChart({
    title: 'How much neurons add',
    x: '|h| ||w||, what one neuron adds to the output',
    y: 'share of neurons that add less',
    see: 'Lines begin at the share of exact zeros; far left could be left out too.',
    yDomain: [Math.floor(least * 10) / 10, 1],
    xLog: 10,
    lines,
  });
}

/** The same range for all layers, so that they can be laid over each other. */
function preActivationChart(layers: readonly LayerMeasurement[]): string {
  return lineChart({
    title: 'What the activation is applied to',
    x: 'pre-activation',
    y: 'share of values per unit',
    see: 'What lies left of 0 is what a ReLU makes zero.',
    lines: pick(layers, 6).map(({ layer, preActivation: { low, high, bins } }) => {
      const width = (high - low) / bins.length;
      return {
        name: `layer ${layer}`,
        points: bins.map((share, at) => [low + (at + 0.5) * width, share / width] as const),
      };
    }),
  });
}

/** First, last, and some evenly between. */
function pick<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, at) => items[Math.round((at * (items.length - 1)) / (most - 1))] as T);
}
