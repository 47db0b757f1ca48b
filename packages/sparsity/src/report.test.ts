import { expect, test } from 'vitest';
import { LayerUse } from './active-sets.js';
import { barChart, heatMap, lineChart } from './charts/marks.js';
import type { Measurement } from './record.js';
import { measurementCsv, measurementFiles, measurementPage } from './report.js';
import { Histogram } from './streaming.js';

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

function measurement(model: string, layers = 3): Measurement {
  const use = () => {
    const layer = new LayerUse(8, 16);
    layer.startSequence();
    for (let t = 0; t < 16; t++)
      layer.add(
        Float32Array.from({ length: 8 }, (_, i) => Number((t + i) % 3 === 0)),
        0,
      );
    return layer.result();
  };
  const spread = { mean: 0.5, deviation: 0.1, min: 0.2, max: 0.9 };
  const histogram = new Histogram(-2, 2, 8);
  histogram.add(new Float32Array([-1, 0, 1]));
  return {
    format: 1,
    model,
    text: 'a, "text" & <more>',
    tokens: 16,
    window: 16,
    criterion: { kind: 'nonzero', value: 0 },
    backend: 'none',
    sparsity: 'exact',
    activation: 'relu',
    layers: Array.from({ length: layers }, (_, layer) => ({
      layer,
      density: { qkv: spread, o: spread, upGate: spread, down: spread },
      preActivation: histogram.result(),
      use: use(),
    })),
    series: Array.from({ length: layers }, () => [0.1, 0.5, 0.9]),
    macs: { dense: { blocks: 2e6, withHead: 3e6 }, measured: { blocks: 1e6, withHead: 2e6 } },
    perplexity: 9,
    unreadWeights: [0.1],
    decode: { tokens: 4, tokensPerSecond: 1, weightBytesPerToken: 1, denseWeightBytesPerToken: 2, density: {} },
  };
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
  expect([...one.keys()]).toContain('layer-token.svg');
  for (const [name, svg] of one) if (name.endsWith('.svg')) expectWellFormed(svg);
  expect([...measurementFiles([measurement('a'), measurement('b')]).keys()]).not.toContain('layer-token.svg');
});

test('CSV has a row a layer and site, quoted where it must be', () => {
  const rows = measurementCsv([measurement('m')])
    .trimEnd()
    .split('\n');
  expect(rows).toHaveLength(1 + 3 * 4);
  expect(rows[1]).toMatch(/^m,"a, ""text"" & <more>",0,qkv,16,nonzero,0,0.5,0.1/);
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

test('a chart marks the points of a line that asks for it', () => {
  const points = [
    [0, 1],
    [1, 2],
  ] as const;
  const text = { title: 't', x: 'x', y: 'y' };
  const count = (dots: boolean) => lineChart({ ...text, lines: [{ name: 'l', points, dots }] }).split('<circle').length;
  expect([count(false), count(true)]).toEqual([1, 3]);
});
