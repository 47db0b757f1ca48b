// Thresholds one after the other: what each was allowed is what it costs, a generous budget takes all of them to the sparsest, none
// at all takes none, and a run that was ended goes on with the same bits. On RWKV, for which it was written, and on a Llama.
import { beforeAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { type CalibrationOptions, calibrate, type Journal, planContents } from './index.js';

const load = { dtype: 'f32', backend: 'wasm', threads: 1 } as const;
const sizes = { tokens: 48, trialTokens: 24, window: 24, load } as const;

interface Decision {
  readonly kept: number;
  readonly loss: number;
  readonly threshold: number;
}

function memoryJournal(known: readonly (readonly [string, unknown])[] = []) {
  const entries = [...known] as [string, unknown][];
  const journal: Journal = {
    get: (key) => entries.find(([own]) => own === key)?.[1],
    put: (key, value) => void entries.push([key, JSON.parse(JSON.stringify(value))]),
  };
  return { entries, journal };
}

for (const [name, places] of [
  ['golden/zoo/rwkv', ['k', 'receptance', 'v', 'o', 'ffnReceptance', 'up', 'down']],
  ['golden/llama-silu', ['q', 'k', 'v', 'o', 'gate', 'up', 'down']],
] as const)
  describeShared(`thresholds one after the other, ${name}`, name, () => {
    let ids: number[];
    beforeAll(() => {
      ids = Array.from({ length: 72 }, (_, at) => (at * at * 7 + at * 3 + 5) % 80);
    });
    const run = (options: Partial<CalibrationOptions>) =>
      calibrate(shared(name), [ids], {
        ...sizes,
        method: 'hard-shrink',
        allocation: 'sequential',
        siteLossIncrease: 0.001,
        ...options,
      });

    it('each threshold costs at most what it was allowed, and the plan says what was asked for', async () => {
      const { entries, journal } = memoryJournal();
      const { plan, tensors, trial } = await run({ journal });
      const [[, dense], ...steps] = entries.filter(([key]) => /loss of|sequential by .*,/.test(key)) as [
        [string, number],
        ...[string, Decision][],
      ];
      expect(steps.length % places.length).toBe(0);
      let base = dense;
      for (const [, { kept, loss, threshold }] of steps) {
        expect(loss).toBeLessThanOrEqual(base * 1.001);
        expect(threshold > 0).toBe(kept < 1);
        base = loss;
      }
      expect(steps.some(([, { kept }]) => kept < 0.9)).toBe(true);
      const options = plan.calibration!.options as { kept: Record<string, number[]>; dense_loss: number };
      expect(Object.keys(options.kept)).toEqual(places);
      expect(options.dense_loss).toBe(dense);
      expect(plan.method).toBe('hard-shrink-sequential');
      expect(tensors.get('layers.0.down.threshold')?.values).toEqual(Float32Array.of(steps[6]![1].threshold));
      expect(trial.sparsity).toBeGreaterThan(0.02);
      // ended in the middle
      const begun = memoryJournal(entries.slice(0, 6));
      const again = await run({ journal: begun.journal });
      expect(await planContents(again)).toEqual(await planContents({ plan, tensors }));
      expect(begun.entries).toEqual(entries);
    });

    it('a budget without end takes every site to a tenth', async () => {
      const { plan } = await run({ siteLossIncrease: 10 });
      const { kept } = plan.calibration!.options as { kept: Record<string, number[]> };
      expect(new Set(Object.values(kept).flat())).toEqual(new Set([0.1]));
    });
  });
