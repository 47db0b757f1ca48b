import { expect, test } from 'vitest';
import { expectWellFormed } from '../../../tools/testing/well-formed.js';
import { shortNames, tickText } from './labels.js';
import { barChart, heatMap, lineChart } from './marks.js';

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

test('a longer sentence below a chart is wrapped, within the picture', () => {
  const svg = lineChart({ title: 't', x: 'x', y: 'y', see: 'word '.repeat(40).trim(), lines: [] });
  const rows = [...svg.matchAll(/<text x="16" y="(\d+)" class="faint">([^<]*)</g)];
  expect(rows.map(([, , row]) => row!.length)).toEqual([74, 74, 49]);
  expect(Number(rows.at(-1)?.[1])).toBeLessThan(Number(/height="(\d+)"/.exec(svg)?.[1]));
});

test('powers of two stand at equal distances', () => {
  const points = [1, 4, 16].map((x) => [x, 1] as const);
  const svg = lineChart({ title: 't', x: 'x', y: 'y', xLog: 2, lines: [{ name: 'l', points, dots: true }] });
  const [a = 0, b = 0, c = 0] = [...svg.matchAll(/cx="([\d.]+)"/g)].map(([, x]) => Number(x));
  expect(b - a).toBeCloseTo(c - b, 1);
  expect(svg).toMatch(/>4<\/text>.*>16<\/text>/);
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
