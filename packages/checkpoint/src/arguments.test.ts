// What public calls say to arguments that do not fit: a sentence with a code, never a TypeError, and nothing is taken that
// would later be ignored, wait for ever or be asked of a server.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RelufyError } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Call, wrongEnds } from '../../../tools/testing/arguments.js';
import type { ModelFiles } from './index.js';
import * as checkpoint from './index.js';
import * as node from './node.js';

const bundled = fileURLToPath(new URL('../../llama-tales/model/', import.meta.url));
const loose = (value: unknown) => value as never;
const tensor = { name: 'a', dtype: 'F32', shape: [1], data: new Float32Array(1) };
const address = new URL('http://127.0.0.1/api/models/a/tree/main');
const noFetch = (async () => new Response('', { status: 404 })) as typeof fetch;
const cached = { localFilesOnly: true, retry: { attempts: 1 } };

let folder: string;
let files: ModelFiles;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'relufy-arguments-'));
  process.chdir(folder); // a path that is a name is written here
  files = await node.folderFiles(bundled);
});
afterAll(() => {
  process.chdir(tmpdir());
  rmSync(folder, { recursive: true, force: true });
});

const small = checkpoint.memoryFiles('m', { 'config.json': '{}' });
const ownFetch = (options: object) => ({ fetch: noFetch, attempts: 1, ...options });

const calls: Readonly<Record<string, Call>> = {
  httpFiles: {
    args: ['http://127.0.0.1/', ownFetch({})],
    run: (url, init) => checkpoint.httpFiles(url, init).readText('config.json'),
    options: { 1: ['headers', 'credentials', 'attempts', 'timeoutMs', 'files'] },
  },
  hubListing: {
    args: [address, { fetch: noFetch }],
    run: checkpoint.hubListing,
    options: { 1: ['headers', 'timeoutMs'] },
  },
  memoryFiles: {
    args: ['m', { 'config.json': '{}' }],
    run: (name, contents) => checkpoint.memoryFiles(name, contents).readText('config.json'),
    options: { 1: ['config.json'] },
  },
  'files.open': { args: ['config.json'], run: (file) => small.open(file) },
  'files.readText': {
    args: ['config.json', {}],
    run: (file, options) => small.readText(file, options),
    options: { 1: ['limitBytes', 'signal'] },
  },
  urlFiles: {
    args: ['m', { 'config.json': 'data:,x' }],
    run: (name, urls) => checkpoint.urlFiles(name, urls).readText('config.json'),
    options: { 1: ['config.json'] },
  },
  localUrlFiles: {
    args: ['m', { 'config.json': 'data:,x' }],
    run: (name, urls) => node.localUrlFiles(name, urls).readText('config.json'),
    options: { 1: ['config.json'] },
  },
  openCheckpoint: { args: [small], run: checkpoint.openCheckpoint },
  openGguf: { args: [small, 'a.gguf'], run: checkpoint.openGguf },
  dequantize: { args: ['Q8_0', new Uint8Array(34)], run: checkpoint.dequantize },
  ggufToConfig: { args: [new Map()], run: checkpoint.ggufToConfig },
  streamGguf: {
    args: [small, { type: 'q8_0' }],
    run: checkpoint.streamGguf,
    options: { 1: ['type', 'config', 'name', 'onProgress', 'signal'] },
  },
  encodeSafetensors: {
    args: [[tensor], {}],
    run: checkpoint.encodeSafetensors,
    options: { 1: ['metadata', 'alignment', 'signal'] },
  },
  'a tensor': {
    args: [tensor],
    run: (one) => checkpoint.encodeSafetensors([one]),
    options: { 0: ['name', 'dtype', 'shape', 'data'] },
  },
  folderFiles: { args: [bundled, {}], run: node.folderFiles, options: { 1: ['followLinks'] } },
  hubFiles: {
    args: ['a/b', cached],
    run: (id, options) => node.hubFiles(id, offline(options)),
    options: { 1: ['revision', 'subfolder', 'token', 'cacheDir', 'onProgress', 'signal', 'parallel', 'retry'] },
  },
  hubDataFiles: {
    args: ['a/b', () => [], cached],
    run: (id, wanted, options) => node.hubDataFiles(id, wanted, offline(options)),
    options: { 2: ['revision', 'parallel'] },
  },
  parseHubId: { args: ['a/b'], run: node.parseHubId },
  writeGguf: { args: ['m.gguf', small, { type: 'q8_0' }], run: node.writeGguf },
  writeSafetensors: { args: ['m.safetensors', [tensor], {}], run: node.writeSafetensors },
  writeAtomically: { args: ['m.txt', 'x'], run: node.writeAtomically },
  writeFolder: { args: ['m', async () => {}, { replace: true }], run: node.writeFolder },
};

/** Options that are objects ask no server. */
const offline = (options: unknown) =>
  loose(
    Object.prototype.toString.call(options) === '[object Object]' ? { ...cached, ...(options as object) } : options,
  );

describe('no call ends in a TypeError', () => {
  it.each(Object.entries(calls))('%s', async (_, call) => {
    expect(await wrongEnds(call)).toEqual([]);
  });
});

const dataOf = (data: unknown) => checkpoint.encodeSafetensors([{ ...tensor, data: loose(data) }]);

it.each([
  ['attempts', () => checkpoint.httpFiles('http://a/', loose({ attempts: Number.NaN })), 'from 1 to 100, got NaN'],
  ['timeoutMs', () => checkpoint.httpFiles('http://a/', { timeoutMs: Number.POSITIVE_INFINITY }), 'got Infinity'],
  ['an unknown name', () => checkpoint.httpFiles('http://a/', loose({ timeout: 5 })), 'option "timeout": unknown'],
  ['no URL', () => checkpoint.httpFiles('models/mine'), 'httpFiles: address: expected a URL, got "models/mine"'],
  [
    'a number as content',
    () => checkpoint.memoryFiles('m', loose({ a: 5 })),
    'expected bytes (a Uint8Array) or a text',
  ],
  ['a signal', () => small.readText('a', loose({ signal: {} })), 'readText option "signal": expected an AbortSignal'],
  ['no limit', () => small.readText('a', loose({ limitBytes: '5' })), '"limitBytes": expected a whole number >= 0'],
  ['files', () => checkpoint.openCheckpoint(loose('./folder')), 'openCheckpoint: files: expected an object with name'],
  ['bytes', () => checkpoint.dequantize('Q8_0', new Uint8Array(35)), 'whole blocks of 34 bytes for Q8_0, got 35 bytes'],
  ['a type', () => checkpoint.dequantize('toString', new Uint8Array(0)), 'dequantize: type: expected one of F32'],
  ['no type', () => node.writeGguf('m.gguf', files, loose({})), 'writeGguf option "type": expected f32, f16, q8_0 or'],
  ['type', () => node.writeGguf('m.gguf', files, loose({ type: 'q4_k' })), 'q8_0 or q4_0, got "q4_k"'],
  ['dtype', () => node.writeGguf('m.gguf', files, loose({ dtype: 'q8_0' })), 'option "dtype": unknown'],
  ['a path', () => node.writeGguf(loose(5), files, { type: 'f16' }), 'writeGguf: path: expected the path of a file'],
  ['a path with NUL', () => node.writeAtomically('a\0b', 'x'), 'writeAtomically: path: expected the path of a file'],
  ['a list as content', () => node.writeAtomically('a', loose([1, 2])), 'expected a text, bytes or pieces of bytes'],
  ['pieces', () => dataOf(() => [1, 2, 3, 4]), 'data of "a": expected pieces of bytes, got 1'],
  ['no pieces', () => dataOf(() => 4), 'data of "a": expected pieces of bytes, one after the other, got 4'],
  ['metadata', () => node.writeSafetensors('a', [], loose({ metadata: { a: 1 } })), 'expected an object of texts'],
  ['a branch', () => node.hubFiles('a/b', loose({ ...cached, branch: 'x' })), 'hubFiles option "branch": unknown'],
  ['retry', () => node.hubFiles('a/b', loose({ ...cached, retry: { attempts: 0 } })), 'from 1 to 100, got 0'],
  ['parallel', () => node.hubFiles('a/b', { ...cached, parallel: Number.NaN }), 'from 1 to 64, got NaN'],
  ['a token', () => node.hubFiles('a/b', loose({ ...cached, token: 5 })), 'expected a text or false, got 5'],
  ['followLinks', () => node.folderFiles(bundled, loose({ followLinks: 'no' })), 'expected true or false, got "no"'],
])('refuses what it would ignore, or wait for: %s', async (_, call, message) => {
  const error = await (async () => call())().catch((thrown: unknown) => thrown);
  expect(RelufyError.is(error), String(error)).toBe(true);
  expect((error as Error).message).toContain(message);
});
