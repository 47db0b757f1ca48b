// Reuse of loaded neurons: phases by hand, then models. Where nothing is restricted, perplexity must be the model's own.
import { existsSync, readFileSync } from 'node:fs';
import { createBackend, loadModel } from '@relufy/models';
import { createReferenceBackend, type HostBackend } from '@relufy/tensor';
import { expect, test } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { NeuronObserver } from './observer.js';
import { LayerReuse, type LayerReuseOptions, reusePerplexity } from './reuse.js';

const tokens = [
  [1, 1, 1, 1],
  [1, 0, 0, 0],
  [0, 2, 0, 0],
  [3, 3, 3, 0],
  [0, 4, 4, 4],
  [0, 0, 5, 0],
  [0, 0, 0, 6],
  [7, 7, 7, 7],
  [8, 8, 8, 8],
];

function run(options: Partial<LayerReuseOptions>): { rows: number[][]; kept: number } {
  const layer = new LayerReuse(4, { gamma: 2, prompt: 1, carry: false, activity: { threshold: 0 }, ...options });
  layer.startSequence();
  const rows = tokens.map((token) => {
    const h = new Float32Array(token);
    layer.restrict(h);
    return [...h];
  });
  return { rows, kept: layer.kept };
}

test('a prompt, two tokens that load, two that reuse, two that load anew, two that reuse', () => {
  const expected = [...tokens];
  expected[3] = [3, 3, 0, 0];
  expected[4] = [0, 4, 0, 0];
  expected[7] = [0, 0, 7, 7];
  expected[8] = [0, 0, 8, 8];
  expect(run({})).toEqual({ rows: expected, kept: 0.5 });
});

test('what is carried over stays; a threshold decides what is loaded', () => {
  const { rows, kept } = run({ carry: true });
  expect([rows[7], rows[8], kept]).toEqual([[7, 7, 7, 7], [8, 8, 8, 8], 0.75]);
  const { rows: above } = run({ activity: { threshold: 2, norms: new Float32Array([1, 1, 1, 0.1]) } });
  expect([above[3], above[7]]).toEqual([
    [0, 3, 0, 0],
    [0, 0, 7, 0],
  ]);
});

test('a random set is as large, drawn anew, and the same again', () => {
  const { rows, kept } = run({ randomSeed: 1 });
  const size = (row: number[] | undefined) => row?.filter((value) => value !== 0).length;
  expect([size(rows[8]), kept]).toEqual([2, 0.5]);
  expect(run({ randomSeed: 1 }).rows).toEqual(rows);
  const sets = Array.from({ length: 40 }, (_, seed) => String(run({ randomSeed: seed }).rows[8]?.map(Boolean)));
  expect(new Set(sets).size).toBe(6);
});

async function observed(folder: string, backend: HostBackend = createReferenceBackend()) {
  const observer = new NeuronObserver(backend);
  const model = await loadModel(shared(folder), { backend: observer.backend });
  return { observer, model };
}

describeShared('golden checkpoints', 'golden/llama-relu', () => {
  const ids = Array.from({ length: 24 }, (_, at) => (at * 7) % 60);

  test('without a reusing phase, and with all neurons loaded, nothing changes', async () => {
    for (const [folder, gamma] of [
      ['golden/llama-relu', 16],
      ['golden/llama-silu', 4],
    ] as const) {
      const { observer, model } = await observed(folder);
      try {
        const criterion = { kind: 'nonzero' } as const;
        const {
          densePerplexity,
          points,
          tokens: scored,
        } = await reusePerplexity(model, observer, [ids], {
          criterion,
          gammas: [gamma],
          prompt: 8,
        });
        const { logprobs } = await model.score(ids);
        const nll = -logprobs.subarray(9).reduce((sum, logprob) => sum + logprob, 0) / 15;
        expect([scored, densePerplexity]).toEqual([15, expect.closeTo(Math.exp(nll), 5)]);
        expect(points).toEqual([{ gamma, perplexity: densePerplexity, randomPerplexity: densePerplexity, kept: 1 }]);
      } finally {
        await model.dispose();
      }
    }
  });

  test('the phases are the definition; a text that is too short is refused', async () => {
    const { observer, model } = await observed('golden/llama-relu');
    try {
      const options = { criterion: { kind: 'nonzero' }, gammas: [2], prompt: 8 } as const;
      const { points } = await reusePerplexity(model, observer, [ids, ids], options);
      expect(points[0]?.kept).toBeGreaterThan(0);
      expect(points[0]?.kept).toBeLessThan(1);
      // the same by sets of numbers, a layer's tokens at once
      observer.hook = (_, values, rows) => {
        const width = values.length / rows;
        let loaded = new Set<number>();
        for (let token = 8; token < rows; token++) {
          const phase = (token - 8) % 4;
          if (phase === 0) loaded = new Set();
          for (let neuron = 0; neuron < width; neuron++) {
            const at = token * width + neuron;
            if (phase < 2 && values[at] !== 0) loaded.add(neuron);
            if (phase >= 2 && !loaded.has(neuron)) values[at] = 0;
          }
        }
      };
      const { logprobs } = await model.score(ids);
      observer.hook = undefined;
      const nll = -logprobs.subarray(9).reduce((sum, logprob) => sum + logprob, 0) / 15;
      expect(points[0]?.perplexity).toBeCloseTo(Math.exp(nll), 5);
      expect(points[0]?.perplexity).not.toBeCloseTo(points[0]?.randomPerplexity as number, 5);
      await expect(reusePerplexity(model, observer, [[1, 2, 3]], options)).rejects.toThrow(
        'reuse: expected a sequence of at least 10 tokens, got 3 at most.',
      );
    } finally {
      await model.dispose();
    }
  });
});

// the bundled model on its own stories, where the other is not
const trained = existsSync(shared('models/opt-tales')) ? 'models/opt-tales' : 'models/llama-tales';
const heldOut = (): number[][] => {
  if (trained !== 'models/opt-tales') {
    const { prompts } = JSON.parse(readFileSync(shared(`${trained}/golden.json`), 'utf8'));
    return [0, 1].map((at) => [...prompts[at].input_ids, ...prompts[at].greedy_ids]);
  }
  const bytes = readFileSync(shared(`${trained}/valid-ids.u16`));
  const all = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return [0, 1].map((at) => [...all.subarray(at * 512, at * 512 + 128)]);
};

describeShared(`a trained model, ${trained}`, trained, () => {
  test('loses less by reusing its neurons than by random ones', { timeout: 120_000 }, async () => {
    const { backend } = await createBackend({ backend: 'wasm', threads: 1 });
    const { observer, model } = await observed(trained, backend);
    try {
      const { densePerplexity, points } = await reusePerplexity(model, observer, heldOut(), {
        criterion: { kind: 'nonzero' },
        gammas: [4, 16],
      });
      for (const { perplexity, randomPerplexity, kept } of points) {
        expect(perplexity).toBeGreaterThan(densePerplexity);
        expect(perplexity).toBeLessThan(randomPerplexity);
        expect(kept).toBeLessThan(0.8);
      }
      expect(points[1]?.kept).toBeGreaterThan(points[0]?.kept as number);
    } finally {
      await model.dispose();
      await backend.dispose();
    }
  });
});
