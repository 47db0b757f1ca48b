// Masks whose thresholds rise: what is kept follows the schedule, the model that is written runs with its plan, and a run
// that goes on from a checkpoint ends with the same bits.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '@relufy/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Metrics, parseRunConfig, runTraining } from './index.js';
import { densityAt } from './schedules.js';
import { type TinyRun, tinyModel, tinyRun } from './testing/tiny-run.js';

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-rising-')));
});
afterAll(() => rmSync(tiny.folder, { recursive: true, force: true }));

const density = [
  { until: 2, density: 0.8 },
  { until: 8, density: 0.3 },
];
const model = { config: { ...tinyModel, hidden_act: 'silu' } };

const configOf = (out: string, changes = {}) => {
  const whole = tiny.config(join(tiny.folder, out), {
    steps: 12,
    optimizer: { learningRate: 1e-3 },
    checkpoint: { every: 4 },
    ...changes,
  });
  return parseRunConfig({ ...whole, model: { ...(whole.model as object), ...model } });
};

describe.each([{ at: ['neurons'], weighted: true }, { at: ['neurons'] }, { at: ['down'] }])('a mask %j', (mask) => {
  const masks = [{ ...mask, density }];
  const name = `${mask.at}${'weighted' in mask}`;

  it('keeps the share of its schedule, and writes a plan that keeps it too', async () => {
    const metrics: Metrics[] = [];
    await runTraining(configOf(name, { masks }), {
      onEvent: (event) => event.kind === 'step' && metrics.push(event.metrics),
    });
    // thresholds are a step late, and this model learns fast
    for (const { step, density: kept } of metrics.slice(1))
      for (const share of kept) expect(Math.abs(share - densityAt(density, step - 1))).toBeLessThan(0.1);
    const folder = join(tiny.folder, name, 'model');
    const loaded = await loadModel(folder, { backend: 'reference', plan: folder });
    const { stats } = await loaded.generate('The fox', { maxNewTokens: 16, temperature: 0, stopTokenIds: [] }).result;
    const shares = stats.density.down as number[];
    expect(Math.abs(shares.reduce((sum, share) => sum + share, 0) / shares.length - 0.3)).toBeLessThan(0.15);
    await loaded.dispose();
  });

  it('goes on with the same bits', async () => {
    const stopped = configOf(`${name}-stopped`, { masks });
    const abort = new AbortController();
    await expect(
      runTraining(stopped, {
        signal: abort.signal,
        onEvent: (event) => event.kind === 'step' && event.metrics.step === 5 && abort.abort(new Error('stop')),
      }),
    ).rejects.toThrow('stop');
    await runTraining(stopped);
    for (const file of ['model.safetensors', 'sparsity_model.safetensors'])
      expect(readFileSync(join(stopped.out, 'model', file))).toEqual(
        readFileSync(join(tiny.folder, name, 'model', file)),
      );
  });
});

it.each([
  [{ at: ['neurons'] }, '"masks.0.density": expected a list of at least one stage, got nothing.'],
  [
    { at: ['gates'], density },
    '"masks.0.at": expected a list of q, k, receptance, v, o, gate, ffnReceptance, up, neurons, down, got ["gates"].',
  ],
  [{ at: ['down'], density, weighted: true }, '"masks.0.weighted": expected false unless the mask is at neurons'],
  [{ at: ['down'], density: [...density].reverse() }, '"masks.0.density.1.until": expected a step after 8, got 2.'],
  [{ at: ['down'], density: [{ until: 1, density: 0 }] }, '"masks.0.density.0.density": expected a number from 0.001'],
])('refuses %j', (mask, message) => {
  expect(() => configOf('refused', { masks: [mask] })).toThrow(message);
});
