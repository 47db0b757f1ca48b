// Names that keys of a run's config had, and those of Hugging Face's Trainer: refused with the name of today, and read
// where an earlier version wrote them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';
import { inTodaysWords } from './config-names.js';
import { parseRunConfig, readRunConfig } from './index.js';

const base = {
  model: { from: './model' },
  data: [{ path: 'a.txt' }],
  contextLength: 8,
  steps: 10,
  optimizer: { learningRate: 1e-3 },
  out: 'run',
};

/** The base with a value at a path. */
function withKey(path: string, value: unknown): Record<string, unknown> {
  const [first, ...rest] = path.split('.') as [string, ...string[]];
  if (rest.length === 0) return { ...base, [first]: value };
  const section = base[first as keyof typeof base] as Record<string, unknown>;
  return { ...base, [first]: { ...section, [rest.join('.')]: value } };
}

describe('a name of before', () => {
  it.each([
    ['parts', 'gradientAccumulationSteps', 2],
    ['recompute', 'gradientCheckpointing', true],
    ['penalty', 'l1', [{ until: 3, lambda: 0.1 }]],
    ['helu', 'heluAlpha', 0.05],
    ['model.initDeviation', 'model.initializerRange', 0.1],
    ['optimizer.maxNorm', 'optimizer.maxGradNorm', 0.5],
    ['optimizer.averageDecay', 'optimizer.emaDecay', 0.9],
    ['optimizer.floor', 'optimizer.minLrRatio', 0.2],
    ['optimizer.decayShare', 'optimizer.decayRatio', 0.3],
  ])('%s is refused with today’s, %s', (before, now, value) => {
    expect(() => parseRunConfig(withKey(before, value))).toThrow(
      `config "${before}": expected the name "${now}", got "${before.split('.').at(-1)}". Rename it.`,
    );
    parseRunConfig(withKey(now, value));
  });

  it('in a list is refused too', () => {
    const groups = (group: object) => withKey('optimizer.groups', [{ match: 'embed', ...group }]);
    expect(() => parseRunConfig(groups({ rate: 0.5 }))).toThrow(
      'config "optimizer.groups.0.rate": expected the name "optimizer.groups.lrScale", got "rate". Rename it.',
    );
    const { optimizer } = parseRunConfig(groups({ lrScale: 0.5, weightDecay: 0.1 }));
    expect(optimizer.groups).toEqual([{ match: 'embed', weightDecay: 0.1, lrScale: 0.5 }]);
  });

  it('is read where an earlier version wrote it', () => {
    const schedule = { kind: 'wsd', minLrRatio: 0.1, decayRatio: 0.3 };
    const now = {
      model: { from: 'm', config: { parts: 1 }, initializerRange: 0.02 },
      gradientAccumulationSteps: 2,
      optimizer: { schedule, maxGradNorm: 1, emaDecay: 0, groups: [{ match: 'e', weightDecay: 0, lrScale: 2 }] },
      l1: [{ until: 1, lambda: 2 }],
      heluAlpha: 0,
      gradientCheckpointing: false,
    };
    const before = {
      model: { from: 'm', config: { parts: 1 }, initDeviation: 0.02 },
      parts: 2,
      optimizer: {
        schedule: { kind: 'wsd', floor: 0.1, decay: 0.3 },
        ...{ maxNorm: 1, averageDecay: 0, groups: [{ match: 'e', weightDecay: 0, rate: 2 }] },
      },
      penalty: [{ until: 1, lambda: 2 }],
      helu: 0,
      recompute: false,
    };
    // keys in their places: what is compared is text
    expect(JSON.stringify(inTodaysWords(before))).toBe(JSON.stringify(now));
    expect(JSON.stringify(inTodaysWords(now))).toBe(JSON.stringify(now));
  });
});

it.each([
  ['max_steps', 'steps'],
  ['learning_rate', 'optimizer.learningRate'],
  ['maxGradNorm', 'optimizer.maxGradNorm'],
  ['gradient_accumulation_steps', 'gradientAccumulationSteps'],
  ['eval_steps', 'evaluation.every'],
  ['optimizer.adam_beta1', 'optimizer.beta1'],
  ['optimizer.weight_decay', 'optimizer.weightDecay'],
])('%s of the Trainer is refused with ours, %s', (theirs, ours) => {
  expect(() => parseRunConfig(withKey(theirs, 1))).toThrow(`config "${theirs}": expected the name "${ours}"`);
});

it.each(['constructor', '__proto__', 'toString'])('%s, which every object has, is no name of earlier', (key) => {
  const config = { ...base, [key]: 1 };
  expect(() => parseRunConfig(config)).toThrow(`config "${key}": unknown`);
});

it('a file of thirty thousand keys, or of one that is there twice, is one error, soon', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'relufy-keys-')), 'run.yaml');
  const read = async (text: string) => {
    writeFileSync(file, text);
    await readRunConfig(file);
  };
  const keys = Array.from({ length: 30_000 }, (_, i) => `k${i}: 1`).join('\n');
  const cost = cpuSeconds(() =>
    expect(read(keys)).rejects.toThrow(/expected YAML, got text that is none: more than 60000 tokens/),
  );
  expect(await cost).toBeLessThan(4);
  await expect(read('steps: 1\nsteps: 2\n')).rejects.toThrow(/Map keys must be unique/);
  rmSync(dirname(file), { recursive: true });
});
