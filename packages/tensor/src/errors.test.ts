import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { show, showNames } from './index.js';

describe('show', () => {
  it('writes JSON', () => {
    for (const value of ['a', '"', 1, true, null, [1, [2], {}], { a: { b: [] } }, [], {}])
      expect(show(value)).toBe(JSON.stringify(value));
    expect(show({ a: undefined, b: 1 })).toBe('{"b":1}');
    expect(show(new URL('http://x/'))).toBe('"http://x/"');
    expect([show(undefined), show(Number.NaN), show(-1 / 0), show(2n ** 64n), show(Symbol('s'))]).toEqual([
      ...['undefined', 'NaN', '-Infinity', '18446744073709551616', 'Symbol(s)'],
    ]);
    expect(show(new Float32Array([1, Number.NaN]))).toBe('[1,NaN]');
    expect(show(new BigUint64Array([1n]))).toBe('[1]');
  });

  it.each([
    [/x/g, '/x/g'],
    [new Error('no'), 'Error: no'],
    [new Map(), 'a Map'],
    [() => 1, 'a function'],
    [-0, '0'],
    [{ a: 3n }, '{"a":3}'],
  ])('tells %o', (value, expected) => expect(show(value)).toBe(expected));

  it('ends after a line, whatever it gets', async () => {
    const circular: unknown[] = [];
    circular.push(circular, circular);
    let deep: unknown = 0;
    for (let i = 0; i < 1e5; i++) deep = [deep];
    const values = [
      'x'.repeat(2 ** 28),
      new Array(1e7).fill('abc'),
      new Uint8Array(2 ** 28),
      new BigInt64Array(1e6),
      Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`k${i}`, i])),
      circular,
      deep,
      { toJSON: () => circular },
      {
        get a() {
          throw new Error('no');
        },
      },
      show,
    ];
    const cost = cpuSeconds(() => {
      for (const value of values) expect(show(value).length).toBeLessThanOrEqual(80);
    });
    expect(await cost).toBeLessThan(2);
  });

  it('keeps what a terminal would act on from it', () => {
    const written = show('\u001b[2J\u009b2J\u007f\u202e\u2028\ufeff\u200b\r\n');
    expect(written).toBe('"\\u001b[2J\\u009b2J\\u007f\\u202e\\u2028\\ufeff\\u200b\\r\\n"');
    expect(show({ '\u009b': 1 })).toBe('{"\\u009b":1}');
  });

  it('lists a few names, and how many more there are', () => {
    expect(showNames([])).toBe('');
    expect(showNames(['a', 'b\u001b[2J'])).toBe('a, b\\u001b[2J');
    expect(showNames(['a', 'b', 'c', 'd'], 2)).toBe('a, b and 2 more');
    const many = Array.from({ length: 200_000 }, (_, i) => `${i}`.padStart(1000, 'x'));
    expect(showNames(many).length).toBeLessThan(600);
    expect(showNames(new Map([['key', 1]]).keys())).toBe('key');
  });
});
