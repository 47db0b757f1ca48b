// What public calls say to arguments that do not fit: one sentence with a code, never a TypeError, and nothing is taken
// that would later be ignored or go wrong.
import { fileURLToPath } from 'node:url';
import { RelufyError } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Call, wrongEnds } from '../../../tools/testing/arguments.js';
import {
  convertModel,
  loadModel,
  looksLikePath,
  type Model,
  openModelFiles,
  parseConfig,
  planModel,
  relufy,
} from './node.js';

const bundled = fileURLToPath(new URL('../../llama-tales/model/', import.meta.url));

let model: Model;
beforeAll(async () => {
  model = await loadModel(bundled, { threads: 1 });
});
afterAll(() => model.dispose());

/** As a caller without types would. */
const loose = (value: unknown) => value as never;

async function failure(call: () => unknown): Promise<RelufyError> {
  const error = await (async () => call())().catch((thrown: unknown) => thrown);
  if (!RelufyError.is(error)) throw new Error(`expected a RelufyError, got ${String(error)}`);
  expect(error.message.length).toBeLessThan(500);
  return error;
}

describe('generate', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;

  it.each([
    ['stop', 5, 'a text or a list of texts, got 5.'],
    ['stop', /x/, 'a text or a list of texts, got /x/.'],
    ['stop', ['a', 5], 'a text or a list of texts, got ["a",5].'],
    ['stop', null, 'a text or a list of texts, got null.'],
    ['stop', circular, `a text or a list of texts, got ${'{"self":'.repeat(9)}...}}....`],
    ['signal', {}, 'an AbortSignal, got {}.'],
    ['signal', new AbortController(), 'an AbortSignal, got a AbortController.'],
    ['logprobs', 'yes', 'true, false or a whole number >= 0, got "yes".'],
    ['logprobs', Number.NaN, 'true, false or a whole number >= 0, got NaN.'],
    ['stopTokenIds', [99999], 'token ids from 0 to 4095, got [99999].'],
    ['stopTokenIds', [-1], 'token ids from 0 to 4095, got [-1].'],
    ['stopTokenIds', 3, 'token ids from 0 to 4095, got 3.'],
    ['stopTokenIds', new Array(1), 'token ids from 0 to 4095, got [undefined].'],
    ['maxNewTokens', Number.POSITIVE_INFINITY, 'a whole number >= 0, got Infinity.'],
    ['maxNewTokens', '3', 'a whole number >= 0, got "3".'],
    ['maxNewTokens', 3n, 'a whole number >= 0, got 3.'],
    ['onAbort', 'stop', 'throw or return, got "stop".'],
    ['addSpecialTokens', 'no', 'true or false, got "no".'],
    ['temperature', {}, 'a number >= 0, got {}.'],
    ['logitBias', new Map([[1, 2]]), 'an object, got a Map.'],
    ['repetitionPenalty', 1e-20, 'a number from 0.01 to 100, got 1e-20.'],
    ['seed', Number.NaN, 'a whole number, got NaN.'],
    ['topK', null, 'a whole number >= 0, got null.'],
  ])('refuses %s: %o', async (name, value, rest) => {
    const error = await failure(() => model.generate('x', loose({ [name]: value })).result);
    expect(error.code).toBe('option');
    expect(error.message).toBe(`generate option "${name}": expected ${rest}`);
  });

  it.each([[null], [5], ['x'], [[]], [new Map()], [() => {}]])('refuses %o for options', async (options) => {
    const error = await failure(() => model.generate('x', loose(options)).result);
    expect(error.message).toMatch(/^generate options: expected an object, got /);
  });

  it('refuses names that it does not know, also of what every object has', async () => {
    for (const name of ['toString', 'constructor', 'hasOwnProperty', 'Seed'])
      expect((await failure(() => model.generate('x', loose({ [name]: 1 })).result)).message).toContain(
        `generate option "${name}": unknown. Expected one of maxNewTokens, stop`,
      );
  });

  it('takes an option that is undefined for one that is left out', async () => {
    const nothing = { stop: undefined, seed: undefined, signal: undefined, logitBias: undefined, maxNewTokens: 1 };
    expect((await model.generate('x', loose(nothing)).result).tokenIds).toHaveLength(1);
  });

  it.each([[null], [undefined], [5], [{}], [[null]], [[5, { role: 'user', content: 'x' }]], [[{}]], [['x']], [[1n]]])(
    'refuses the prompt %o',
    async (prompt) => {
      expect((await failure(() => model.generate(loose(prompt)).result)).code).toBe('input');
    },
  );

  it('takes ids as a typed array', async () => {
    const options = { maxNewTokens: 2, temperature: 0 };
    const expected = await model.generate([5, 6], options).result;
    expect((await model.generate(loose(Int32Array.of(5, 6)), options).result).tokenIds).toEqual(expected.tokenIds);
  });

  it('says in a chat how long the message is, and nothing of a context that cannot grow', async () => {
    const content = 'fox '.repeat(600);
    const error = await failure(() => model.generate([{ role: 'user', content }]).result);
    expect(error.message).toMatch(
      /^Your message is too long: \d+ tokens, this model holds 512\. Shorten the message\.$/,
    );
    await using small = await loadModel(bundled, { contextLength: 64, threads: 1 });
    expect((await failure(() => small.generate([{ role: 'user', content }]).result)).message).toContain(
      'this model holds 64. Shorten the message, or load the model with a larger contextLength.',
    );
    expect((await failure(() => model.generate(content).result)).message).toMatch(/got \d+\. Shorten the prompt\.$/);
  });
});

describe('other calls of a model', () => {
  function* endless() {
    for (;;) yield 5;
  }
  it.each([
    ['forward({})', () => model.forward(loose({})), 'input ids: expected token ids, got {}.'],
    ['forward(null)', () => model.forward(loose(null)), 'input ids: expected token ids, got null.'],
    ['forward(text)', () => model.forward(loose('text')), 'input ids: expected token ids, got "text".'],
    ['forward(endless)', () => model.forward(endless()), 'expected at most 512 (the context), got more than 512.'],
    ['forward(bigint)', () => model.forward(loose([1n])), 'expected whole numbers from 0 to 4095, got 1.'],
    ['forward(hole)', () => model.forward(new Array(2)), 'expected whole numbers from 0 to 4095, got undefined.'],
    ['forward, null', () => model.forward([1], loose(null)), 'forward options: expected an object, got null.'],
    ['capture', () => model.forward([1], loose({ capture: 5 })), '"capture": expected a list of taps, got 5.'],
    ['capture text', () => model.forward([1], loose({ capture: 'o.1' })), 'expected a list of taps, got "o.1".'],
    ['score()', () => model.score(loose(undefined)), 'input ids: expected token ids, got undefined.'],
    ['score(NaN)', () => model.score([Number.NaN]), 'expected whole numbers from 0 to 4095, got NaN.'],
    ['scoreBatch', () => model.scoreBatch(loose(5)), 'scoreBatch: requests: expected a list, got 5.'],
    ['scoreBatch item', () => model.scoreBatch(loose([null])), 'input ids: expected token ids, got undefined.'],
    ['continuations', () => model.scoreContinuations([1], loose({})), 'continuations: expected a list, got {}.'],
    ['a continuation', () => model.scoreContinuations([1], loose([5])), 'continuation: expected token ids, got 5.'],
    ['encode(5)', () => model.encode(loose(5)), 'encode: expected a text, got 5.'],
    ['encode option', () => model.encode('x', loose({ special: true })), 'encode option "special": unknown.'],
    ['encode, null', () => model.encode('x', loose(null)), 'encode options: expected an object, got null.'],
    ['decode({})', () => model.decode(loose({})), 'decode: ids: expected token ids, got {}.'],
    ['decode(id)', () => model.decode([4096]), 'decode: ids: expected whole numbers from 0 to 4095, got 4096.'],
    ['decode option', () => model.decode([1], loose({ skipSpecialTokens: 1 })), 'expected true or false, got 1.'],
  ])('refuses %s', async (_, call, message) => {
    expect((await failure(call)).message).toContain(message);
  });
});

describe('loading, planning, converting', () => {
  it.each([
    [null, 'loadModel options: expected an object, got null.'],
    [5, 'loadModel options: expected an object, got 5.'],
    [{ signal: {} }, 'loadModel option "signal": expected an AbortSignal, got {}.'],
    [{ onProgress: 'yes' }, 'loadModel option "onProgress": expected a function, got "yes".'],
    [{ backend: null }, 'loadModel option "backend": expected auto, native, wasm, reference or a backend, got null.'],
    [{ backend: {} }, 'loadModel option "backend": expected auto, native, wasm, reference or a backend, got {}.'],
    [{ slots: { most: 3 } }, 'loadModel option "slots": expected a whole number from 1 to 1024'],
    [{ slots: null }, 'loadModel option "slots": expected a whole number from 1 to 1024'],
    [{ slots: { most: 3, kvBytes: Number.NaN } }, 'loadModel option "slots": expected'],
    [{ contextLength: Number.POSITIVE_INFINITY }, '"contextLength": expected a whole number >= 1, got Infinity.'],
    [{ token: 5 }, 'loadModel option "token": expected a text or false, got 5.'],
    [{ revision: /main/ }, 'loadModel option "revision": expected a text, got /main/.'],
    [{ localFilesOnly: 1 }, 'loadModel option "localFilesOnly": expected true or false, got 1.'],
    [{ waitingBytes: -1 }, 'loadModel option "waitingBytes": expected a whole number >= 0, got -1.'],
    [{ relufy: 1 }, 'relufy options: expected an object, got 1.'],
    [{ relufy: {} }, 'relufy "stage": expected 1 or 2, got undefined.'],
    [{ relufy: { stage: 1, shift: Number.NaN } }, 'relufy "shift": expected a number >= 0, got NaN.'],
  ])('loadModel refuses %o before it looks for files', async (options, message) => {
    const error = await failure(() => loadModel('/nowhere', loose(options)));
    expect(error.code).toBe('option');
    expect(error.message).toContain(message);
  });

  it.each(['https://[', 'http:', 'file://elsewhere/m', 'file:///a%2Fb', 'file://['])(
    'refuses the address %s, and as a plan',
    async (address) => {
      for (const open of [
        () => loadModel(address),
        () => openModelFiles(address),
        () => loadModel(bundled, { plan: address }),
      ])
        expect((await failure(open)).message).toMatch(
          /^model: expected (a URL|the URL of a file on this machine), got/,
        );
    },
  );

  it('tells a path from a name in the time that its length takes', () => {
    const began = process.cpuUsage();
    for (const text of ['x'.repeat(1e6), `${'x/'.repeat(2)}${'y'.repeat(1e6)}`])
      expect(looksLikePath(text)).toBe(text.includes('/'));
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(1);
    for (const path of ['a/b/c', './a', 'a/b/', 'C:/a', '~', 'm.gguf', 'a\\b'])
      expect(looksLikePath(path), path).toBe(true);
    for (const name of ['a/b', 'gpt2', 'hf:a/b', 'https://a/b/c/d']) expect(looksLikePath(name), name).toBe(false);
  });

  it.each([[null], [undefined], [5], [{}], [[]], ['']])('refuses the source %o', async (source) => {
    expect((await failure(() => loadModel(loose(source)))).message).toMatch(
      /^loadModel: model: expected a name, a path/,
    );
    expect((await failure(() => openModelFiles(loose(source)))).message).toMatch(/^openModelFiles: model: expected/);
    expect((await failure(() => planModel(loose(source)))).message).toMatch(/^planModel: files: expected an object/);
  });

  it('refuses the same elsewhere', async () => {
    const files = await openModelFiles(bundled);
    expect((await failure(() => planModel(files, loose({ dtyp: 'f32' })))).message).toContain('"dtyp": unknown');
    expect((await failure(() => openModelFiles(bundled, loose(null)))).message).toContain('got null');
    for (const [options, message] of [
      [null, 'convert options: expected an object, got null.'],
      [{}, 'convert option "dtype": expected f32, bf16, int8, int4 or uint4, got undefined.'],
      [{ dtype: 'f32', layot: 'hf' }, 'convert option "layot": unknown.'],
      [{ dtype: 'f32', layout: 'gguf' }, 'convert option "layout": expected hf or packed, got "gguf".'],
    ] as const)
      expect((await failure(() => convertModel(files, '/nowhere/out', loose(options)))).message).toContain(message);
    expect((await failure(() => convertModel(files, loose(5), { dtype: 'f32' }))).message).toContain('expected a text');
    const { spec } = parseConfig(JSON.parse((await files.readText('config.json')) as string));
    expect((await failure(() => relufy(spec, loose(null)))).message).toBe(
      'relufy options: expected an object, got null.',
    );
    expect((await failure(() => relufy(loose(null), { stage: 1 }))).message).toContain(
      'expected a ModelSpec, got null',
    );
    expect((await failure(() => parseConfig(loose(null)))).code).toBe('config');
  });
});

describe('no call ends in a TypeError, or never', () => {
  const calls: Readonly<Record<string, Call>> = {
    generate: {
      args: ['x', { maxNewTokens: 1 }],
      run: (prompt, options) => model.generate(prompt, options).result,
      options: {
        1: [
          ...[
            'maxNewTokens',
            'stop',
            'stopTokenIds',
            'signal',
            'onAbort',
            'logprobs',
            'addSpecialTokens',
            'temperature',
          ],
          ...['topK', 'topP', 'minP', 'seed', 'repetitionPenalty', 'logitBias', 'jsonSchema', 'grammar', 'tools'],
          ...['toolChoice', 'toolCallFormat', 'speculate', 'reuse'],
        ],
      },
    },
    'generate, streamed': {
      args: ['x', { maxNewTokens: 1 }],
      run: (prompt, options) => model.generate(prompt, options),
    },
    'generate, messages': {
      args: [[{ role: 'user', content: 'x' }], { maxNewTokens: 1 }],
      run: (prompt, options) => model.generate(prompt, options).result,
    },
    'a message': {
      args: [{ role: 'user', content: 'x' }],
      run: (message) => model.generate([message], { maxNewTokens: 1 }).result,
      options: { 0: ['role', 'content', 'tool_calls'] },
    },
    forward: {
      args: [[1, 2], {}],
      run: (ids, options) => model.forward(ids, options),
      options: { 1: ['logits', 'capture', 'reuse'] },
    },
    score: {
      args: [[1, 2], {}],
      run: (ids, options) => model.score(ids, options),
      options: { 1: ['capture', 'topLogprobs', 'reuse'] },
    },
    scoreBatch: { args: [[{ context: [1], continuations: [[2]] }]], run: (requests) => model.scoreBatch(requests) },
    'a request': {
      args: [{ context: [1], continuations: [[2]] }],
      run: (request) => model.scoreBatch([request]),
      options: { 0: ['context', 'continuations'] },
    },
    scoreContinuations: {
      args: [[1, 2], [[3]]],
      run: (context, continuations) => model.scoreContinuations(context, continuations),
    },
    writePlan: {
      args: [{}, {}],
      run: (numbers, options) => model.writePlan(numbers, options),
      options: { 1: ['keepCache'] },
    },
    encode: { args: ['x', {}], run: (text, options) => model.encode(text, options) },
    decode: { args: [[5], {}], run: (ids, options) => model.decode(ids, options) },
    loadModel: {
      args: ['/nowhere', { localFilesOnly: true }],
      run: (source, options) => loadModel(isRemote(source) ? '/nowhere' : source, options),
      options: {
        1: [
          ...['backend', 'threads', 'contextLength', 'slots', 'dtype', 'signal', 'onProgress', 'relufy'],
          ...[
            'sparsity',
            'memoryBudget',
            'parkedBytes',
            'waitingBytes',
            'token',
            'revision',
            'cacheDir',
            'localFilesOnly',
          ],
        ],
      },
    },
    parseConfig: { args: [{ model_type: 'llama' }], run: parseConfig },
  };

  it.each(Object.entries(calls))('%s', async (_, call) => {
    expect(await wrongEnds(call)).toEqual([]);
    // nothing of it is left behind: no slot is taken, no lock is held
    expect((await model.generate('Once', { maxNewTokens: 2, temperature: 0 }).result).tokenIds).toHaveLength(2);
  });
});

/** A name or an address that a server would be asked for. */
const isRemote = (source: unknown): boolean => source instanceof URL || source === 'x' || Object(source) === 'x';
