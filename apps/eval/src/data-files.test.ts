// Files of documents as other programs write them: what they hold counts, not what they are called.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { readDocs } from './data-files.js';
import { TaskRegistry } from './task-registry.js';
import { renderTemplate } from './template.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-data-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

const docs = [{ q: 'a' }, { q: 'b\u2028c\u2029d\u0085e' }];
const lines = docs.map((doc) => JSON.stringify(doc)).join('\n');

test.each([
  ['lines in .json', 'a.json', lines],
  ['lines in .jsonl', 'b.jsonl', lines],
  ['lines of Windows', 'c.json', lines.replaceAll('\n', '\r\n')],
  ['lines with empty ones', 'd.json', `\n\n${lines}\n\n`],
  ['a list in .json', 'e.json', JSON.stringify(docs)],
  ['a list in .jsonl', 'f.jsonl', JSON.stringify(docs, null, 2)],
  ['a mark before lines', 'g.jsonl', `\ufeff${lines}`],
  ['a mark before a list', 'h.json', `\ufeff${JSON.stringify(docs)}`],
  ['marks of files that were put together', 'i.jsonl', `\ufeff${lines.replace('\n', '\n\ufeff')}`],
  ['lines, gzipped', 'j.json.gz', gzipSync(lines)],
  ['a mark before a table', 'k.csv', `\ufeffq\na\n"${docs[1]!.q}"\n`],
])('%s', async (_, name, content) => {
  expect(await readDocs(write(name, content))).toEqual(docs);
});

test('numbers print as Python read them: with a point where the file has one', async () => {
  const json = '{"f": 2.0, "i": 2, "l": [1.0, 1, 1e3, 0.5], "m": {"x": -0.0}, "s": "3.0", "n": NaN}';
  const [doc] = await readDocs(write('floats.jsonl', json.replace(', "n": NaN', '')));
  expect(doc).toEqual({ f: 2, i: 2, l: [1, 1, 1000, 0.5], m: { x: -0 }, s: '3.0' });
  expect(renderTemplate('t', '{{f}} {{i}} {{l}} {{m}} {{s}}', doc!)).toBe(
    "2.0 2 [1.0, 1, 1000.0, 0.5] {'x': -0.0} 3.0",
  );
  const [odd] = await readDocs(write('nan.jsonl', json));
  expect(renderTemplate('t', '{{n}} {{l[3]}}', odd!)).toBe('nan 0.5');
  const columns = [
    { name: 'd', data: [2, 0.5], type: 'DOUBLE' },
    { name: 'i', data: [2, 3], type: 'INT32' },
  ] as const;
  const path = write(
    'floats.parquet',
    new Uint8Array(
      parquetWriteBuffer({ columnData: columns.map((column) => ({ ...column, data: [...column.data] })) }),
    ),
  );
  expect((await readDocs(path)).map((each) => renderTemplate('t', '{{d}} {{i}}', each))).toEqual(['2.0 2', '0.5 3']);
});

test('one object, on one line or several', async () => {
  const doc = { q: 'a', c: ['x', 'y'] };
  for (const [name, json] of [
    ['one.json', JSON.stringify(doc)],
    ['pretty.json', JSON.stringify(doc, null, 2)],
  ] as const)
    expect(await readDocs(write(name, json))).toEqual([doc]);
});

test.each([
  ['torn.json', '{"q": 1}\n{"q": \n', /torn\.json: expected a JSON object in line 2/],
  ['torn-list.json', '[{"q": 1}, {"q"', /torn-list\.json: expected a JSON list of objects/],
  ['numbers.json', '1\n2\n', /numbers\.json line 1: expected an object, got 1/],
  ['list.json', '[1]', /list\.json item 1: expected an object, got 1/],
  ['wide.json', Buffer.from('\ufeff{"q": 1}', 'utf16le'), /wide\.json: expected a readable file of UTF-8 text/],
])('%s is one clear error', async (name, content, message) => {
  await expect(readDocs(write(name, content))).rejects.toThrow(message);
});

test('a task file may begin with a mark; other encodings are refused', async () => {
  const text = 'task: marked\noutput_type: loglikelihood\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n';
  write('_base.yaml', `\ufeff${text.replace('task: marked\n', '')}`);
  const registry = await TaskRegistry.open();
  for (const [name, content] of [
    ['marked.yaml', `\ufeff${text}`],
    ['including.yaml', '\ufeffinclude: _base.yaml\ntask: marked\n'],
  ] as const) {
    const { tasks } = await registry.select([write(name, content)]);
    expect(tasks.map(({ task, doc_to_target: target }) => [task, target])).toEqual([['marked', 'a']]);
  }
  const wide = write('wide.yaml', Buffer.from(`\ufeff${text}`, 'utf16le'));
  await expect(registry.select([wide])).rejects.toThrow(/wide\.yaml: expected a task file in UTF-8/);
});

const octalTar = (size: string): Buffer => {
  const header = Buffer.alloc(512);
  header.write('member.jsonl', 0);
  header.write(size, 124);
  return Buffer.concat([header, Buffer.alloc(512)]);
};
const nested = 'bcdefghi'
  .split('')
  .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghi'[i]}`).join(',')}]`);

test.each([
  [
    'zeros.jsonl.gz',
    gzipSync(Buffer.alloc(2 ** 26)),
    /zeros\.jsonl\.gz: expected a file .* got more than \d+ bytes out of \d+ packed ones/,
  ],
  [
    'zeros.tar.gz#a',
    gzipSync(Buffer.alloc(2 ** 26)),
    /zeros\.tar\.gz: expected a file .* got more than \d+ bytes out of \d+ packed ones/,
  ],
  ['back.tar#a', octalTar('-2000'), /back\.tar: expected a tar archive, got a member of "-2000" bytes \(octal\) at 0/],
  ['far.tar#a', octalTar('77777777777'), /far\.tar: expected a tar archive, got a member of "77777777777" bytes/],
  ['wide.csv', `${','.repeat(50_000)}\n${'x\n'.repeat(2000)}`, /wide\.csv: expected a table of at most 50000000 cells/],
  ['deep.json', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /deep\.json/],
])('%s ends early, in one error', async (name, content, message) => {
  write(name.replace(/#.*/, ''), content);
  const cost = cpuSeconds(() => expect(readDocs(join(folder, name))).rejects.toThrow(message));
  expect(await cost).toBeLessThan(3);
});

test('a folder, a pipe and a device hold no documents', async () => {
  await expect(readDocs(folder)).rejects.toThrow(/expected a file of at most \d+ bytes, got a folder/);
  if (process.platform !== 'win32')
    await expect(readDocs('/dev/zero')).rejects.toThrow(/\/dev\/zero: expected a file .* got a pipe or a device/);
});

test('task files whose names stand for ever more, or that include each other over and over, end early', async () => {
  const registry = await TaskRegistry.open();
  const laughs = write('laughs.yaml', `a: &a [${'x,'.repeat(9)}x]\n${nested.join('\n')}\n`);
  await expect(registry.select([laughs])).rejects.toThrow(
    /laughs\.yaml: expected YAML, got text that is none: aliases that stand for more/,
  );
  for (let i = 0; i < 12; i++) write(`level${i}.yaml`, `include: [${Array(9).fill(`level${i + 1}.yaml`)}]\n`);
  write('level12.yaml', 'task: [\n');
  await expect(registry.select([join(folder, 'level0.yaml')])).rejects.toThrow(/level12\.yaml: expected YAML/);
  write('level12.yaml', 'output_type: loglikelihood\n');
  await expect(registry.select([join(folder, 'level0.yaml')])).rejects.toThrow(/expected at least one, got none/);
  const device = write('device.yaml', `include: ${'../'.repeat(20)}dev/zero\n`);
  if (process.platform !== 'win32') await expect(registry.select([device])).rejects.toThrow(/got a pipe or a device/);
});
