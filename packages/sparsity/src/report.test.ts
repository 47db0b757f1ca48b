import { expect, test } from 'vitest';
import { expectWellFormed } from '../../../tools/testing/well-formed.js';
import { type Measurement, measurementSchema } from './record.js';
import { measurementFiles, measurementPage } from './report.js';
import { measurement } from './testing/measurement.js';

test('a page stands alone: well formed, escaped, no address, no script', () => {
  const page = measurementPage([measurement('dense <1>'), measurement('sparse')]);
  expectWellFormed(page.replace('<!doctype html>', ''));
  expect(page.match(/https?:\/\/[^"]*/g)?.every((address) => address === 'http://www.w3.org/2000/svg')).toBe(true);
  expect(page).not.toMatch(/<script|@import|url\(/);
  expect(page).toContain('dense &lt;1&gt;');
  expect(page).toContain('prefers-color-scheme:dark');
  expect(page).not.toContain('NaN');
});

test('the files of one run hold its charts, of several the comparison', () => {
  const one = measurementFiles([measurement('m')]);
  const page = one.get('report.html') as string;
  const pictures = [...one].filter(([name]) => name.endsWith('.svg'));
  expect(pictures.map(([name]) => name)).toContain('layer-token.svg');
  expect(page.split('<svg').length - 1).toBe(pictures.length);
  for (const [, svg] of pictures) {
    expectWellFormed(svg);
    expect(page).toContain(svg);
  }
  expect([...measurementFiles([measurement('a'), measurement('b')]).keys()]).not.toContain('layer-token.svg');
});

test('what is read while decoding stands beside the density over the text', () => {
  const run = measurement('m');
  const decoded = { ...run, decode: { ...run.decode, density: { qkv: [1, 1, 1], down: [0.25, 0.5, 0.625] } } };
  const page = measurementPage([decoded]);
  expect(page).toMatch(/FFN neurons read while decoding<\/td><td>45.8 %/);
  expect(page).toContain('>62.5 %</td>');
  const lines = (of: Measurement) =>
    measurementFiles([of])
      .get('density-by-layer.svg')
      ?.match(/class="line s0/g)?.length;
  expect([lines(run), lines(decoded)]).toEqual([1, 4]);
  expect(measurementPage([run])).not.toContain('FFN neurons read while decoding');
});

test('a model without an active neuron has no shares of them, and its charts say so', () => {
  const run = measurement('silent');
  const idle = (layer: Measurement['layers'][number]) => ({
    ...layer,
    magnitude: { zero: 1, mean: 0, max: 0, quantiles: [] },
    use: { ...layer.use, density: 0, dead: 8, alwaysOn: 0, hotShare80: 0, reuseNext: 0, hotCurve: [0, 0, 0] },
  });
  const silent = { ...run, layers: run.layers.map(idle), series: [[0], [0], [0]] };
  const files = measurementFiles([silent]);
  const page = files.get('report.html') as string;
  expect(page).not.toContain('shared with the previous token</td>');
  expect(page).toContain('–</td>');
  expect(page).toMatch(/active FFN neurons<\/td><td[^>]*>0.0 %/);
  expect(files.get('hot-cold.svg')).toContain('>nothing to show<');
  expect(files.get('magnitudes.svg')).toContain('layer 0: all zero (nothing to show)');
  expect(files.get('layer-token.svg')).toContain('>0 everywhere<');
  // one layer of three: the mean is that of the others
  const partly = measurementPage([{ ...run, layers: [idle(run.layers[0]!), ...run.layers.slice(1)] }]);
  const [, shared] = /shared with the previous token<\/td><td[^>]*>([^<]*)/.exec(measurementPage([run])) ?? [];
  expect(partly).toMatch(new RegExp(`shared with the previous token</td><td[^>]*>${shared}<`));
});

test('formats are a row, and runs of different ones say so', () => {
  const [a, b] = [measurement('a'), { ...measurement('b'), weights: 'int8' }];
  const page = measurementPage([a, b]);
  expect(page).toMatch(/weights in<\/td><td>f32<\/td><td>int8</);
  expect(page).toContain('in different formats (a in f32, b in int8)');
  expect(measurementPage([a, measurement('c')])).not.toContain('different formats');
  const { weights: _, ...old } = measurement('old');
  expect(measurementPage([a, old])).toContain('old in a format that was not noted');
});

test('every chart has a line that says what to see', () => {
  const charts = [...measurementFiles([measurement('m')])].filter(([name]) => name.endsWith('.svg'));
  expect(charts.length).toBeGreaterThan(8);
  for (const [name, svg] of charts) {
    const rows = [...svg.matchAll(/<text x="16" y="(\d+)" class="faint">([^<]*)</g)];
    expect(rows.length, name).toBe(1);
    for (const [, y, row] of rows) {
      expect(row!.length, name).toBeLessThan(76);
      expect(Number(y)).toBeLessThan(Number(/height="(\d+)"/.exec(svg)?.[1]));
    }
  }
});

test('reuse and speculation are drawn, and told in the summary', () => {
  const points = [{ gamma: 16, perplexity: 9.5, randomPerplexity: 14, kept: 0.4 }];
  const run: Measurement = {
    ...measurement('m'),
    unreadWeights: [0.5, 0.3],
    reuse: { prompt: 8, tokens: 7, carry: false, densePerplexity: 9, points },
  };
  const page = measurementPage([run, measurement('without')]);
  expect(page).toContain('9.50 at gamma 16, 40.0 % of them loaded (random ones 14.00, all 9.00)');
  // one drafted token is best: (0.02 + 1) / (0.02 + 1 - 0.5), and (1 - 0.8^2) / (0.2 * 0.52)
  expect(page).toContain('1.96x that of a dense target, 3.46x dense and 1.73x sparse decoding, at 1 drafted tokens');
  const files = [...measurementFiles([run]).keys()];
  expect(files).toEqual(expect.arrayContaining(['reuse.svg', 'speculation.svg']));
  expect([...measurementFiles([measurement('m')]).keys()]).not.toContain('reuse.svg');
});

test('drafts as they ran, and neurons in a file, are drawn and told in tables', () => {
  const speedUps = { overDenseSpeculation: 1.5, overDense: 2, overSparse: 1.25 };
  const point = {
    ...{ gamma: 2, acceptance: 0.75, tokensPerStep: 2.5, c: 0.1, unreadOne: 0.5, unread: 0.4, unreadRandom: 0.3 },
    ...{ bytesRatio: 0.8, predicted: speedUps, timed: { overDense: 1.9, overSparse: 1.125 } },
  };
  const read = { neededPerToken: 100, rowsPerToken: 50, bytesPerToken: 2e6, promptBytes: 9e6, tokensPerSecond: 7 };
  const run: Measurement = {
    ...measurement('m'),
    speculation: { draft: 'prompt', tokens: 96, rounds: 5, points: [point, { ...point, gamma: 4 }] },
    flash: {
      ...{ tokens: 32, tokensPerSecond: 20 },
      points: [
        { budget: 21e6, slots: 20, neurons: 80, hitShare: 0.75, ...read },
        { budget: 1e9, slots: 0, neurons: 0, hitShare: 1, ...read, rowsPerToken: 0, bytesPerToken: 0 },
      ],
    },
  };
  const files = measurementFiles([run, measurement('without')]);
  const page = files.get('report.html') as string;
  expectWellFormed(page.replace('<!doctype html>', ''));
  expect(page).toContain('by prompt: 1.13x plain decoding at 2 drafted tokens (1.25x by the formula), 75.0 % accepted');
  expect(page).toContain('25.0 % in memory within 21 MB: 75.0 % found there, 2.00 MB read a token');
  // what has no dense target has no time for it; what all fits has all in memory
  expect(page).toContain('<td class="number">1.50</td><td class="number">1.33</td><td class="number"></td>');
  expect(page).toContain('<td class="number">1000.00</td><td>all</td>');
  const names = ['speculation-acceptance', 'speculation-union', 'speculation-timed', 'flash-hits', 'flash-bytes'];
  for (const name of names) {
    const svg = files.get(`${name}.svg`) as string;
    expectWellFormed(svg);
    const [, row] = /<text x="16" y="\d+" class="faint">([^<]*)</.exec(svg) as unknown as [string, string];
    expect(row.length, name).toBeLessThan(76);
  }
  expect(files.get('runs.csv')).toContain(',speculation.timed.overSparse,2,1.125');
  expect(files.get('runs.csv')).toContain(',flash.hitShare,21000000,0.75');
  expect(measurementSchema.parse(JSON.parse(JSON.stringify(run)))).toEqual(run);
  expect([...measurementFiles([measurement('m')]).keys()].filter((name) => /flash|-timed/.test(name))).toEqual([]);
});

test('what neurons add is drawn from the share of zeros up, where it was measured', () => {
  const run = measurement('m', 1);
  const magnitude = { zero: 0.75, mean: 2, max: 4, quantiles: [[0.5, 0.25] as const, [0.9, 4] as const] };
  const layers = run.layers.map((layer) => ({ ...layer, magnitude }));
  const svg = measurementFiles([{ ...run, layers }]).get('magnitudes.svg') as string;
  expectWellFormed(svg);
  // 0.875 of the way from 0.8 to 1 and 0.975: (256 - y) / (256 - 34)
  const [, low = 0, high = 0] = (/class="line s0" d="M56 ([\d.]+)L504 ([\d.]+)"/.exec(svg) ?? []).map(Number);
  expect([(256 - low) / 222, (256 - high) / 222].map((share) => 0.8 + 0.2 * share)).toEqual([
    expect.closeTo(0.875, 3),
    expect.closeTo(0.975, 3),
  ]);
  expect(measurementFiles([run]).has('magnitudes.svg')).toBe(false);
});
