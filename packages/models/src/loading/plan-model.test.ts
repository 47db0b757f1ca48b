// config.json as Python writes it: a number that JSON has no word for is an error only for whoever reads it.
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parseConfig } from '../families/index.js';
import { parseJson } from './plan-model.js';

const modelUrl = new URL('../../../llama-tales/model/', import.meta.url);

const text = await readFile(new URL('config.json', modelUrl), 'utf8');
const withKey = (key: string, value: string) => text.replace('{', `{ "${key}": ${value},`);
const read = (config: string) => parseConfig(parseJson('m', 'config.json', config)).spec;

test('NaN and Infinity load where nobody reads them', () => {
  const plain = read(text);
  for (const value of ['NaN', '-Infinity', 'Infinity', '[NaN, {"a": -Infinity}]'])
    expect(read(withKey('router_jitter', value))).toEqual(plain);
});

test('where somebody does, the error names the key', () => {
  for (const value of ['NaN', '-Infinity', 'Infinity']) {
    const config = text.replace(/"rms_norm_eps": [^,\n]+/, `"rms_norm_eps": ${value}`);
    expect(() => read(config)).toThrow(`config "rms_norm_eps": expected a positive number, got ${value}`);
  }
  expect(() => read('{"a": nan}')).toThrow('m config.json: expected JSON, got "{\\"a\\": nan}"');
  expect(() => read('['.repeat(1e6))).toThrow('expected JSON');
});
