// YAML of strangers: what costs the parser much is counted and refused. Limits are of work and of processor time.
import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { parseYaml } from './yaml.js';

describe('parseYaml', () => {
  it('gives plain values, and what tags stand for', () => {
    const tags = { '!name': (text: string) => text.toUpperCase() };
    expect(parseYaml('w', 'a: [1, &x two, *x, null]\nb: !name abc\n', { tags })).toEqual({
      a: [1, 'two', 'two', null],
      b: 'ABC',
    });
    expect(parseYaml('w', '')).toBe(null);
  });

  it('takes what people write: a text of a megabyte, thousands of values, aliases', () => {
    const text = `t: |\n${'  some words\n'.repeat(100_000)}list: [${'1, '.repeat(10_000)}]\na: &a 1\nb: [${'*a, '.repeat(900)}]`;
    const value = parseYaml('w', text) as Record<string, readonly unknown[]>;
    expect([value.t?.length, value.list?.length, value.b?.length]).toEqual([1_100_000, 10_000, 900]);
  });

  it('says the line of an error', () => {
    expect(() => parseYaml('run.yaml', 'a: 1\nb: [1\nc: 2\n')).toThrow(
      /^run\.yaml: expected YAML, got text that is none: .* in line \d\. Correct the file\.$/,
    );
    expect(() => parseYaml('w', 'steps: 1\nsteps: 2\n')).toThrow(/Map keys must be unique in line 2/);
  });

  const named = (i: number) => `&a${i} 1, *a${i}`;
  const many = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i));
  it.each(['- ', '? ', '[', '{a: ', '- ? '])('"%s" within itself without end is one error', (opening) => {
    for (const count of [300, 2500, 10_000, 29_000])
      expect(() => parseYaml('f', `${opening.repeat(count)}x`), String(count)).toThrow(
        expect.objectContaining({ code: 'option' }),
      );
    expect(parseYaml('f', `${'- '.repeat(100)}x`)).toBeDefined();
  });

  it.each([
    ['lists', `a: [${'{},'.repeat(300_000)}]`],
    ['values', 'a:\n'.concat('- x\n'.repeat(300_000))],
    ['comments', '# x\n'.repeat(300_000)],
    ['brackets that close nothing', `a: [${'}'.repeat(90_000)}`],
    ['directives', '%x\n'.repeat(45_000)],
    ['names and what they stand for', `a: [${many(14_000, named).join(', ')}]`],
    ['aliases', `a: [&a 1,${'*a,'.repeat(30_000)}]`],
    [
      'aliases of aliases',
      many(40, (i) => `a${i}: &a${i} [*a${Math.max(0, i - 1)}, *a${Math.max(0, i - 1)}]`).join('\n'),
    ],
    ['more keys than tokens', many(30_000, (i) => `k${i}: 1`).join('\n')],
    ['keys', many(11_000, (i) => `k${i}: 1`).join('\n')],
    ['nested lists', `a: ${'['.repeat(90_000)}`],
    ['nested keys', '? '.repeat(45_000)],
    ['nested blocks', many(2000, (i) => `${' '.repeat(i)}a:`).join('\n')],
    ['documents', '---\n'.repeat(45_000)],
    ['quotes', `a: "${'\\x41'.repeat(500_000)}`],
  ])('%s without end are one error, soon', async (_, text) => {
    const refused = async () => {
      expect(() => parseYaml('w', text)).toThrow(
        /^w: expected YAML, got text that is none: .{5,200}\. Correct the file\.$/,
      );
    };
    expect(await cpuSeconds(refused)).toBeLessThan(3);
  });

  it('unknown tags of every value are no work for the line of each', async () => {
    const text = `a: [${'!x 1,'.repeat(11_000)}]`;
    expect(await cpuSeconds(async () => void parseYaml('w', text))).toBeLessThan(2);
  });
});
