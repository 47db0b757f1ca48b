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
      row('speculative decoding, timed', timedText),
      row('neurons in a file', flashText),
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

/** The gamma that was fastest. */
function timedText({ speculation }: Measurement): string {
  if (speculation === undefined) return '';
  const { draft, points } = speculation;
  const [best] = [...points].sort((a, b) => b.timed.overSparse - a.timed.overSparse);
  if (best === undefined) return `by ${draft}: nothing was drafted`;
  const { gamma, acceptance, timed, predicted } = best;
  return `by ${draft}: ${timed.overSparse.toFixed(2)}x plain decoding at ${gamma} drafted tokens (${predicted.overSparse.toFixed(2)}x by the formula), ${percent(acceptance)} accepted`;
}

function flashText({ flash }: Measurement): string {
  const point = flash?.points[0];
  if (point === undefined) return '';
  const { budget, slots, neurons, hitShare, bytesPerToken } = point;
  return neurons === 0
    ? `none within ${(budget / 1e6).toFixed(0)} MB: all weights fit`
    : `${percent(slots / neurons)} in memory within ${(budget / 1e6).toFixed(0)} MB: ${percent(hitShare)} found there, ${(bytesPerToken / 1e6).toFixed(2)} MB read a token`;
}

/** What was measured of earlier tokens' neurons, each as a table under a sentence. */
function loadedTables({
  reuse,
  speculation,
  flash,
}: Measurement): { readonly table: PageTable; readonly note: string }[] {
  const two = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '' : value.toFixed(2));
  const mega = (bytes: number) => (bytes / 1e6).toFixed(2);
  const tables: { readonly table: PageTable; readonly note: string }[] = [];
  if (reuse)
    tables.push({
      note: `Reuse: gamma tokens load, the next gamma use no other neurons. ${reuse.tokens} tokens behind prompts of ${reuse.prompt}; perplexity ${reuse.densePerplexity.toFixed(3)} without.`,
      table: {
        head: ['gamma', 'perplexity', 'random sets', 'neurons kept', 'read anew a token'],
        rows: reuse.points.map(({ gamma, perplexity, randomPerplexity, kept }) => [
          ...[String(gamma), perplexity.toFixed(3), randomPerplexity.toFixed(3)],
          ...[percent(kept), percent(kept / (2 * gamma))],
        ]),
      },
    });
  if (speculation)
    tables.push({
      note: `Speculation by ${speculation.draft}: greedy answers of ${speculation.tokens} tokens, medians of ${speculation.rounds} interleaved rounds. c: a drafted token over a dense step. S1: over speculation with a dense target, S2: over a dense target, S3: over the sparse target by itself.`,
      table: {
        head: [
          ...['gamma', 'acceptance', 'tokens a step', 'c', 'unread by one', 'together', 'if independent', 'bytes'],
          ...['S1', 'S1 if independent', 'S1 timed', 'S2', 'S2 timed', 'S3', 'S3 timed'],
        ],
        rows: speculation.points.map((point) => [
          ...[String(point.gamma), percent(point.acceptance), two(point.tokensPerStep), point.c.toFixed(3)],
          ...[percent(point.unreadOne), percent(point.unread), percent(point.unreadRandom), two(point.bytesRatio)],
          two(point.predicted.overDenseSpeculation),
          two(overDenseSpeculation({ ...point, unread: point.unreadRandom })),
          two(point.timed.overDenseSpeculation),
          ...[two(point.predicted.overDense), two(point.timed.overDense)],
          ...[two(point.predicted.overSparse), two(point.timed.overSparse)],
        ]),
      },
    });
  if (flash)
    tables.push({
      note: `Neurons in a file: ${flash.tokens} tokens of answers, ${flash.tokensPerSecond.toFixed(1)} tokens/s in memory. Files that were just read lie in the system's cache: speed here is no disk's.`,
      table: {
        head: [
          ...['budget, MB', 'neurons in memory', 'needed a token', 'found there', 'rows read a token'],
          ...['MB read a token', 'MB read for prompts', 'tokens/s'],
        ],
        rows: flash.points.map((point) => [
          ...[mega(point.budget), point.neurons === 0 ? 'all' : percent(point.slots / point.neurons)],
          ...[point.neededPerToken.toFixed(0), percent(point.hitShare), point.rowsPerToken.toFixed(0)],
          ...[mega(point.bytesPerToken), mega(point.promptBytes), point.tokensPerSecond.toFixed(1)],
        ]),
      },
    });
  return tables;
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
      html:
        tableHtml(layerTable(run)) +
        loadedTables(run)
          .map(({ table, note }) => noteHtml(note) + tableHtml(table))
          .join(''),
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
