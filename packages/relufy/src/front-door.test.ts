// The package as an application imports it, and what names a model.
import { fileURLToPath } from 'node:url';
import { modelUrl, modelUrls } from '@relufy/llama-tales';
import { describe, expect, test } from 'vitest';
import * as browser from './index.js';
import { loadModel, type ModelSource, RelufyError, relufy } from './node.js';
import { resolveSource } from './source.js';

const nowhere = async () => false;

describe('resolveSource', () => {
  const opened = (source: ModelSource) => ({
    name: typeof source === 'object' && 'name' in source ? String(source.name) : String(source),
    open: async () => undefined,
    readText: async () => undefined,
  });
  const open = async (source: ModelSource) => opened(source);

  test('a bundled name is the files behind its URLs, under its name', async () => {
    const sources: ModelSource[] = [];
    const record = async (source: ModelSource) => {
      sources.push(source);
      return opened(source);
    };
    expect((await resolveSource('llama-tales', nowhere, record)).name).toBe('llama-tales');
    expect(sources).toEqual([{ name: 'llama-tales', urls: modelUrls() }]);
  });

  test('URLs, files and what exists pass', async () => {
    for (const source of ['https://example.org/m/', 'file:///m', new URL('file:///m')])
      expect((await resolveSource(source, nowhere, open)).name).toBe(String(source));
    expect((await resolveSource('./m', async () => true, open)).name).toBe('./m');
  });

  test('anything else is one error that lists what is accepted', async () => {
    await expect(resolveSource('llama-tale', nowhere, open)).rejects.toThrow(
      'model: expected "llama-tales" (bundled), a path or URL of a folder in Hugging Face layout or of a GGUF, or a name on the hub such as "facebook/opt-125m", got "llama-tale". Did you mean llama-tales?',
    );
    await expect(browser.loadModel('nowhere')).rejects.toThrow(RelufyError);
    const paths = [
      './nope',
      '../nope',
      '/x/y.gguf',
      '~/nope',
      'x/y.gguf',
      'a/b/c',
      'nope.gguf',
      'nope/',
      '.\\nope',
      'C:\\nope',
    ];
    for (const path of [...paths, 'file:///x/nope'])
      await expect(loadModel(path)).rejects.toThrow(
        `model: no such file or folder: ${JSON.stringify(path)}. Check the path.`,
      );
    await expect(loadModel('lama-tales')).rejects.toThrow('got "lama-tales". Did you mean llama-tales?');
    await expect(loadModel('nowhere')).rejects.toThrow('got "nowhere"');
  });
});

test('loadModel takes the bundled name and a folder, and gives the same model', async () => {
  expect(typeof relufy).toBe('function');
  const texts = [];
  for (const source of ['llama-tales', fileURLToPath(modelUrl)]) {
    await using model = await loadModel(source, { threads: 1, contextLength: 64 });
    texts.push((await model.generate('Once upon a time', { maxNewTokens: 8, temperature: 0 }).result).text);
  }
  expect(texts[0]).toMatch(/\w/);
  expect(texts[1]).toBe(texts[0]);
});
