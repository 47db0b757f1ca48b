import { expect, it } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { jsonText, parseJson } from './index.js';

it('reads what Python writes', () => {
  expect(parseJson('{"a": NaN, "b": [Infinity, -Infinity,NaN], "NaN": "Infinity \\" NaN"}')).toEqual({
    a: Number.NaN,
    b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
    NaN: 'Infinity " NaN',
  });
  expect(parseJson('NaN')).toBeNaN();
  expect(parseJson(' -Infinity ')).toBe(Number.NEGATIVE_INFINITY);
  expect(parseJson('{"a":"\\\\","b":NaN}')).toEqual({ a: '\\', b: Number.NaN });
  const plain = '{"a":[1,2.5e3,true,null,"x\\u0041"]}';
  expect(parseJson(plain)).toEqual(JSON.parse(plain));
});

it('takes nothing else', () => {
  for (const text of [
    '',
    '{',
    '{"a":nan}',
    '{"a":-NaN}',
    '{"a":NaNo}',
    '{"a":+Infinity}',
    '{"a":Infinit}',
    '{NaN:1}',
    '["x]',
    'None',
  ])
    expect(() => parseJson(text), text).toThrow(SyntaxError);
});

it('refuses nesting before it costs memory', async () => {
  const cost = cpuSeconds(() => {
    expect(() => parseJson('['.repeat(2 ** 24))).toThrow('200 levels');
    expect(() => parseJson('{"a":'.repeat(2 ** 21))).toThrow('200 levels');
  });
  expect(await cost).toBeLessThan(1);
  expect(parseJson(`${'['.repeat(200)}${']'.repeat(200)}`)).toBeDefined();
  expect(parseJson(JSON.stringify('['.repeat(1000)))).toBe('['.repeat(1000));
});

it('writes what it has no number for by name, as JSON that every reader takes', () => {
  const value = {
    a: Number.NaN,
    b: [Number.POSITIVE_INFINITY, -Number.POSITIVE_INFINITY, 1e-9],
    c: null,
    d: undefined,
  };
  expect(JSON.parse(jsonText(value))).toEqual({ a: 'NaN', b: ['Infinity', '-Infinity', 1e-9], c: null });
  expect(jsonText({ a: 1 }, 2)).toBe('{\n  "a": 1\n}');
});
