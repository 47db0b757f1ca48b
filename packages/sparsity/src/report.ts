// A measurement as something to look at: SVG charts by name, CSV, and one HTML page that needs nothing else. Several
// measurements stand side by side in one page. Does not own drawing (charts/) or writing files.
import { shortNames } from './charts/labels.js';
import { barChart, heatMap, type Line, lineChart } from './charts/marks.js';
import { type PageSection, type PageTable, page, tableHtml } from './charts/page.js';
import type { LayerMeasurement, Measurement } from './record.js';
import { bestGamma, overDenseSpeculation, overSparseDecoding } from './speculative.js';

const meanOver = (layers: readonly LayerMeasurement[], of: (layer: LayerMeasurement) => number): number =>
  layers.reduce((sum, layer) => sum + of(layer), 0) / Math.max(1, layers.length);

const meanCurve = (layers: readonly LayerMeasurement[], of: (layer: LayerMeasurement) => readonly number[]): number[] =>
  Array.from({ length: Math.min(...layers.map((layer) => of(layer).length)) }, (_, at) =>
    meanOver(layers, (layer) => of(layer)[at] ?? 0),
  );

const numbered = (values: readonly number[], first = 0): (readonly [number, number])[] =>
  values.map((value, at) => [at + first, value]);

/** How runs are told apart. */
function names(runs: readonly Measurement[]): string[] {
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
      y: 'density at down',
      lines: each(({ layers }) => numbered(layers.map(({ use }) => use.density))).map((line, at) => ({
        ...line,
        ...(runs.length === 1 && { band: spreadOf(runs[at] as Measurement) }),
      })),
    }),
  );
  charts.set(
    'aggregated',
    lineChart({
      title: 'Neurons that no token has used so far',
      x: 'tokens',
      y: 'unused share',
      yDomain: [0, 1],
      lines: runs.flatMap((run, at): Line[] => {
        const unused = meanCurve(run.layers, ({ use }) => use.aggregatedUnused);
        const independent = unused.map((_, t) => meanOver(run.layers, ({ use }) => (1 - use.density) ** (t + 1)));
        const random = meanCurve(run.layers, ({ use }) => use.randomUnused);
        return [
          { name: labels[at] as string, color: at, points: numbered(unused, 1) },
          { name: 'random sets as large', color: at, dashed: true, inLegend: at === 0, points: numbered(random, 1) },
          { name: 's^t', color: 7, dashed: true, inLegend: at === 0, points: numbered(independent, 1) },
        ];
      }),
    }),
  );
  charts.set(
    'hot-cold',
    lineChart({
      title: 'Hot and cold neurons',
      x: 'hottest neurons, %',
      y: 'share of activations',
      yDomain: [0, 1],
      lines: each(({ layers }) => numbered(meanCurve(layers, ({ use }) => use.hotCurve))),
    }),
  );
  charts.set(
    'window-union',
    lineChart({
      title: 'Neurons that consecutive tokens use together',
      x: 'tokens in the window',
      y: 'share of neurons',
      lines: each(({ layers }) =>
        numbered(
          meanCurve(layers, ({ use }) => use.windowUnion),
          1,
        ),
      ),
    }),
  );
  charts.set('speculation', speculationChart(runs, labels));
  if (runs.some(({ reuse }) => reuse)) charts.set('reuse', reuseChart(runs, labels));
  return charts;
}

/** Time of a drafted token / of the target's: the paper's. */
const draftCost = 0.02;

function speculationChart(runs: readonly Measurement[], labels: readonly string[]): string {
  const speedUps = (unread: readonly number[]) =>
    numbered(
      unread.map((share, at) => overDenseSpeculation({ gamma: at + 1, c: draftCost, unread: share })),
      1,
    );
  const lines = runs.flatMap((run, at): Line[] => [
    { name: labels[at] as string, color: at, points: speedUps(run.unreadWeights) },
    {
      name: 'if tokens were independent',
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
    lines,
  });
}

/** What gamma tokens would leave unread if one's neurons said nothing about the next one's. */
function unreadIfIndependent({ layers, unreadWeights }: Measurement): number[] {
  const idle = (tokens: number) => meanOver(layers, ({ use }) => (1 - use.density) ** tokens);
  const one = idle(1);
  return unreadWeights.map((_, at) => (one === 0 ? 0 : ((unreadWeights[0] ?? 0) * idle(at + 1)) / one));
}

function reuseChart(runs: readonly Measurement[], labels: readonly string[]): string {
  const lines = runs.flatMap(({ reuse }, at): Line[] => {
    if (reuse === undefined) return [];
    const above = (perplexity: number) => Math.log(perplexity / reuse.densePerplexity);
    return [
      {
        name: labels[at] as string,
        color: at,
        dots: true,
        points: reuse.points.map(({ gamma, perplexity }) => [gamma, above(perplexity)]),
      },
      {
        name: 'random sets as large',
        color: at,
        dashed: true,
        inLegend: at === runs.findIndex((run) => run.reuse),
        points: reuse.points.map(({ gamma, randomPerplexity }) => [gamma, above(randomPerplexity)]),
      },
    ];
  });
  return lineChart({
    title: 'Neurons of gamma tokens serve the next gamma',
    x: 'gamma, tokens',
    y: 'loss above the model as it is',
    xLog: true,
    lines,
  });
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
      title: 'Density by site',
      x: 'layer',
      y: 'share of entries that are not zero',
      yDomain: [0, 1],
      lines: merged(
        (['qkv', 'o', 'upGate', 'down'] as const).map((site) => ({
          name: site,
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
      y: 'unused share',
      yDomain: [0, 1],
      lines: pick(layers, 6).map(({ layer, use }) => ({
        name: `layer ${layer}`,
        points: numbered(use.aggregatedUnused, 1),
      })),
    }),
  );
  charts.set('layer-token', heatMap({ title: 'Density, layer by token', x: 'token', y: 'layer', rows: run.series }));
  const searched = layers.filter(({ cett }) => cett !== undefined);
  if (searched.length > 0) charts.set('cett', cettChart(searched));
  charts.set(
    'dead-always',
    barChart({
      title: 'Dead and always active neurons',
      x: 'layer',
      y: 'share of neurons',
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
    yDomain: [Math.floor(Math.min(least, 0.9) * 10) / 10, 1],
    lines,
  });
}

/** The same range for all layers, so that they can be laid over each other. */
function preActivationChart(layers: readonly LayerMeasurement[]): string {
  return lineChart({
    title: 'What the activation is applied to',
    x: 'pre-activation',
    y: 'share of values per unit',
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

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function summaryTable(runs: readonly Measurement[]): PageTable {
  const labels = names(runs);
  const count = (value: number) => (value < 1e9 ? `${(value / 1e6).toFixed(2)} M` : `${(value / 1e9).toFixed(2)} G`);
  const mega = (value: number) => `${(value / 1e6).toFixed(2)} MB`;
  const row = (name: string, of: (run: Measurement) => string) => [name, ...runs.map(of)];
  return {
    head: ['', ...labels],
    rows: [
      row('model', ({ model }) => model),
      row('text', ({ text, tokens, window }) => `${text}: ${tokens} tokens, ${window} at a time`),
      row('active means', ({ criterion }) => criterionText(criterion)),
      row('activation, sparsity', ({ activation, sparsity }) => `${activation}, ${sparsity}`),
      row('perplexity', ({ perplexity }) => perplexity.toFixed(3)),
      row('density at down', ({ layers }) => percent(meanOver(layers, ({ use }) => use.density))),
      row('density at qkv, upGate', ({ layers }) =>
        [
          percent(meanOver(layers, ({ density }) => density.qkv.mean)),
          percent(meanOver(layers, ({ density }) => density.upGate.mean)),
        ].join(', '),
      ),
      row('neurons that make 80 % of activations', ({ layers }) =>
        percent(meanOver(layers, ({ use }) => use.hotShare80)),
      ),
      row('of a token, used by the token before', ({ layers }) =>
        percent(meanOver(layers, ({ use }) => use.reuseNext)),
      ),
      row('unused after 128 tokens', ({ layers }) =>
        percent(meanOver(layers, ({ use }) => use.aggregatedUnused[127] ?? use.aggregatedUnused.at(-1) ?? 0)),
      ),
      row('dead, always active', ({ layers }) =>
        [
          percent(meanOver(layers, ({ use }) => use.dead / use.neurons)),
          percent(meanOver(layers, ({ use }) => use.alwaysOn / use.neurons)),
        ].join(', '),
      ),
      row('MACs a token, blocks (dense)', ({ macs }) => `${count(macs.measured.blocks)} (${count(macs.dense.blocks)})`),
      row(
        'MACs a token, with head (dense)',
        ({ macs }) => `${count(macs.measured.withHead)} (${count(macs.dense.withHead)})`,
      ),
      row(
        'weights read a token (dense)',
        ({ decode }) => `${mega(decode.weightBytesPerToken)} (${mega(decode.denseWeightBytesPerToken)})`,
      ),
      row('decoding', ({ decode, backend }) => `${decode.tokensPerSecond.toFixed(1)} tokens/s, ${backend}`),
      row('CETT-PPL', ({ cettPpl }) =>
        cettPpl ? `${percent(1 - cettPpl.sparsity)} active at +${cettPpl.p} % (CETT ${cettPpl.target.toFixed(3)})` : '',
      ),
      row('perplexity with reused neurons', reuseText),
      row('speculative decoding, computed', speculationText),
    ].filter(([, ...texts]) => texts.some((text) => text !== '')),
  };
}

function reuseText({ reuse }: Measurement): string {
  const point = reuse?.points.find(({ gamma }) => gamma === 16) ?? reuse?.points.at(-1);
  if (reuse === undefined || point === undefined) return '';
  const { gamma, perplexity, randomPerplexity, kept } = point;
  return `${perplexity.toFixed(2)} at gamma ${gamma}, ${percent(kept)} of them loaded (random ones ${randomPerplexity.toFixed(2)}, all ${reuse.densePerplexity.toFixed(2)})`;
}

function speculationText({ unreadWeights }: Measurement): string {
  const acceptance = 0.8;
  const { gamma, speedUp } = bestGamma(unreadWeights, { c: draftCost, acceptance });
  const options = { gamma, c: draftCost, acceptance, unread: unreadWeights[gamma - 1] ?? 0 };
  const overSparse = overSparseDecoding({ ...options, unreadOne: unreadWeights[0] ?? 0 });
  return `${overDenseSpeculation(options).toFixed(2)}x that of a dense target, ${speedUp.toFixed(2)}x dense and ${overSparse.toFixed(2)}x sparse decoding, at ${gamma} drafted tokens (cost ${draftCost}, ${100 * acceptance} % accepted)`;
}

export function criterionText({ kind, value }: Measurement['criterion']): string {
  if (kind === 'nonzero') return 'h is not 0';
  return kind === 'absolute' ? `|h| >= ${value}` : `|h| ||w|| above the threshold for CETT ${value}`;
}

/** One page: a table of all runs, charts that compare them, then the charts of each. */
export function measurementPage(runs: readonly Measurement[]): string {
  const labels = names(runs);
  const sections: PageSection[] = [
    { title: 'Summary', html: tableHtml(summaryTable(runs)) },
    { title: runs.length > 1 ? 'Side by side' : 'Over all layers', charts: [...comparisonCharts(runs).values()] },
    ...runs.map((run, at) => ({
      title: labels[at] as string,
      charts: [...runCharts(run).values()],
      html: tableHtml(layerTable(run)),
    })),
  ];
  return page(`Activation sparsity: ${labels.join(', ')}`, sections);
}

function layerTable({ layers }: Measurement): PageTable {
  return {
    head: ['layer', 'density', 'spread', 'dead', 'always', '80 % by', 'reuse', 'below 0', 'CETT threshold'],
    rows: layers.map(({ layer, density, use, preActivation, cett }) => [
      String(layer),
      percent(use.density),
      percent(density.down.deviation),
      String(use.dead),
      String(use.alwaysOn),
      percent(use.hotShare80),
      percent(use.reuseNext),
      percent(preActivation.notPositive),
      cett ? cett.threshold.toPrecision(3) : '',
    ]),
  };
}

/** A row a layer and site, for other tools. */
export function measurementCsv(runs: readonly Measurement[]): string {
  const quote = (value: string | number) =>
    /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  const marks = [1, 2, 4, 8, 16, 32, 64, 128, 256];
  const head = [
    'model',
    'text',
    'layer',
    'site',
    'tokens',
    'criterion',
    'value',
    'density',
    'deviation',
    'reuseNext',
    'hotShare80',
    'dead',
    'alwaysOn',
    ...marks.map((t) => `unused@${t}`),
  ];
  const rows = runs.flatMap(({ model, text, tokens, criterion, layers }) =>
    layers.flatMap(({ layer, density, use }) =>
      (['qkv', 'o', 'upGate', 'down'] as const).map((site) => {
        const own = site === 'down';
        return [
          model,
          text,
          layer,
          site,
          tokens,
          own ? criterion.kind : 'nonzero',
          own ? criterion.value : 0,
          density[site].mean,
          density[site].deviation,
          ...(own
            ? [
                use.reuseNext,
                use.hotShare80,
                use.dead,
                use.alwaysOn,
                ...marks.map((t) => use.aggregatedUnused[t - 1] ?? ''),
              ]
            : ['', '', '', '', ...marks.map(() => '')]),
        ];
      }),
    ),
  );
  return `${[head, ...rows].map((row) => row.map(quote).join(',')).join('\n')}\n`;
}

/** The files of a report: name -> content. */
export function measurementFiles(runs: readonly Measurement[]): Map<string, string> {
  const files = new Map([
    ['report.html', measurementPage(runs)],
    ['layers.csv', measurementCsv(runs)],
  ]);
  for (const [name, svg] of comparisonCharts(runs)) files.set(`${name}.svg`, svg);
  if (runs.length === 1) for (const [name, svg] of runCharts(runs[0] as Measurement)) files.set(`${name}.svg`, svg);
  return files;
}
