// Predictors from end to end on small models of each kind of FFN: recall where it was asked for, plans that run, the same plan
// from the same inputs, budgets, layers without predictor, and what is refused.
import { readFileSync } from 'node:fs';
import { createBackend, loadModel } from '@relufy/models';
import { describe, expect, it } from 'vitest';
import { shared } from '../../../tools/testing/shared.js';
import { evaluatePredictors, type FitOptions, fitPredictors, planFolder } from './index.js';

const load = { dtype: 'f32', backend: 'wasm', threads: 1 } as const;
const sizes = { tokens: 320, heldOutTokens: 256, trialTokens: 128, window: 64, load } as const;
const training = { epochs: 2, batch: 64 } as const;

const shape = JSON.parse(readFileSync(shared('golden/llama-relu/config.json'), 'utf8'));
const [hidden, neurons] = [shape.hidden_size as number, shape.intermediate_size as number];
// a prime below the number of tokens
const prime = shape.vocab_size > 509 ? 509 : 89;
const ids = Array.from({ length: 896 }, (_, at) => (at * at * 31 + at * 7 + (at >> 3) * 113) % prime);

/** A journal in memory, which counts what was measured anew. */
function memoryJournal(known: readonly (readonly [string, unknown])[] = []) {
  const entries = [...known];
  const journal = {
    entries,
    added: 0,
    get: (key: string) => entries.find(([name]) => name === key)?.[1],
    put: (key: string, value: unknown) => {
      entries.push([key, value]);
      journal.added++;
    },
  };
  return journal;
}

const fit = (model: string, options: FitOptions = {}) =>
  fitPredictors(shared(`golden/${model}`), [ids], {
    ...sizes,
    ...((options.kind ?? 'low-rank') === 'low-rank' && training),
    ...options,
  });

describe('fitPredictors', () => {
  it.each(['llama-relu', 'llama-relu2', 'llama-fatrelu', 'opt-pre-norm', 'falcon-7b-shape-relu'])(
    '%s: held-out recall, and fewer neurons than all',
    async (model) => {
      const { layers, plan, tensors, trial, densePerplexity } = await fit(model, { rank: hidden / 2, keepAll: true });
      for (const one of layers) {
        expect(one.recall).toBeGreaterThan(0.9);
        expect(one.proposed).toBeLessThan(0.97);
        expect(one.proposed).toBeGreaterThan(one.active);
        expect(one.precision).toBeCloseTo((one.recall * one.active) / one.proposed, 5);
      }
      expect(Math.abs(trial.perplexity / densePerplexity - 1)).toBeLessThan(0.1);
      expect(plan.expected?.recall).toBeGreaterThan(0.92);
      const run = await loadModel(shared(`golden/${model}`), { ...load, plan: await planFolder({ plan, tensors }) });
      try {
        const { logits } = await run.forward(ids.slice(0, 32), { logits: 'all' });
        expect(logits.every(Number.isFinite)).toBe(true);
      } finally {
        await run.dispose();
      }
    },
  );

  it('finds more by fitting than it begins with', async () => {
    const proposed = async (options: FitOptions) => {
      const { layers } = await fit('llama-relu', { rank: 16, keepAll: true, ...options });
      return layers.reduce((sum, one) => sum + one.proposed, 0);
    };
    expect(await proposed({ epochs: 8 })).toBeLessThan(await proposed({ epochs: 1, learningRate: 1e-9 }));
  });

  it('the same inputs give the same plan, at any number of threads, in chunks of any size that hold all', async () => {
    const options = { rank: 8, keepAll: true } as const;
    const [one, other] = [
      await fit('llama-relu', options),
      await fit('llama-relu', { ...options, load: { ...load, threads: 2 } }),
    ];
    expect([...other.tensors]).toEqual([...one.tensors]);
    expect(other.plan).toEqual(one.plan);
    const seeded = await fit('llama-relu', { ...options, seed: 2 });
    expect([...seeded.tensors]).not.toEqual([...one.tensors]);
    // chunk after chunk of two windows: other updates, the same kind of plan
    const chunked = await fit('llama-relu', { ...options, captureBytes: 3 * (4 * hidden + neurons) * 128 });
    expect(chunked.plan.predictor).toEqual(one.plan.predictor);
    expect(chunked.plan.expected?.recall).toBeGreaterThan(0.9);
  });

  it('a fit that was ended goes on, and gives the same plan bit for bit', async () => {
    // chunk after chunk of two windows, ranks by a pilot
    const options = { budget: 0.2, recall: 0.7, captureBytes: 3 * (4 * hidden + neurons) * 128 } as const;
    const journal = memoryJournal();
    const whole = await fit('llama-relu', { ...options, journal });
    const keys = journal.entries.map(([key]) => key);
    expect(keys).toContain('pilot 0');
    expect(keys.filter((key) => key.startsWith('fit 1 ')).length).toBeGreaterThan(0);
    const without = await fit('llama-relu', options);
    expect([...without.tensors]).toEqual([...whole.tensors]);
    for (const done of [2, Math.floor(keys.length / 2), keys.length - 1]) {
      // as a file gives it back
      const known = JSON.parse(JSON.stringify(journal.entries.slice(0, done)));
      const begun = memoryJournal(known);
      const again = await fit('llama-relu', { ...options, journal: begun });
      expect([...again.tensors]).toEqual([...whole.tensors]);
      expect(again.plan).toEqual(whole.plan);
      expect(begun.entries.length).toBe(journal.entries.length);
      expect(begun.added).toBe(journal.entries.length - done);
    }
  });

  it.each(['llama-relu', 'falcon-7b-shape-relu'])(
    '%s: looks ahead from the residual stream one layer earlier',
    async (model) => {
      const options = { rank: 32, keepAll: true, input: 'lookahead' } as const;
      const { layers, plan, tensors } = await fit(model, options);
      expect(plan.predictor).toMatchObject({ input: 'lookahead' });
      for (const one of layers) {
        expect(one.recall).toBeGreaterThan(0.85);
        expect(one.proposed).toBeLessThan(0.99);
      }
      await using run = await loadModel(shared(`golden/${model}`), {
        ...load,
        plan: await planFolder({ plan, tensors }),
      });
      const exact = await run.generate(ids.slice(0, 8), { maxNewTokens: 8, temperature: 0 }).result;
      const dense = await run.generate(ids.slice(0, 8), { maxNewTokens: 8, temperature: 0, sparsity: 'dense' }).result;
      expect(exact.tokenIds.length).toBeGreaterThan(0);
      expect(dense.tokenIds.length).toBeGreaterThan(0);
    },
  );

  it('by time: a layer whose predictor does not pay gets none', async () => {
    const options = { rank: 8, pays: 'time' } as const;
    const times = [
      { predicted: 2, exact: 1, saved: -1.2 },
      { predicted: 1, exact: 2, saved: 0.8 },
      // faster by its medians, and not surely
      { predicted: 2.9, exact: 3, saved: -0.1 },
    ];
    const { plan, layers } = await fit('llama-relu', { ...options, journal: memoryJournal([['layer times', times]]) });
    expect(plan.predictor).toMatchObject({ rank: [0, 8, 0] });
    expect(layers.map(({ ms }) => ms)).toEqual(times);
    const journal = memoryJournal();
    await fit('llama-relu', { ...options, journal }).catch(() => {}); // here perhaps none pays
    const [, timed] = journal.entries.find(([key]) => key === 'layer times') as [string, typeof times];
    expect(timed).toHaveLength(3);
    for (const { predicted, exact } of timed) expect(Math.min(predicted, exact)).toBeGreaterThan(0);
  });

  it('keeps within a budget, and tells what ranks would have given', async () => {
    const { layers, rankCurves, plan } = await fit('llama-relu', { budget: 0.2, recall: 0.7 });
    const sum = (of: 'bytes' | 'ffnBytes') => layers.reduce((all, one) => all + one[of], 0);
    expect(sum('bytes')).toBeGreaterThan(0);
    expect(sum('bytes')).toBeLessThanOrEqual(0.2 * sum('ffnBytes'));
    for (const curve of rankCurves ?? []) {
      expect(curve.length).toBeGreaterThan(2);
      expect(curve.at(-1)!.proposed).toBeLessThan(curve[0]!.proposed);
    }
    expect(plan.calibration?.options).toMatchObject({ rank: 'auto', budget: 0.2 });
  });

  it('says what a report says, and hot neurons are always proposed', async () => {
    const made = await fit('llama-relu', { rank: 16, hot: 0.6, keepAll: true });
    const hot = [...made.tensors].filter(([name]) => name.endsWith('.threshold')).map(([, { values }]) => values);
    expect(hot.some((values) => values.includes(Number.NEGATIVE_INFINITY))).toBe(true);
    const trial = ids.slice(576, 704);
    const folder = await planFolder(made);
    const judged = await evaluatePredictors(shared('golden/llama-relu'), folder, [trial], { window: 64, load });
    expect(judged.layers).toEqual(made.layers);
    expect(judged.trial).toEqual(made.trial);
    expect(judged.densePerplexity).toBe(made.densePerplexity);
  });

  it('sets the alpha of sign bits, or a threshold a neuron', async () => {
    const plain = await fit('llama-relu', { kind: 'signs', recall: 0.9, keepAll: true });
    expect(plain.tensors.size).toBe(0);
    for (const { recall, alpha, proposed } of plain.layers) {
      expect(recall).toBeGreaterThan(0.85);
      expect(proposed).toBeLessThan(0.95);
      expect(alpha).toBeGreaterThan(50);
    }
    const own = await fit('llama-relu', { kind: 'signs', perNeuron: true, recall: 0.9, keepAll: true });
    const share = (of: typeof own) => of.layers.reduce((sum, one) => sum + one.proposed, 0);
    expect(share(own)).toBeLessThan(share(plain) + 0.05);
    for (const { recall } of own.layers) expect(recall).toBeGreaterThan(0.8);
  });

  it('two bits a weight propose far less than sign bits at the same recall, by one threshold a layer or one a neuron', async () => {
    const share = (of: typeof signs) => of.layers.reduce((sum, one) => sum + one.proposed, 0) / of.layers.length;
    const signs = await fit('llama-relu', { kind: 'signs', recall: 0.9, keepAll: true });
    const two = await fit('llama-relu', { kind: 'two-bit', recall: 0.9, keepAll: true });
    expect([...two.tensors.values()].map(({ shape }) => shape)).toEqual([[1], [1], [1]]);
    for (const { recall } of two.layers) expect(recall).toBeGreaterThan(0.85);
    expect(share(two)).toBeLessThan(0.85 * share(signs));
    const own = await fit('llama-relu', { kind: 'two-bit', perNeuron: true, recall: 0.9, keepAll: true });
    for (const { recall } of own.layers) expect(recall).toBeGreaterThan(0.8);
    expect(share(own)).toBeLessThan(share(two) + 0.05);
  });

  it('sets the thresholds of partial scores, which tell most with many inputs', async () => {
    const proposed = async (inputs: number) => {
      const { layers } = await fit('llama-relu', { kind: 'partial', inputs, predictorDType: 'int8', keepAll: true });
      for (const { recall } of layers) expect(recall).toBeGreaterThan(0.88);
      expect(layers[0]?.inputs).toBe(hidden * inputs);
      return layers.reduce((sum, one) => sum + one.proposed, 0) / layers.length;
    };
    const [quarter, most] = [await proposed(0.25), await proposed(0.875)];
    expect(most).toBeLessThan(0.6);
    expect(most).toBeLessThan(quarter - 0.1);
  });

  it('a model without ReLU is judged by what neurons add', async () => {
    const { layers, plan } = await fit('llama-silu', { rank: 32, cett: 0.3, keepAll: true });
    expect(plan.calibration?.options).toMatchObject({ cett: 0.3 });
    for (const { active, recall, missed } of layers) {
      expect(active).toBeLessThan(0.9);
      expect(recall).toBeGreaterThan(0.88);
      expect(missed).toBeLessThan(0.1);
    }
  });

  it.each<[FitOptions, string]>([
    [{ recall: 1.5 }, 'fitPredictors option "recall"'],
    [{ rank: 8, budget: 0.1 }, 'fitPredictors option "budget": expected it with rank auto'],
    [{ kind: 'signs', rank: 8 }, 'fitPredictors option "rank": expected the kind low-rank, got signs.'],
    [{ kind: 'signs', predictorDType: 'bf16' }, 'option "predictorDType": expected none for the kind signs, got bf16.'],
    [{ relu: true }, 'fitPredictors option "relu": expected a rank'],
    [{ kind: 'partial', perNeuron: true }, 'option "perNeuron": expected the kind signs or two-bit, got partial.'],
    [{ kind: 'signs', hot: 0.5 }, 'fitPredictors option "hot": expected perNeuron'],
    [{ budget: 0.001 }, 'fitPredictors option "budget": expected at least 0.'],
    [{ rank: 8, recall: 0.9999 }, 'expected a layer whose predictor saves more than it reads at a recall of 0.9999'],
    [{ tokens: 4000 }, 'expected a text of 4000 tokens to fit to, 256 for thresholds and 128 for the trial, got 896.'],
  ])('refuses %j', async (options, message) => {
    await expect(fit('llama-relu', options)).rejects.toThrow(message);
  });

  it('refuses a report of a plan without predictor', async () => {
    const folder = await planFolder({ plan: { method: 'top' }, tensors: new Map() });
    await expect(evaluatePredictors(shared('golden/llama-relu'), folder, [ids], { load })).rejects.toThrow(
      'plan plan: expected one with a predictor, got one of the method top without.',
    );
  });

  it('ends when it is aborted, and leaves the backend usable', async () => {
    const abort = new AbortController();
    const { backend } = await createBackend({ backend: 'wasm', threads: 1 });
    const onProgress = (what: string) => {
      if (what === 'fitting predictors') abort.abort(new Error('enough'));
    };
    const options = { rank: 8, keepAll: true, load: { dtype: 'f32', backend } } as const;
    await expect(fit('llama-relu', { ...options, signal: abort.signal, onProgress })).rejects.toThrow('enough');
    expect((await fit('llama-relu', options)).layers).toHaveLength(3);
    await backend.dispose();
  });
});
