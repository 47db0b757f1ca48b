// The reader of configs: defaults, null, bounds, nested paths in errors, keys that nobody asked for, and keys of yesterday.
import { describe, expect, it } from 'vitest';
import { ConfigReader, type ConfigSource, type RelufyError } from './index.js';

const source: ConfigSource = { where: 'run.yaml', code: 'option' };
const read = (values: unknown, more: Partial<ConfigSource> = {}) => new ConfigReader({ ...source, ...more }, values);

describe('a config', () => {
  it('gives values, defaults where a key is absent or null, and what lies within', () => {
    const config = read({
      layers: 3,
      rate: null,
      name: 'a',
      on: true,
      kind: 'x',
      within: { size: 2 },
      list: [{ n: 1 }],
    });
    expect(config.size('layers')).toBe(3);
    expect(config.positive('rate', 0.5)).toBe(0.5);
    expect(config.text('name')).toBe('a');
    expect(config.flag('on', false)).toBe(true);
    expect(config.choice('kind', ['x', 'y'])).toBe('x');
    expect(config.object('within')?.whole('size')).toBe(2);
    expect(config.list('list').map((item) => item.number('n'))).toEqual([1]);
    expect(config.object('absent')).toBeUndefined();
    expect(config.section('absent').whole('n', 4)).toBe(4);
    expect(config.has('rate')).toBe(false);
    expect(config.withDefaults({ rate: 2, layers: 5 }).number('rate')).toBe(2);
    expect(config.withDefaults({ layers: 5 }).size('layers')).toBe(3);
  });

  it.each<[unknown, (config: ConfigReader) => unknown, string]>([
    [[], () => {}, 'run.yaml: expected keys and values, got [].'],
    [{ n: 0 }, (c) => c.size('n'), 'run.yaml "n": expected a whole number from 1 to 16777216, got 0.'],
    [{}, (c) => c.whole('n'), 'run.yaml "n": expected a whole number >= 1, got nothing.'],
    [{ n: 2 }, (c) => c.number('n', 0, 0, 1), 'run.yaml "n": expected a number from 0 to 1, got 2.'],
    [{ n: Number.NaN }, (c) => c.positive('n'), 'run.yaml "n": expected a positive number, got NaN.'],
    [{ n: '' }, (c) => c.text('n'), 'run.yaml "n": expected a text, got "".'],
    [{ n: 'z' }, (c) => c.choice('n', ['x', 'y']), 'run.yaml "n": expected x, y, got "z".'],
    [{ n: 1 }, (c) => c.object('n'), 'run.yaml "n": expected an object, got 1.'],
    [{ a: { n: 'q' } }, (c) => c.object('a')?.flag('n', true), 'run.yaml "a.n": expected true or false, got "q".'],
    [{ a: [{}, 7] }, (c) => c.list('a'), 'run.yaml "a.1": expected keys and values, got 7.'],
    [{ n: 1 }, (c) => c.neutral('n', (value) => value === 0, '0', 'Leave it out.'), 'expected 0, got 1. Leave it out.'],
  ])('%j is refused by its key', (values, ask, message) => {
    try {
      ask(read(values));
    } catch (error) {
      expect((error as RelufyError).code).toBe('option');
      expect((error as Error).message).toContain(message);
      return;
    }
    expect.unreachable();
  });

  it('refuses keys that were never asked for, and those that have another name', () => {
    const config = read({ a: 1, b: 2 });
    config.whole('a');
    expect(() => config.end()).toThrow('run.yaml "b": unknown. Expected one of a.');
    config.whole('b');
    config.end();
    const renamed = (path: string) => (path === 'o.old' ? 'o.new' : undefined);
    expect(() => read({ o: { old: 1 } }, { renamed }).object('o')).toThrow(
      'run.yaml "o.old": expected the name "o.new", got "old". Rename it.',
    );
  });
});
