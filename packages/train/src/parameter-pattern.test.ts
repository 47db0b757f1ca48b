import { expect, test } from 'vitest';
import { parseRunConfig } from './config.js';
import { parameterPattern } from './parameter-pattern.js';

test('names what the engine would', () => {
  for (const source of ['norm', '^layers\\.[01]\\.', '(gate|up)\\.weight$', '\\d+', '(?<!Norm)\\.weight'])
    for (const name of ['layers.0.gate.weight', 'layers.12.attentionNorm.weight', 'embedTokens', ''])
      expect(parameterPattern(source)(name), `${source} ${name}`).toBe(new RegExp(source).test(name));
});

test.each(['(.+)+$!', '(\\w*\\.?)*!', '(l|a|la|.)+!'])('%s ends with an answer or one error', (source) => {
  const began = process.cpuUsage();
  try {
    expect(parameterPattern(source)(`layers.${'0'.repeat(60)}.attentionNorm.weight`)).toBe(false);
  } catch (error) {
    expect(error).toMatchObject({ code: 'config', message: expect.stringContaining('optimizer.groups match') });
  }
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(3);
});

test('what is no pattern is told with its key', () => {
  const config = {
    model: { from: 'm' },
    data: [{ path: 'a.txt' }],
    contextLength: 8,
    steps: 1,
    optimizer: { learningRate: 1, groups: [{ match: '(' }] },
    out: 'out',
  };
  expect(() => parseRunConfig(config)).toThrow(/match.*a regular expression/);
});
