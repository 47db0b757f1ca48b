// A measurement as something to look at: one HTML page of tables and charts that needs nothing else, and the files of a
// report. Several measurements stand side by side in one page. Does not own the charts (measurement-charts.ts), CSV
// (measurement-csv.ts) or writing files.
import { noteHtml, type PageSection, type PageTable, page, tableHtml } from '@relufy/charts';
import { weightBytes } from './macs.js';
import {
  comparisonCharts,
  meanOver,
  meanOverActive,
  meanWhileDecoding,
  names,
  runCharts,
} from './measurement-charts.js';
import { measurementCsvs } from './measurement-csv.js';
import type { Measurement } from './record.js';
import { bestGamma, draftCost, overDenseSpeculation, overSparseDecoding } from './speculative.js';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const percentOf = (share: number | undefined): string => (share === undefined ? '' : percent(share));

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
      row('weights in', ({ weights }) => weights ?? ''),
      row('activation, sparsity', ({ activation, sparsity }) => `${activation}, ${sparsity}`),
      row('perplexity', ({ perplexity }) => perplexity.toFixed(3)),
      row('active FFN neurons', ({ layers }) => percent(meanOver(layers, ({ use }) => use.density))),
      row('FFN neurons read while decoding', (run) => percentOf(meanWhileDecoding(run, 'down'))),
      row('inputs that are not zero: of attention, of the FFN', ({ layers }) =>
        [
          percent(meanOver(layers, ({ density }) => density.qkv.mean)),
          percent(meanOver(layers, ({ density }) => density.upGate.mean)),
        ].join(', '),
      ),
      row('neurons that make up 80 % of the activity', ({ layers }) =>
        percentOf(meanOverActive(layers, ({ use }) => use.hotShare80)),
      ),
      row('shared with the previous token', ({ layers }) =>
        percentOf(meanOverActive(layers, ({ use }) => use.reuseNext)),
      ),
      row('FFN neurons that the first 128 tokens leave alone', ({ layers }) =>
        percent(meanOver(layers, ({ use }) => use.aggregatedUnused[127] ?? use.aggregatedUnused.at(-1) ?? 0)),
      ),
      row('never active, always active', ({ layers }) =>
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
      row('weights a token by MACs, with head', ({ macs, decode }) => {
        const counted = weightBytes(macs, decode.denseWeightBytesPerToken);
        return counted ? mega(counted.withHead) : '';
      }),
      row(
        'weights read a token (dense)',
        ({ decode }) => `${mega(decode.weightBytesPerToken)} (${mega(decode.denseWeightBytesPerToken)})`,
      ),
      row(
        'decoding, timed once in passing',
        ({ decode, backend }) => `${decode.tokensPerSecond.toFixed(1)} tokens/s, ${backend}`,
      ),
      row('active FFN neurons at a bounded loss (CETT-PPL)', ({ cettPpl }) =>
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

/** Every chart of a report, by file name: drawn once, for the page and for the files. */
const chartsOf = (runs: readonly Measurement[]) => ({ comparison: comparisonCharts(runs), each: runs.map(runCharts) });

/** One page: a table of all runs, charts that compare them, then the charts of each. */
export const measurementPage = (runs: readonly Measurement[]): string => pageOf(runs, chartsOf(runs));

function pageOf(runs: readonly Measurement[], { comparison, each }: ReturnType<typeof chartsOf>): string {
  const labels = names(runs);
  const mixed = mixedFormats(runs.map(({ weights }, at) => ({ name: labels[at] as string, weights })));
  const sections: PageSection[] = [
    { title: 'Summary', html: tableHtml(summaryTable(runs)) + (mixed ? noteHtml(mixed) : '') },
    { title: runs.length > 1 ? 'Side by side' : 'Over all layers', charts: [...comparison.values()] },
    ...runs.map((run, at) => ({
      title: labels[at] as string,
      charts: [...(each[at]?.values() ?? [])],
      html: tableHtml(layerTable(run)),
    })),
  ];
  return page(`Activation sparsity: ${labels.join(', ')}`, sections);
}

/**
 * Formats change scores and bytes by themselves: where those of runs differ, what is compared is not the models alone.
 * The sentence that says so.
 */
export function mixedFormats(
  runs: readonly { readonly name: string; readonly weights: string | undefined }[],
): string | undefined {
  if (new Set(runs.map(({ weights }) => weights)).size < 2) return undefined;
  const each = runs.map(({ name, weights = 'a format that was not noted' }) => `${name} in ${weights}`);
  return `These runs hold their weights in different formats (${each.join(', ')}): scores, bytes and speed differ by that too.`;
}

function layerTable({ layers, decode }: Measurement): PageTable {
  return {
    head: [
      ...['layer', 'active', 'spread', 'read while decoding', 'never active', 'always active', '80 % by'],
      ...['shared with the previous token', 'pre-activations not above 0', 'CETT threshold'],
    ],
    rows: layers.map(({ layer, density, use, preActivation, cett }) => [
      String(layer),
      percent(use.density),
      percent(density.down.deviation),
      percentOf(decode.density.down?.[layer]),
      String(use.dead),
      String(use.alwaysOn),
      // of no neurons there are no shares
      use.density > 0 ? percent(use.hotShare80) : '–',
      use.density > 0 ? percent(use.reuseNext) : '–',
      percent(preActivation.notPositive),
      cett ? cett.threshold.toPrecision(3) : '',
    ]),
  };
}

/** The files of a report: name -> content. */
export function measurementFiles(runs: readonly Measurement[]): Map<string, string> {
  const charts = chartsOf(runs);
  const files = new Map([['report.html', pageOf(runs, charts)], ...measurementCsvs(runs)]);
  const [only] = runs.length === 1 ? charts.each : [];
  for (const [name, svg] of [...charts.comparison, ...(only ?? [])]) files.set(`${name}.svg`, svg);
  return files;
}
