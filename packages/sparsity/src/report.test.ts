import { expect, test } from 'vitest';
import { shortNames, tickText } from './charts/labels.js';
import { barChart, heatMap, lineChart } from './charts/marks.js';
import type { Measurement } from './record.js';
import { measurementFiles, measurementPage } from './report.js';
import { measurement } from './testing/measurement.js';

/** Every tag that is opened is closed, in order. */
function expectWellFormed(text: string): void {
  const open: string[] = [];
  for (const [tag, close, name, self] of text.matchAll(/<(\/?)([a-z][\w]*)[^<>]*?(\/?)>/gi)) {
    if (self === '/' || /^(meta)$/.test(name as string)) continue;
    if (close === '') open.push(name as string);
    else expect([tag, open.pop()]).toEqual([tag, name]);
  }
  expect(open).toEqual([]);
}

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

test('charts take what they are given: nothing, one point, no spread', () => {
  const text = { title: 't', x: 'x', y: 'y' };
  for (const svg of [
    lineChart({ ...text, lines: [] }),
    lineChart({ ...text, lines: [{ name: 'one', points: [[1, 1]], dots: true }] }),
    barChart({ ...text, labels: ['a'], series: [{ name: 's', bars: [undefined] }] }),
    barChart({ ...text, labels: ['a'], series: [{ name: 's', bars: [{ value: 0, interval: [0, 0] }] }] }),
    heatMap({ ...text, rows: [[]] }),
    heatMap({ ...text, rows: [[0.5, 0.5]] }),
  ]) {
    expectWellFormed(svg);
    expect(svg).not.toMatch(/NaN|Infinity/);
  }
});

test('zeros and empty sets are shown as such', () => {
  const text = { title: 't', x: 'x', y: 'y' };
  const bars = (...values: (number | undefined)[]) =>
    barChart({
      ...text,
      labels: values.map((_, at) => String(at)),
      series: [{ name: 's', bars: values.map((value) => (value === undefined ? undefined : { value })) }],
    });
  const mixed = bars(0, undefined, 0.5);
  expect(mixed).toMatch(/<path class="line s0"[^>]*><title>s, 0: 0<\/title><\/path><text[^>]*>0<\/text>/);
  expect(mixed.match(/<text[^>]*>–<\/text>/g)).toHaveLength(1);
  expect(mixed.match(/<rect/g)).toHaveLength(1);
  // nothing at all is said, where marks would be
  for (const svg of [
    bars(undefined, Number.NaN),
    lineChart({ ...text, lines: [] }),
    lineChart({ ...text, lines: [{ name: 'l', points: [] }] }),
    lineChart({ ...text, xLog: 10, lines: [{ name: 'l', points: [[0, 1]] }] }),
    heatMap({ ...text, rows: [] }),
    heatMap({ ...text, rows: [[], []] }),
  ]) {
    expect(svg).toContain('>nothing to show</text>');
    expect(svg).not.toMatch(/NaN|Infinity/);
  }
  const some = lineChart({
    ...text,
    lines: [
      {
        name: 'full',
        points: [
          [0, 0],
          [1, 0],
        ],
      }, // zero is a value
      { name: 'empty', points: [[0, Number.NaN]] },
    ],
  });
  expect(some).not.toContain('>nothing to show<');
  expect(some).toContain('>empty (nothing to show)</text>');
  expect(some).toMatch(/class="line s0" d="M56 256L504 256"/);
  // on a logarithmic axis zero has no place: the rest of the line is drawn
  const log = lineChart({
    ...text,
    xLog: 2,
    lines: [
      {
        name: 'l',
        points: [
          [0, 0.5],
          [1, 1],
          [4, 1],
        ],
      },
    ],
  });
  expect(log).toMatch(/d="M56 [\d.]+L504 [\d.]+"/);
  // a single point has no line
  expect(lineChart({ ...text, lines: [{ name: 'l', points: [[1, 1]] }] })).toContain('<circle');
  expect(heatMap({ ...text, rows: [[0, 0]] })).toContain('>0 everywhere<');
  expect(heatMap({ ...text, rows: [[1, 1]] })).toMatch(/fill-opacity="1.00" d="M[^"]*h/);
});

test('the ninth line does not look like the first', () => {
  const lines = Array.from({ length: 9 }, (_, at) => ({
    name: `l${at}`,
    dots: true,
    points: [
      [0, at],
      [1, at],
    ] as const,
  }));
  const svg = lineChart({ title: 't', x: 'x', y: 'y', lines });
  expect(svg.match(/<circle class="f0"/g)).toHaveLength(2);
  expect(svg.match(/<circle class="s0" fill="none"/g)).toHaveLength(2);
  expect(svg.match(/class="line s0 dashed"/g)).toHaveLength(2); // the line, and its place in the legend
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

test('a longer sentence below a chart is wrapped, within the picture', () => {
  const svg = lineChart({ title: 't', x: 'x', y: 'y', see: 'word '.repeat(40).trim(), lines: [] });
  const rows = [...svg.matchAll(/<text x="16" y="(\d+)" class="faint">([^<]*)</g)];
  expect(rows.map(([, , row]) => row!.length)).toEqual([74, 74, 49]);
  expect(Number(rows.at(-1)?.[1])).toBeLessThan(Number(/height="(\d+)"/.exec(svg)?.[1]));
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

test('powers of two stand at equal distances', () => {
  const points = [1, 4, 16].map((x) => [x, 1] as const);
  const svg = lineChart({ title: 't', x: 'x', y: 'y', xLog: 2, lines: [{ name: 'l', points, dots: true }] });
  const [a = 0, b = 0, c = 0] = [...svg.matchAll(/cx="([\d.]+)"/g)].map(([, x]) => Number(x));
  expect(b - a).toBeCloseTo(c - b, 1);
  expect(svg).toMatch(/>4<\/text>.*>16<\/text>/);
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

test('a chart marks the points of a line that asks for it', () => {
  const points = [
    [0, 1],
    [1, 2],
  ] as const;
  const text = { title: 't', x: 'x', y: 'y' };
  const count = (dots: boolean) => lineChart({ ...text, lines: [{ name: 'l', points, dots }] }).split('<circle').length;
  expect([count(false), count(true)]).toEqual([1, 3]);
});

test('a chart is readable alone: sizes, background and colours of its own, nothing from a page', () => {
  const svg = lineChart({ title: 't', x: 'x', y: 'y', lines: [{ name: 'l', points: [[0, 1]] }] });
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" [^>]*width="520" height="300"/);
  expect(svg).toMatch(/<path class="paper" d="M0 0h520v300h-520z"\/>/);
  expect(svg).toMatch(/\.paper\{fill:#ffffff\}.*prefers-color-scheme:dark\)\{\.chart \.paper\{fill:#12161c\}/);
  expect(svg).not.toMatch(/var\(|currentColor/);
  // each class that is drawn with has a rule
  for (const [, names = ''] of svg.matchAll(/class="([^"]*)"/g))
    for (const name of names.split(' ')) expect(svg).toMatch(new RegExp(`\\.${name}[ {]`));
});

test('long names of bars are turned and have room; of numbers some are left out', () => {
  const bars = (labels: string[]) =>
    barChart({ title: 't', x: 'x', y: 'y', labels, series: [{ name: 's', bars: labels.map(() => ({ value: 1 })) }] });
  const height = (svg: string) => Number(/height="(\d+)"/.exec(svg)?.[1]);
  expect(height(bars(['a', 'b']))).toBe(300);
  const tasks = bars(['arc_easy', 'arc_challenge', 'hellaswag', 'winogrande', 'openbookqa', 'lambada_openai', 'piqa']);
  expect(tasks.split('rotate(-45)').length - 1).toBe(7);
  expect(height(tasks)).toBeGreaterThan(340);
  const layers = bars(Array.from({ length: 64 }, (_, at) => String(at)));
  expect(height(layers)).toBe(300);
  expect(layers.split('class="faint">').length).toBeLessThan(64);
});

test.each([
  [['m'], ['m']],
  [
    ['runs/dense', 'runs/sparse'],
    ['dense', 'sparse'],
  ],
  [
    ['runs/dense/eval', 'runs/sparse/eval'],
    ['dense', 'sparse'],
  ],
  [
    ['a/b/x', 'a/c/x', 'y'],
    ['b/x', 'c/x', 'y'],
  ],
  [
    ['x', 'a/x'],
    ['x', 'a/x'],
  ],
  [
    ['a/x', 'a/x'],
    ['x', 'x'],
  ],
  [['/'], ['/']],
])('%j are called %j', (names, short) => {
  expect(shortNames(names)).toEqual(short);
});

test.each([
  [0, '0'],
  [0.25, '0.25'],
  [1500, '1500'],
  [15e6, '15 M'],
  [2.5e9, '2.5 G'],
  [1e-5, '1e-5'],
])('a tick of %d says %s', (value, text) => {
  expect(tickText(value)).toBe(text);
});
