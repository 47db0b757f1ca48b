// Data sets of the hub, from a local server that speaks its routes: Parquet shards, subsets, the cache, and their errors.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { FakeHub } from '../../../packages/checkpoint/testing/fake-hub.js';
import { readDocs } from './data-files.js';
import { loadDocs, splitFiles } from './task-data.js';
import { readTask } from './task-file.js';

const readTaskFile = (fields: object) =>
  readTask('mine.yaml', {
    task: 'mine',
    test_split: 'test',
    doc_to_text: '{{q}}',
    doc_to_target: '{{label}}',
    output_type: 'loglikelihood',
    ...fields,
  });
const hub = new FakeHub();
hub.kind = 'datasets';
hub.repository = 'user/colours';
const retry = { attempts: 2, pauseMs: 5 };
let cacheDir: string;

const parquet = (questions: readonly string[]): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'q', data: [...questions], type: 'STRING' },
        { name: 'label', data: questions.map((_, at) => BigInt(at)), type: 'INT64' },
        { name: 'choices', data: questions.map(() => ({ text: ['red', 'green'] })), type: 'JSON' },
      ],
    }),
  );
const lines = (docs: readonly object[]): Uint8Array =>
  new TextEncoder().encode(docs.map((doc) => JSON.stringify(doc)).join('\n'));

beforeAll(() => hub.start());
afterAll(() => {
  hub.stop();
  vi.unstubAllEnvs();
});
beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'relufy-hub-data-'));
  for (const name of ['HF_TOKEN', 'HF_HUB_OFFLINE', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'])
    vi.stubEnv(name, '');
  vi.stubEnv('HF_ENDPOINT', hub.url);
  vi.stubEnv('HF_HOME', cacheDir);
  hub.requests.length = 0;
  hub.tokens.length = 0;
  hub.files.clear();
  hub.files.set('README.md', { content: lines([{}]) });
  hub.files.set('main/test-00001-of-00002.parquet', { content: parquet(['c']), large: true });
  hub.files.set('main/test-00000-of-00002.parquet', { content: parquet(['a', 'b']), large: true });
  hub.files.set('other/test.jsonl', { content: lines([{ q: 'other' }]) });
  hub.files.set('other/dev.jsonl.gz', { content: gzipSync(lines([{ q: 'dev' }])) });
});

const load = (subset: string, split = 'test', options: object = {}) =>
  loadDocs(readTaskFile({ dataset_path: 'user/colours', dataset_name: subset }), split, {
    hub: { cacheDir, retry, ...options },
  });

test('shards of a subset are read in order, with numbers and nested values as in JSON', async () => {
  const docs = await load('main', 'test', { token: 'hf_secret' });
  expect(docs).toEqual([
    { q: 'a', label: 0, choices: { text: ['red', 'green'] } },
    { q: 'b', label: 1, choices: { text: ['red', 'green'] } },
    { q: 'c', label: 0, choices: { text: ['red', 'green'] } },
  ]);
  expect(hub.bodies()).toHaveLength(2);
  expect(new Set(hub.tokens)).toEqual(new Set(['Bearer hf_secret']));
});

test('other subsets and spellings of a split, plain and gzipped JSON lines', async () => {
  expect(await load('other')).toEqual([{ q: 'other' }]);
  expect(await load('other', 'validation')).toEqual([{ q: 'dev' }]);
});

test('the second time nothing is downloaded, and offline the cache answers', async () => {
  const first = await load('main');
  hub.requests.length = 0;
  expect(await load('main')).toEqual(first);
  expect(hub.bodies()).toEqual([]);
  hub.requests.length = 0;
  expect(await load('main', 'test', { localFilesOnly: true })).toEqual(first);
  expect(hub.requests).toEqual([]);
});

test('each thing that is missing is one clear error', async () => {
  await expect(load('main', 'train')).rejects.toThrow(
    /mine: expected the split "train" of "main" in the data set "user\/colours", got main\/test-0000/,
  );
  await expect(load('main', 'test', { localFilesOnly: true, cacheDir: join(cacheDir, 'empty') })).rejects.toThrow(
    /hub dataset "user\/colours": revision "main", expected in the cache/,
  );
  const nowhere = readTaskFile({ dataset_path: 'user/nothing', dataset_name: 'x' });
  await expect(loadDocs(nowhere, 'test', { hub: { cacheDir, retry } })).rejects.toThrow(
    /hub dataset "user\/nothing": expected a dataset of this name, got status 404/,
  );
  await expect(loadDocs(nowhere, 'test', { hub: false })).rejects.toThrow(/Name the folder/);
});

test('a broken Parquet file is named', async () => {
  const path = join(cacheDir, 'broken.parquet');
  writeFileSync(path, parquet(['a']).subarray(0, 40));
  await expect(readDocs(path)).rejects.toThrow(/broken\.parquet: expected a Parquet file, got/);
});

test('which files hold a split', () => {
  const paths = ['data/train-00000-of-00001.parquet', 'data/test-00000-of-00001.parquet', 'data/test.csv', 'test.md'];
  expect(splitFiles(paths, undefined, 'test')).toEqual(['data/test-00000-of-00001.parquet']);
  expect(splitFiles(paths, 'default', 'train')).toEqual(['data/train-00000-of-00001.parquet']);
  expect(splitFiles(['ARC-Easy/test.jsonl', 'ARC-Challenge/test.jsonl'], 'ARC-Easy', 'test')).toEqual([
    'ARC-Easy/test.jsonl',
  ]);
  expect(splitFiles(['contest.jsonl', 'latest.json'], undefined, 'test')).toEqual([]);
});
