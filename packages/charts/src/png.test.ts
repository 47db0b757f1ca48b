// PNG files of charts: what they hold is read back from their bytes.
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { lineChart } from './marks.js';
import { chartPng, withPngs } from './png.js';

const chart = (title: string) =>
  lineChart({ title, x: 'x', y: 'y', lines: [{ name: 'l', points: [[0, 1]], dots: true }] });

function read(png: Uint8Array): { width: number; height: number; corner: number[] } {
  const bytes = Buffer.from(png);
  expect(bytes.toString('latin1', 1, 4)).toBe('PNG');
  const data: Buffer[] = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at))
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT')
      data.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  // the first pixel, whatever its filter: nothing is left of it or above
  return {
    width: bytes.readUInt32BE(16),
    height: bytes.readUInt32BE(20),
    corner: [...inflateSync(Buffer.concat(data)).subarray(1, 5)],
  };
}

test('a picture is three pixels a unit, on white, and the same bytes again', async () => {
  const png = await chartPng(chart('title'));
  expect(read(png)).toEqual({ width: 1560, height: 900, corner: [255, 255, 255, 255] });
  expect(await chartPng(chart('title'))).toEqual(png);
});

test('its letters are drawn', async () => {
  const [one, other] = [await chartPng(chart('m')), await chartPng(chart('w'))];
  expect(one).not.toEqual(other);
});

test('each SVG of a report gets a PNG, and nothing else does', async () => {
  const files = await withPngs(
    new Map([
      ['report.html', '<svg>'],
      ['a.svg', chart('a')],
    ]),
  );
  expect([...files.keys()]).toEqual(['report.html', 'a.svg', 'a.png']);
  expect(files.get('a.png')).toEqual(await chartPng(chart('a')));
});
