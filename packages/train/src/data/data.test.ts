// Data from files to rows: what is scored, how sequences are cut and drawn, and that a draw goes on where it stopped.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createTokenizer, type Tokenizer } from '@relufy/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type DataSource, readRunConfig } from '../config.js';
import { writeTensorFile } from '../tensor-file.js';
import { tinyRun } from '../testing/tiny-run.js';
import { type Document, readDocuments } from './documents.js';
import { intoParts, partOf, takeSequences } from './parts.js';
import { SequenceSource, SequenceStream } from './sequences.js';
import { type TokenData, tokenize } from './token-file.js';

let folder: string;
let tokenizer: Tokenizer;
let tokenizerText: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-data-'));
  await tinyRun(folder);
  const read = (file: string) => readFileSync(join(folder, 'tokenizer', file), 'utf8');
  tokenizerText = read('tokenizer.json');
  tokenizer = createTokenizer({
    name: 'tiny',
    tokenizerJson: tokenizerText,
    tokenizerConfig: read('tokenizer_config.json'),
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const source = (file: string, changes: Partial<DataSource> = {}): DataSource => ({
  path: join(folder, file),
  format: file.includes('jsonl') ? 'jsonl' : 'text',
  weight: 1,
  loss: 'answers',
  ...changes,
});

async function documents(file: string, text: string | Uint8Array, changes: Partial<DataSource> = {}) {
  writeFileSync(join(folder, file), text);
  const found: Document[] = [];
  for await (const document of readDocuments(source(file, changes), tokenizer)) found.push(document);
  return found;
}

/** The text of the scored tokens, and of the others. */
function split({ ids, mask }: Document): [scored: string, given: string] {
  const of = (wanted: number) => tokenizer.decode(ids.filter((_, i) => mask[i] === wanted));
  return [of(1), of(0)];
}

describe('documents', () => {
  it('scores answers only, through the chat template', async () => {
    const messages = [
      { role: 'user', content: 'Who?' },
      { role: 'assistant', content: 'The fox.' },
      { role: 'user', content: 'And?' },
      { role: 'assistant', content: 'The owl.' },
    ];
    const lines = [{ prompt: 'Who?', answer: 'The hen.' }, { messages }].map((line) => JSON.stringify(line));
    const [pair, chat] = (await documents('chat.jsonl', lines.join('\n'))) as [Document, Document];
    expect(split(pair)).toEqual(['The hen.<end>', '<user>Who?<bot>']);
    expect(split(chat)).toEqual(['The fox.<end>The owl.<end>', '<user>Who?<bot><user>And?<bot>']);
    const [all] = (await documents('chat.jsonl', lines.join('\n'), { loss: 'all' })) as [Document];
    expect(split(all)).toEqual(['<user>Who?<bot>The hen.<end>', '']);
  });

  it('splits plain text, gzipped or not, and ends each document', async () => {
    const text = 'The fox.\n---\nThe owl\nand the hen.\n---\n\n---\n';
    const plain = await documents('plain.txt', text, { separator: '---' });
    expect(plain.map((document) => split(document)[0])).toEqual(['<s>The fox.<end>', '<s>The owl\nand the hen.<end>']);
    expect(await documents('plain.txt.gz', gzipSync(text), { separator: '---' })).toEqual(plain);
  });
});

describe('data as other systems write it', () => {
  const texts = ['The fox\u2028met\u2029the\u0085owl.', 'The\v hen\f sat.', 'The bear 🦊 ate.'];
  const lines = (end: string) => texts.map((text) => JSON.stringify({ text })).join(end);
  const mark = '\ufeff';
  const utf16 = (text: string) => Buffer.from(text, 'utf16le');

  it.each<[string, string, string | Uint8Array]>([
    ['as it should be', 'lines.jsonl', lines('\n')],
    ['with CR LF', 'lines.jsonl', `${lines('\r\n')}\r\n`],
    ['with CR', 'lines.jsonl', lines('\r')],
    ['with empty lines', 'lines.jsonl', `\n${lines('\n\n \n')}\n\n`],
    ['with a mark', 'lines.jsonl', mark + lines('\n')],
    ['put together from files with marks', 'lines.jsonl', mark + lines(`\n${mark}`)],
    ['in UTF-16', 'lines.jsonl', utf16(lines('\n'))],
    ['in UTF-16 with a mark', 'lines.jsonl', utf16(mark + lines('\r\n'))],
    ['in UTF-16 BE with a mark', 'lines.jsonl', utf16(mark + lines('\r\n')).swap16()],
    ['gzipped, with a mark', 'lines.jsonl.gz', gzipSync(mark + lines('\n'))],
  ])('lines of JSON, %s, are one document each', async (_, file, content) => {
    const found = await documents(file, content);
    expect(found.map((document) => split(document)[0])).toEqual(texts.map((text) => `<s>${text}<end>`));
  });

  it.each<[string, string | Uint8Array]>([
    ['a mark', `${mark}The fox.`],
    ['UTF-16', utf16(`${mark}The fox.`)],
  ])('a plain text with %s is the text', async (_, content) => {
    const [document] = (await documents('plain.txt', content)) as [Document];
    expect(split(document)[0]).toBe('<s>The fox.<end>');
  });

  it('lines reach over the pieces in which a file is read', async () => {
    const many = Array.from({ length: 4000 }, (_, i) => `The 🦊 ${i}\u2028met the owl of ${'é'.repeat(i % 7)}.`);
    const found = await documents('many.jsonl', many.map((text) => JSON.stringify({ text })).join('\r\n'));
    expect(found.map((document) => split(document)[0])).toEqual(many.map((text) => `<s>${text}<end>`));
  });

  it.each<[string, string, string | Uint8Array, RegExp]>([
    [
      'Latin-1',
      'lines.jsonl',
      Buffer.from('{"text": "Bär"}', 'latin1'),
      /lines\.jsonl: expected text in UTF-8 or UTF-16, got other bytes\. Save it as UTF-8\./,
    ],
    ['a picture', 'plain.txt', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a]), /plain\.txt: expected text in UTF-8/],
    [
      'a gzipped file that is cut off',
      'cut.txt.gz',
      gzipSync('The fox met the owl.').subarray(0, 25),
      /cut\.txt\.gz: expected readable data, got unexpected end of file\./,
    ],
    [
      'a gzipped file that is none',
      'none.jsonl.gz',
      lines('\n'),
      /none\.jsonl\.gz: expected readable data, got incorrect header check\./,
    ],
    [
      'no JSON in line 3',
      'lines.jsonl',
      `${lines('\n').split('\n').slice(0, 2).join('\r\n')}\r\nx`,
      /lines\.jsonl line 3: expected JSON, got "x"/,
    ],
  ])('%s is refused in one sentence', async (_, file, content, message) => {
    await expect(documents(file, content)).rejects.toThrow(message);
  });

  it.each<[string, (yaml: string) => string | Uint8Array]>([
    ['a mark', (yaml) => mark + yaml],
    ['UTF-16', utf16],
    ['UTF-16 and a mark', (yaml) => utf16(mark + yaml)],
    ['CR LF', (yaml) => yaml.replaceAll('\n', '\r\n')],
  ])("a run's config with %s is the same config", async (_, write) => {
    const yaml = stringify((await tinyRun(folder)).config(join(folder, 'out')));
    const path = join(folder, 'run.yaml');
    writeFileSync(path, yaml);
    const expected = await readRunConfig(path);
    writeFileSync(path, write(yaml));
    expect(await readRunConfig(path)).toEqual(expected);
    writeFileSync(path, Buffer.from('out: Bär', 'latin1'));
    await expect(readRunConfig(path)).rejects.toThrow(/run\.yaml: expected text in UTF-8 or UTF-16, got other bytes/);
  });
});

describe('token files', () => {
  it('are made once, and again when the data or the tokenizer change', async () => {
    const into = join(folder, 'tokens');
    const options = { folder: into, tokenizer, tokenizerText, vocabSize: 300 };
    const stories = source('stories.txt', { separator: '---' });
    const first = await tokenize(stories, options);
    expect(first.documents.length).toBe(60);
    expect(await tokenize({ ...stories, weight: 3 }, options)).toEqual(first);
    expect(readdirSync(into).length).toBe(1);
    await tokenize(stories, { ...options, tokenizerText: 'another' });
    expect(readdirSync(into).length).toBe(2);
    await expect(tokenize(stories, { ...options, vocabSize: 100 })).rejects.toThrow(/expected token ids below 100/);
  });

  it('whose checksums fit and whose numbers do not are refused', async () => {
    const into = join(folder, 'foreign');
    const options = { folder: into, tokenizer, tokenizerText, vocabSize: 300 };
    const stories = source('stories.txt', { separator: '---' });
    await tokenize(stories, options);
    const file = join(into, readdirSync(into)[0] as string);
    for (const [ids, mask, documents, message] of [
      [[1, 2, 3], [1, 1], [0], /expected a mask of 3 tokens, got 2/],
      [[1, -2, 3], [1, 1, 1], [0], /expected token ids from 0 on, got -2/],
      [[1, 2, 3], [1, 1, 1], [0, -1], /expected documents one after the other in 3 tokens, got one at -1/],
      [[1, 2, 3], [1, 1, 1], [0, 2, 1], /got one at 1/],
      [[1, 2, 3], [1, 1, 1], [2 ** 30], /got one at 1073741824/],
    ] as const) {
      const tensors = [
        { name: 'ids', dtype: 'I32', shape: [ids.length], data: Int32Array.from(ids) },
        { name: 'documents', dtype: 'I32', shape: [documents.length], data: Int32Array.from(documents) },
        { name: 'mask', dtype: 'U8', shape: [mask.length], data: Uint8Array.from(mask) },
      ];
      await writeTensorFile(file, tensors, {});
      await expect(tokenize(stories, options)).rejects.toThrow(message);
    }
  });
});

/** Documents of these lengths; ids count up. */
function tokens(...lengths: number[]): TokenData {
  const starts: number[] = [];
  let count = 0;
  for (const length of lengths) {
    starts.push(count);
    count += length;
  }
  const ids = Int32Array.from({ length: count }, (_, i) => i);
  return { name: 'made', ids, mask: new Uint8Array(count).fill(1), documents: Int32Array.from(starts) };
}

describe('sequences', () => {
  const all = (source: SequenceSource) =>
    Array.from({ length: source.count }, (_, i) => [...source.at(i).ids].join(' '));

  it('cut a stream so that every token but the first is scored once', () => {
    expect(all(new SequenceSource(tokens(5, 6), 3, 'stream'))).toEqual(['0 1 2 3', '3 4 5 6', '6 7 8 9']);
  });

  it('cut documents so that none sees another', () => {
    expect(all(new SequenceSource(tokens(5, 2, 1), 3, 'documents'))).toEqual(['0 1 2 3', '3 4', '5 6']);
  });

  it('leave out what has no scored token, and refuse data that has none', () => {
    const data = tokens(8);
    data.mask.fill(0).set([1], 3);
    expect(all(new SequenceSource(data, 2, 'stream'))).toEqual(['2 3 4']);
    data.mask.fill(0);
    expect(() => new SequenceSource(data, 2, 'stream')).toThrow(/expected sequences with scored tokens, got none/);
  });

  it('are drawn by weight, each once an epoch, and go on from a state', () => {
    const sources = [
      { source: new SequenceSource(tokens(41), 2, 'stream'), weight: 3 },
      { source: new SequenceSource(tokens(21), 2, 'stream'), weight: 1 },
      { source: new SequenceSource(tokens(21), 2, 'stream'), weight: 0 },
    ];
    const stream = new SequenceStream(sources, 5);
    const drawn = Array.from({ length: 200 }, () => stream.next());
    const [first = 0, second = 0, third] = stream.state.bySource;
    expect(third).toBe(0);
    expect(first / second).toBeGreaterThan(2);
    expect(first / second).toBeLessThan(4.5);
    const ofFirst = drawn.filter(({ ids }) => ids.buffer === sources[0]?.source.at(0).ids.buffer);
    expect(new Set(ofFirst.slice(0, 20).map(({ ids }) => ids[0])).size).toBe(20);

    for (const bySource of [[1], [1, 2, 3, 4], []])
      expect(() => new SequenceStream(sources, 5, { drawn: 1, bySource })).toThrow(/expected to go on with 3 sources/);
    const other = new SequenceStream(sources, 5);
    for (let i = 0; i < 77; i++) other.next();
    const resumed = new SequenceStream(sources, 5, other.state);
    for (let i = 77; i < 200; i++) expect(resumed.next().ids).toEqual(drawn[i]?.ids);
  });
});

describe('parts', () => {
  it('give each sequence a slot, positions from 0, and score what is scored', () => {
    const data = tokens(4, 3);
    data.mask.set([0], 2);
    const source = new SequenceSource(data, 3, 'documents');
    const part = partOf([source.at(0), source.at(1)], 0.25);
    expect([...part.tokens]).toEqual([0, 1, 2, 4, 5]);
    expect([...part.positions]).toEqual([0, 1, 2, 0, 1]);
    expect([...part.slots]).toEqual([0, 0, 0, 1, 1]);
    expect([...part.outputRows]).toEqual([0, 2, 3, 4]);
    expect([...part.targets]).toEqual([1, 3, 5, 6]);
    expect([...part.weights]).toEqual([0.25, 0.25, 0.25, 0.25]);
  });

  it('take as many sequences as surely fit', () => {
    const source = new SequenceSource(tokens(3, 3, 3, 3, 3), 4, 'documents');
    let at = 0;
    const next = () => source.at(at++ % source.count);
    expect(takeSequences(next, { maxRows: 8, slots: 9, contextLength: 4 }).length).toBe(3);
    expect(takeSequences(next, { maxRows: 8, slots: 2, contextLength: 4 }).length).toBe(2);
    expect(takeSequences(next, { maxRows: 4, slots: 2, contextLength: 4 }).length).toBe(1);
  });

  it('hold all sequences of a batch, each in the first with room', () => {
    const lengths = [7, 4, 7, 3, 2, 5, 3];
    const source = new SequenceSource(tokens(...lengths), 9, 'documents');
    const batch = lengths.map((_, i) => source.at(i));
    const rows = (limits: { maxRows: number; slots: number }) =>
      intoParts(batch, limits).map((part) => part.map(({ ids }) => ids.length - 1));
    expect(rows({ maxRows: 9, slots: 9 })).toEqual([
      [6, 3],
      [6, 2, 1],
      [4, 2],
    ]);
    expect(rows({ maxRows: 9, slots: 2 })).toEqual([[6, 3], [6, 2], [1, 4], [2]]);
    expect(rows({ maxRows: 24, slots: 7 })).toEqual([[6, 3, 6, 2, 1, 4, 2]]);
    // all alike: as many in each
    const alike = new SequenceSource(tokens(4, 4, 4, 4), 3, 'documents');
    expect(
      intoParts(
        [0, 1, 2, 3].map((i) => alike.at(i)),
        { maxRows: 6, slots: 2 },
      ).map((part) => part.length),
    ).toEqual([2, 2]);
  });
});
