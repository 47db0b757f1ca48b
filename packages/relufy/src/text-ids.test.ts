// Texts in pieces have the ids of the whole, whatever the tokenizer: byte-level BPE, and SentencePiece that begins every
// text with a space.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { createTokenizer } from '../../tokenizer/src/index.js';
import { openText, readText, sequencesOf, textIds, whileWanted } from './text-ids.js';

const lines = (count: number, line: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => line(at)).join('');
const prose = lines(9000, (at) => `Line ${at}: the fox, ${at % 7} times, said "no".${at % 5 === 0 ? '\n\n' : '\n'}`);
const texts: Readonly<Record<string, string>> = {
  prose,
  'with spaces around line ends': lines(9000, (at) => ` = Title ${at} = \n Été « ${at} » . \n \n`),
  'line ends of Windows': prose.replaceAll('\n', '\r\n'),
  'without a line end': prose.replaceAll('\n', ' '),
  emoji: lines(9000, (at) => `Line ${at} 😀👨‍👩‍👧 e\u0301\n`),
  short: 'Once upon a time.\n',
  nothing: '',
};

async function inPieces(text: string, encode: (text: string, options?: object) => number[]) {
  const chunks = Array.from({ length: Math.ceil(text.length / 50_000) }, (_, at) =>
    text.slice(at * 50_000, (at + 1) * 50_000),
  );
  let longest = 0;
  const pieces: (readonly number[])[] = [];
  const watched = async (part: string, options?: object) => {
    longest = Math.max(longest, part.length);
    return encode(part, options);
  };
  for await (const piece of textIds(chunks, watched)) pieces.push(piece);
  return { ids: pieces.flat(), pieces: pieces.length, longest };
}

const published = ['gpt2', 'llama2', 'llama3', 'mistral_v02', 'smollm2', 'tinystories_sp4096'];
const tokenizers = [...published, 'byte-level', 'byte-level-split', 'byte-fallback'];

describeShared('ids of pieces', 'tokenizers/byte-level', () => {
  const isThere = (name: string) => existsSync(shared(`tokenizers/${name}/tokenizer.json`));
  test.each(tokenizers.filter(isThere))('%s', { timeout: 60_000 }, async (name) => {
    const tokenizerJson = readFileSync(shared(`tokenizers/${name}/tokenizer.json`), 'utf8');
    const tokenizer = createTokenizer({ name, tokenizerJson });
    const encode = (text: string, options?: object) => tokenizer.encode(text, options);
    for (const [kind, text] of Object.entries(texts)) {
      // its vocabulary has no bytes
      if (name === 'tinystories_sp4096' && kind !== 'prose') continue;
      const { ids, pieces, longest } = await inPieces(text, encode);
      expect([kind, ids.length]).toEqual([kind, encode(text).length]);
      expect(ids).toEqual(encode(text));
      if (text.includes('\n') && kind !== 'short')
        expect([kind, pieces > 2, longest < 130_000]).toEqual([kind, true, true]);
    }
  });
});

test('a file is read in pieces, gzipped or not; letters between two chunks stay whole', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'relufy-text-'));
  const text = 'a😀é'.repeat(40_000);
  writeFileSync(join(folder, 'text.txt'), text);
  writeFileSync(join(folder, 'text.gz'), gzipSync(text));
  // as Windows writes it
  writeFileSync(join(folder, 'utf-16.txt'), Buffer.from(`\ufeff${text}`, 'utf16le'));
  for (const name of ['text.txt', 'text.gz', 'utf-16.txt']) {
    const parts: string[] = [];
    for await (const part of readText(join(folder, name))) parts.push(part);
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.join('') === text).toBe(true);
  }
  writeFileSync(join(folder, 'torn.txt'), Buffer.from('é').subarray(0, 1));
  const read = async (name: string) => {
    for await (const _ of readText(join(folder, name)));
  };
  await expect(read('torn.txt')).rejects.toThrow(
    /--data: ".*torn.txt": expected text in UTF-8 or UTF-16, got other bytes/,
  );
  await expect(read('none.gz')).rejects.toThrow(/--data: expected a text file, .* ENOENT/);
  rmSync(folder, { recursive: true });
});

test.skipIf(process.platform === 'win32')(
  'a pipe is read once, and gives its text as often as it is asked',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'relufy-pipe-'));
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const [open] = await Promise.all([openText(pipe), writeFile(pipe, 'one text')]);
    for (let time = 0; time < 2; time++) {
      let text = '';
      for await (const part of open()) text += part;
      expect(text).toBe('one text');
    }
    rmSync(folder, { recursive: true });
  },
);

test('sequences go on across pieces, and end at the most tokens', async () => {
  async function* pieces() {
    yield [1, 2, 3];
    yield [4];
    yield [5, 6, 7, 8];
    throw new Error('read too far');
  }
  const all: (readonly number[])[] = [];
  for await (const ids of sequencesOf(pieces(), 2, 7)) all.push(ids);
  expect(all).toEqual([[1, 2], [3, 4], [5, 6], [7]]);
});

test('a text of one endless line is one error, and a signal ends it before', async () => {
  const spaces = ' '.repeat(1 << 20);
  function* endless() {
    for (;;) yield spaces;
  }
  const ids = async (texts: Iterable<string> | AsyncIterable<string>) => {
    for await (const _ of textIds(texts, async () => []));
  };
  const endlessLine = /^--data: expected a line end within 16777216 characters, got none/;
  expect(await cpuSeconds(() => expect(ids(endless())).rejects.toThrow(endlessLine))).toBeLessThan(5);
  const stop = new AbortController();
  stop.abort(new Error('stopped'));
  await expect(ids(whileWanted(endless(), stop.signal))).rejects.toThrow('stopped');
});
