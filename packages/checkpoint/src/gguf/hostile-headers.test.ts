// Headers of a stranger that ask for more than they are worth: one error, soon, and little memory. Does not own what a right
// header says, nor other damage (gguf.test.ts).
import { expect, it } from 'vitest';
import { messageOf } from '../../testing/craft.js';
import { peakOf } from '../../testing/flood.js';
import { gguf, text, u32, u64 } from '../../testing/gguf.js';
import { type ModelFiles, memoryFiles, openGguf } from '../index.js';

const openBytes = (bytes: Uint8Array) => openGguf(memoryFiles('memory', { 'model.gguf': bytes }));

it.each([
  ['empty lists in a list', u32(9), 12, 0, /metadata "k", expected at most 1000 lists in lists, got more/],
  ['texts of other bytes', u32(8), 9, 0xff, /texts, expected UTF-8, got other bytes in 1000 and more/],
])('millions of %s are one error within a second', async (_, type, bytesEach, byte, message) => {
  const count = 3_000_000;
  const head = gguf({ fields: [['k', [...u32(9), ...type, ...u64(count)]]], alignment: 1 });
  const bytes = new Uint8Array(head.length + count * bytesEach);
  bytes.set(head);
  if (byte > 0)
    for (let at = head.length; at < bytes.length; at += bytesEach) bytes.set([1, 0, 0, 0, 0, 0, 0, 0, byte], at);
  const { peak, seconds } = await peakOf(async () => {
    expect(await messageOf(() => openBytes(bytes))).toMatch(message);
  });
  expect(seconds).toBeLessThan(2);
  expect(peak).toBeLessThan(5e7);
});

/** A file of 20 GB that is zeros but for these pieces: nobody has to download that many bytes to have one. */
function fileOfHoles(pieces: ReadonlyMap<number, Uint8Array>): ModelFiles {
  const size = 20e9;
  const read = async (offset: number, length: number) => {
    const out = new Uint8Array(length);
    for (const [at, bytes] of pieces) {
      const [from, to] = [Math.max(at, offset), Math.min(at + bytes.length, offset + length)];
      if (from < to) out.set(bytes.subarray(from - at, to - at), from - offset);
    }
    return out;
  };
  const source = { name: 'holes.gguf', size, read, close: async () => {} };
  const list = async () => ['holes.gguf'];
  return { name: 'holes', open: async () => source, readText: async () => undefined, list };
}

const aBillion = u64(2 ** 30);
it.each<[string, readonly number[], readonly number[], RegExp]>([
  ['numbers', [...u32(9, 0), ...aBillion], [], /at most \d+ texts, and a header of at most \d+ bytes, got a list of/],
  ['empty texts', [...u32(9, 8), ...aBillion], [], /metadata "k0", expected at most \d+ texts, .* got a list of/],
  ['booleans in lists', [...u32(9, 9), ...u64(900)], [...u32(7), ...u64(2 ** 23)], /a header of at most \d+ bytes/],
  ['long texts', [], [...u32(8), ...u64(2 ** 23)], /header, expected at most \d+ bytes, got more/],
])('a file whose holes are gigabytes of %s is one error within a second', async (_, first, each, message) => {
  const pieces = new Map<number, Uint8Array>();
  let at = 0;
  const put = (bytes: readonly number[]) => {
    pieces.set(at, Uint8Array.from(bytes));
    at += bytes.length;
  };
  put([...new TextEncoder().encode('GGUF'), ...u32(3), ...u64(0, 300)]);
  if (first.length > 0) put([...text('k0'), ...first]);
  for (let i = 0; each.length > 0 && i < 300; i++) {
    put(first.length > 0 ? each : [...text(`k${i}`), ...each]);
    at += 2 ** 23;
  }
  const { peak, seconds } = await peakOf(async () => {
    expect(await messageOf(() => openGguf(fileOfHoles(pieces)))).toMatch(message);
  });
  expect(seconds).toBeLessThan(2);
  expect(peak).toBeLessThan(15e7);
});
