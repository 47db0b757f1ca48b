// Calibration from end to end on small models: targets are met, plans run, a run that was ended goes on with the same bits,
// and what cannot be done is said in one sentence.
import { readFileSync } from 'node:fs';
import { encodeSafetensors, memoryFiles } from '@relufy/checkpoint';
import { loadModel, openModelFiles } from '@relufy/models';
import { beforeAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { blockErrorOf, blockTables, greedy } from './allocation.js';
import {
  type CalibrationOptions,
  Calibrator,
  calibrate,
  type Journal,
  planContents,
  planFolder,
  type Trial,
} from './index.js';
import { prepareMethod } from './methods.js';
import { Subject } from './subject.js';
import { openTensors } from './testing/tensors.js';

const load = { dtype: 'f32', backend: 'wasm', threads: 1 } as const;
const sizes = { tokens: 48, trialTokens: 24, window: 24, load } as const;

/** A journal in memory, which counts what was measured anew. */
function memoryJournal(known: readonly (readonly [string, unknown])[] = []): Journal & {
  readonly put: Journal['put'];
} & {
  readonly entries: [string, unknown][];
} {
  const entries = [...known] as [string, unknown][];
  return {
    entries,
    get: (key) => entries.find(([own]) => own === key)?.[1],
    put: (key, value) => void entries.push([key, JSON.parse(JSON.stringify(value))]),
  };
}

describeShared('calibrate', 'golden/llama-silu', () => {
  const silu = shared('golden/llama-silu');
  let ids: number[];
  beforeAll(async () => {
    const golden = await openTensors(`${silu}/golden.safetensors`);
    const own = [...(golden.get('input_ids') as Int32Array)];
    ids = [...own, ...[...own].reverse(), ...own.map((id, at) => (id * 7 + at) % 96)];
    while (ids.length < 72) ids.push(...own);
  });
  const run = (options: CalibrationOptions, model = silu) => calibrate(model, [ids], { ...sizes, ...options });

  it.each([
    { method: 'teal', sparsity: 0.4 },
    { method: 'teal', allocation: 'greedy', sparsity: 0.5 },
    { method: 'teal', allocation: 'loss', sparsity: 0.5, denseTokens: 1 },
    { method: 'wina', sparsity: 0.5 },
    { method: 'wina', norms: 'release', sparsity: 0.3 },
    { method: 'wina', norms: 'site', select: 'threshold', sparsity: 0.5 },
    { method: 'r-sparse', sparsity: 0.5 },
    { method: 'top', sparsity: 0.5 },
    { method: 'groups', within: 16, sparsity: 0.5 },
    { method: 'cats', sparsity: 0.3 },
    { method: 'chess', sparsity: 0.4 },
    { method: 'random', sparsity: 0.5 },
  ] satisfies CalibrationOptions[])('$method $allocation $norms $select meets $sparsity', async (options) => {
    const made = await run(options);
    expect(Math.abs(made.trial.sparsity - options.sparsity)).toBeLessThan(0.02);
    expect(made.plan.expected?.modelSparsity).toBe(made.trial.sparsity);
    const plan = await planFolder(made);
    const model = await loadModel(silu, { ...load, plan });
    try {
      const { stats, tokenIds } = await model.generate(ids.slice(0, 8), {
        maxNewTokens: 16,
        temperature: 0,
        stopTokenIds: [],
      }).result;
      expect(tokenIds).toHaveLength(16);
      // whole blocks and the head are among the bytes; a low-rank product of a small matrix costs
      expect(stats.weightBytesPerToken).toBeLessThan(0.95 * stats.denseWeightBytesPerToken);
    } finally {
      await model.dispose();
    }
  });

  it('leaves out what changes a block least: less than sharing out evenly', async () => {
    const windows = [ids.slice(0, 24), ids.slice(24, 48)];
    const hear = () => () => {};
    const subject = await Subject.open(await openModelFiles(silu), 24, { load });
    try {
      const method = await prepareMethod({ subject, windows, options: { method: 'teal' }, hear });
      const context = { subject, method, windows, journal: undefined, hear };
      const shares = greedy(await blockTables(context))(0.5);
      const states = [await subject.hiddenStates(windows[0]!), await subject.hiddenStates(windows[1]!)];
      for (const [layer, own] of shares.entries()) {
        const errorOf = blockErrorOf(context, layer, states);
        expect(await errorOf([0, 0, 0, 0])).toBe(0);
        expect(await errorOf(own)).toBeLessThan(await errorOf([0.5, 0.5, 0.5, 0.5]));
      }
    } finally {
      await subject.dispose();
    }
  });

  it('stays within a budget of perplexity, also of the method cett', async () => {
    for (const method of ['teal', 'cett'] as const) {
      const { trial, densePerplexity } = await run({ method, perplexityIncrease: 0.05 });
      expect(trial.perplexity).toBeLessThanOrEqual(1.05 * densePerplexity);
      expect(trial.sparsity).toBeGreaterThan(0.02);
    }
  });

  it('goes on where it was ended, with the same bits', async () => {
    const options = { method: 'teal', allocation: 'loss', sparsity: 0.5 } as const;
    const journal = memoryJournal();
    const whole = await run({ ...options, journal });
    expect(journal.entries.length).toBeGreaterThan(6);
    for (const done of [3, journal.entries.length - 1]) {
      const begun = memoryJournal(journal.entries.slice(0, done));
      const again = await run({ ...options, journal: begun });
      expect(await planContents(again)).toEqual(await planContents(whole));
      expect(begun.entries).toEqual(journal.entries);
    }
  });

  it('weighs a site beyond the zeros that a ReLU makes of it, by loss', async () => {
    const shifted = { ...load, relufy: { stage: 1, shift: 0.8 } } as const;
    const journal = memoryJournal();
    await run({ method: 'teal', allocation: 'loss', sparsity: 0.65, load: shifted, journal });
    const tried = journal.entries
      .filter(([key]) => / at 0\.[89]/.test(key))
      .map(([, divergence]) => Number(divergence));
    expect(tried).toHaveLength(3);
    // what is tried within the zeros changes nothing, and would be free
    expect(Math.min(...tried)).toBeGreaterThan(1e-6);
  });

  it('searches with evolution, seeded', async () => {
    const options = { method: 'teal', allocation: 'evolutionary', sparsity: 0.5, seed: 3 } as const;
    const [one, other] = [await run(options), await run({ ...options, allocation: 'loss' })];
    expect(Math.abs(one.trial.sparsity - 0.5)).toBeLessThan(0.02);
    expect(one.tensors).not.toEqual(other.tensors);
  });

  it('searches rho of every linear layer for R-Sparse, seeded, and goes on where it was ended', async () => {
    const options = { method: 'r-sparse', allocation: 'evolutionary', sparsity: 0.5, seed: 3 } as const;
    const small = { ...options, population: 4, generations: 1 };
    const journal = memoryJournal();
    const whole = await run({ ...small, journal });
    expect(Math.abs(whole.trial.sparsity - 0.5)).toBeLessThan(0.02);
    const { rho } = whole.plan.calibration!.options as { rho: Record<string, number[]> };
    expect(Object.keys(rho)).toEqual(['q', 'k', 'v', 'o', 'gate', 'up', 'down']);
    const all = Object.values(rho).flat();
    expect(all.every((one) => one >= 0 && one <= 1)).toBe(true);
    // ranks are what rho leaves of each matrix
    for (const { at, rank } of whole.plan.lowRank ?? [])
      expect(rank.map((one) => one > 0)).toEqual(rho[at[0] as string]!.map((one) => one < 1));
    // the best of what was tried is no worse than all ones, which is where it begins
    const tried = journal.entries.filter(([key]) => key.startsWith('evolving')).map(([, trial]) => trial as Trial);
    expect(tried.length).toBe(2 + 3 + 4);
    const begun = memoryJournal(journal.entries.slice(0, 5));
    const again = await run({ ...small, journal: begun });
    expect(await planContents(again)).toEqual(await planContents(whole));
    expect(begun.entries).toEqual(journal.entries);
  });

  it('serves several targets from one reading', async () => {
    const calibrator = await Calibrator.open(silu, [ids], { ...sizes, method: 'teal' });
    try {
      const [some, more] = [await calibrator.meet({ sparsity: 0.25 }), await calibrator.meet({ sparsity: 0.5 })];
      expect(some.trial.perplexity).not.toBe(more.trial.perplexity);
      expect(await planContents(some)).toEqual(await planContents(await run({ method: 'teal', sparsity: 0.25 })));
      expect(await calibrator.score([ids.slice(0, 24)], some)).not.toBe(await calibrator.score([ids.slice(0, 24)]));
      await expect(calibrator.score([ids.slice(0, 25)])).rejects.toThrow(
        'calibrate: expected sequences of at most 24 tokens (the context), got 25.',
      );
    } finally {
      await calibrator.dispose();
    }
  });

  it.each([
    [
      { method: 'teal', sparsity: 0.4, tokens: 5000 },
      /^calibrate: expected a text of 5000 tokens for statistics and 24 for trials, got \d+\. Give a longer text/,
    ],
    [
      { method: 'cats', sparsity: 0.9 },
      /^calibrate: expected a sparsity of at most [\d.]+ %, which is what the method cats reaches in this model, got 90 %\. Ask for less/,
    ],
    [
      { method: 'fatrelu', sparsity: 0.2 },
      /^calibrate: expected a model with a ReLU for the method fatrelu, got silu\./,
    ],
    [
      { method: 'cats', density: { down: 0.5 } },
      /^calibrate option "density": expected places that the method cats masks in this model \(neurons\), got down\.$/,
    ],
    [
      { method: 'teal', density: { q: 0.5, k: 0.4 } },
      /^calibrate option "density": expected one share for qkv, which have one mask, got 0\.5 and 0\.4\.$/,
    ],
    [
      { method: 'top', allocation: 'greedy', sparsity: 0.5 },
      /^calibrate option "allocation": expected uniform for the method top/,
    ],
    [
      { method: 'groups', within: 7, sparsity: 0.5 },
      /^calibrate option "within": expected a divisor of \d+ \(q, k, v\), got 7\.$/,
    ],
    [{ method: 'random', allocation: 'loss', sparsity: 0.5 }, /^calibrate option "allocation": expected uniform for/],
    [{ method: 'cett', allocation: 'greedy', cett: 0.2 }, /^calibrate option "allocation": expected uniform for/],
    [{ method: 'cett', density: { down: 0.2 } }, /^calibrate option "density": expected a method of shares, got cett/],
    [
      { method: 'r-sparse', allocation: 'evolutionary', rho: 0.5, sparsity: 0.5 },
      /^calibrate option "rho": expected none with the allocation evolutionary, which looks for it, got 0\.5\.$/,
    ],
    [
      { method: 'r-sparse', allocation: 'evolutionary', perplexityIncrease: 0.01 },
      /^calibrate option "allocation": expected a target sparsity for evolutionary/,
    ],
    [
      { method: 'r-sparse', allocation: 'loss', sparsity: 0.5 },
      /^calibrate option "allocation": expected uniform for the method r-sparse as asked.* or R-Sparse with evolutionary\.$/,
    ],
    [
      { method: 'teal', population: 8, sparsity: 0.5 },
      /^calibrate option "population": expected the allocation evolutionary, got uniform\.$/,
    ],
    [
      { method: 'hard-shrink', allocation: 'sequential', sparsity: 0.5 },
      /^calibrate option "allocation": expected sequential and the target siteLossIncrease together, got sequential and sparsity\.$/,
    ],
    [
      { method: 'teal', allocation: 'sequential', siteLossIncrease: 0.01 },
      /^calibrate option "siteLossIncrease": expected the method hard-shrink, got teal\.$/,
    ],
    [{ method: 'teal', rho: 0.5, sparsity: 0.5 }, /^calibrate option "rho": expected the method r-sparse, got teal\.$/],
    [{ method: 'teal' }, /^calibrate: expected one target .*, got none\.$/],
    [{ method: 'cett', sparsity: 0.4, cett: 0.2 }, /^calibrate: expected one target .*, got sparsity and cett\.$/],
    [{ method: 'tael', sparsity: 0.4 }, /^calibrate .*"method": expected teal, .*, got "tael"\./],
  ] as [CalibrationOptions, RegExp][])('refuses %j', async (options, message) => {
    await expect(run(options)).rejects.toThrow(message);
  });

  it('refuses neurons of a model without a gate', async () => {
    const opt = shared('golden/opt-gelu-untied');
    for (const method of ['cats', 'chess'] as const)
      await expect(run({ method, sparsity: 0.1 }, opt)).rejects.toThrow(
        new RegExp(`^calibrate: expected a model with a gated FFN for the method ${method}, got one without a gate\\.`),
      );
  });

  it('refuses numbers that are not finite', async () => {
    const tensors = await openTensors(`${silu}/model.safetensors`);
    const wide = JSON.parse(
      `${readFileSync(`${silu}/model.safetensors`).subarray(8).toString('latin1').split('}}')[0]}}}`,
    );
    const written = [...tensors].map(([name, values]) => ({
      name,
      dtype: 'F32' as const,
      shape: wide[name].shape as number[],
      data: name.includes('layers.1.mlp')
        ? Float32Array.from(values, (value) => value * 1e20)
        : (values as Float32Array),
    }));
    const files = memoryFiles('broken', {
      'config.json': readFileSync(`${silu}/config.json`),
      'model.safetensors': await encodeSafetensors(written),
    });
    await expect(calibrate(files, [ids], { ...sizes, method: 'teal', sparsity: 0.4 })).rejects.toThrow(
      /^calibrate: expected finite numbers at .*, got .*\. Check the weights/,
    );
  });

  it('ends when it is asked to, and leaves nothing behind', async () => {
    const controller = new AbortController();
    const asked = run({
      method: 'teal',
      sparsity: 0.4,
      signal: controller.signal,
      onProgress: (what) => what === 'reading the text' && controller.abort(new Error('enough')),
    });
    await expect(asked).rejects.toThrow('enough');
  });
});

describeShared('a ReLU model', 'models/llama-tales', () => {
  it('gets bars beyond its own zeros', async () => {
    const text =
      'Once upon a time there was a little fox who lived in the woods. She liked to play with her friends. '.repeat(8);
    const options = { method: 'fatrelu', tokens: 64, trialTokens: 32, window: 32, load: { threads: 1 } } as const;
    const { trial, densePerplexity, tensors } = await calibrate(shared('models/llama-tales'), [text], {
      ...options,
      density: { neurons: 0.02 },
    });
    expect(tensors.get('layers.0.neurons.threshold')?.values[0]).toBeGreaterThan(0);
    expect(Math.max(...(trial.layers.up as number[]))).toBeLessThan(0.1);
    expect(trial.perplexity).not.toBe(densePerplexity);
  });
});
