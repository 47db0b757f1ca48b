// The tables for other tools hold what the record holds: looked up by column, and added up again.
import { expect, test } from 'vitest';
import { measurementCsvs } from './measurement-csv.js';
import type { Measurement } from './record.js';
import { measurement } from './testing/measurement.js';

type Row = Readonly<Record<string, string>>;

/** Each row by column, as RFC 4180 has it for a table without line breaks in it. */
function table(name: string, ...runs: Measurement[]): Row[] {
  const lines = measurementCsvs(runs).get(name)?.trimEnd().split('\n') ?? [];
  const cells = (line: string) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
      quoted === undefined ? (plain as string) : quoted.replaceAll('""', '"'),
    );
  const head = cells(lines[0] as string);
  return lines.slice(1).map((line) => {
    const row = cells(line);
    expect(row).toHaveLength(head.length);
    return Object.fromEntries(head.map((column, at) => [column, row[at] as string]));
  });
}

const decoded: Measurement = {
  ...measurement('m'),
  unreadWeights: [0.5, 0.25],
  decode: {
    tokens: 4,
    tokensPerSecond: 10,
    weightBytesPerToken: 5e6,
    denseWeightBytesPerToken: 6e6,
    density: { qkv: [1, 1, 1], up: [0.5, 0.5, 0.5], down: [0.25, 0.5, 0.75] },
  },
  reuse: {
    prompt: 8,
    tokens: 7,
    carry: false,
    densePerplexity: 9,
    points: [{ gamma: 16, perplexity: 9.5, randomPerplexity: 14, kept: 0.4 }],
  },
  cettPpl: { p: 1, target: 0.3, sparsity: 0.9, perplexity: 9.09, densePerplexity: 9, thresholds: [1, 2, 3] },
};

test('layers.csv: a row a layer and site, texts quoted, what was read while decoding beside the density', () => {
  const rows = table('layers.csv', measurement('m'));
  expect(rows).toHaveLength(3 * 4);
  expect(rows[3]).toMatchObject({
    model: 'm',
    text: 'a, "text" & <more>',
    layer: '0',
    site: 'down',
    density: '0.5',
    deviation: '0.1',
    decodeDensity: '',
    neurons: '8',
    dead: '0',
    cettThreshold: '',
  });
  expect(rows[0]).toMatchObject({ site: 'qkv', neurons: '' });
  const read = table('layers.csv', decoded).map(({ site, decodeDensity, density }) => [site, density, decodeDensity]);
  expect(read).toHaveLength(3 * 5);
  expect(read.slice(10)).toEqual([
    ['qkv', '0.5', '1'],
    ['o', '0.5', ''],
    ['upGate', '0.5', ''],
    ['up', '', '0.5'],
    ['down', '0.5', '0.75'],
  ]);
});

test('runs.csv: MACs with and without head, bytes counted and read, reuse and CETT-PPL', () => {
  const rows = table('runs.csv', decoded, { ...measurement('other'), criterion: { kind: 'absolute', value: 0.5 } });
  const of = (model: string) =>
    Object.fromEntries(rows.filter((row) => row.model === model).map((row) => [`${row.quantity}${row.at}`, row.value]));
  expect(of('m')).toMatchObject({
    perplexity: '9',
    'density.down': '0.5',
    'decodeDensity.down': '0.5',
    'macs.dense.blocks': '2000000',
    'macs.dense.withHead': '3000000',
    'macs.measured.blocks': '1000000',
    'macs.measured.withHead': '2000000',
    'weightBytes.dense': '6000000',
    // two bytes a weight
    'weightBytes.counted.blocks': '2000000',
    'weightBytes.counted.withHead': '4000000',
    'weightBytes.read': '5000000',
    'decode.tokensPerSecond': '10',
    unreadWeights1: '0.5',
    unreadWeights2: '0.25',
    'reuse.densePerplexity': '9',
    'reuse.perplexity16': '9.5',
    'reuse.randomPerplexity16': '14',
    'reuse.kept16': '0.4',
    'cettPpl.sparsity1': '0.9',
  });
  expect(Object.keys(of('other')).filter((name) => /reuse|cett|decodeDensity/.test(name))).toEqual([]);
  expect(rows.at(-1)).toMatchObject({ criterion: 'absolute', criterionValue: '0.5', text: 'a, "text" & <more>' });
});

test('a run that decoded nothing has no bytes, and no zeros in their place', () => {
  const none = { ...decoded.decode, tokens: 0, weightBytesPerToken: 0, denseWeightBytesPerToken: 0, density: {} };
  const names = table('runs.csv', { ...decoded, decode: none }).map(({ quantity }) => quantity);
  expect(names.filter((name) => /weightBytes|tokensPerSecond|decodeDensity/.test(name as string))).toEqual([]);
  expect(names).toContain('macs.measured.withHead');
});

test('curves.csv: histograms add up to one, and each curve has its points', () => {
  const [first, ...others] = decoded.layers;
  const curve = [0, 1, 2].map((x): [number, number, number] => [x, x / 10, x / 4]);
  const cett = { threshold: 1, cett: 0.1, sparsity: 0.25, curve };
  const magnitude = { zero: 0.5, mean: 2, max: 4, quantiles: [[0.5, 1.5] as const, [0.99, 3.75] as const] };
  const run = { ...decoded, layers: [{ ...first!, cett, magnitude }, ...others] };
  const rows = table('curves.csv', run);
  const points = (name: string, layer = 0) =>
    rows
      .filter((row) => row.curve === name && row.layer === String(layer))
      .map(({ x, y }): [number, number] => [Number(x), Number(y)]);
  expect(points('density', 2)).toEqual([
    [0, 0.1],
    [1, 0.5],
    [2, 0.9],
  ]);
  const histogram = points('preActivation');
  expect([histogram[0]?.[0], histogram[1]?.[0], histogram.at(-1)?.[0]]).toEqual([Number.NEGATIVE_INFINITY, -2, 2]);
  expect(histogram.reduce((sum, [, share]) => sum + share, 0)).toBeCloseTo(1, 12);
  expect(points('hotCurve').at(-1)).toEqual([1, 1]);
  expect(points('windowUnion').map(([gamma]) => gamma)).toEqual(Array.from({ length: 32 }, (_, at) => at + 1));
  expect(points('aggregatedUnused')).toHaveLength(16);
  expect(points('randomUnused')).toHaveLength(16);
  expect(points('cett')).toEqual(curve.map(([x, error]) => [x, error]));
  expect(points('cettSparsity')).toEqual(curve.map(([x, , share]) => [x, share]));
  expect(points('cett', 1)).toEqual([]);
  expect(points('magnitude')).toEqual(magnitude.quantiles);
  const down = table('layers.csv', run).find(({ site }) => site === 'down');
  expect(down).toMatchObject({ magnitudeZero: '0.5', magnitudeMean: '2', magnitudeMax: '4', cettThreshold: '1' });
});
