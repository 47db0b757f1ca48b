// Against the golden checkpoints: densities counted independently from `down_input`, which the Hugging Face implementation
// computed; and thresholds that do what they say.
import { readFileSync } from 'node:fs';
import { loadModel } from '@relufy/models';
import { createReferenceBackend } from '@relufy/tensor';
import { expect, test } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { neuronNorms } from './cett.js';
import { measure } from './measure.js';
import { NeuronObserver } from './observer.js';
import { measurementSchema } from './record.js';
import { ThresholdSearch } from './threshold-search.js';

/** A tensor of a safetensors file. */
function tensor(path: string, name: string): { data: Float32Array; ints: Int32Array; shape: number[] } {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const { shape, data_offsets: range } = JSON.parse(bytes.toString('utf8', 8, 8 + length))[name];
  const buffer = new Uint8Array(bytes.subarray(8 + length + range[0], 8 + length + range[1])).buffer;
  return { data: new Float32Array(buffer), ints: new Int32Array(buffer), shape };
}

async function observed(name: string) {
  const observer = new NeuronObserver(createReferenceBackend());
  const relufy = name.endsWith('stage2') ? ({ stage: 2 } as const) : undefined;
  const model = await loadModel(shared(`golden/${name}`), { backend: observer.backend, ...(relufy && { relufy }) });
  const file = shared(`golden/${name}/golden.safetensors`);
  const ids = [...tensor(file, 'input_ids').ints];
  return { observer, model, file, ids };
}

describeShared('golden checkpoints', 'golden/llama-relu', () => {
  test.each(['llama-relu', 'llama-relu-stage2', 'llama-fatrelu', 'opt-pre-norm'])('%s: densities', async (name) => {
    const { model, file, ids } = await observed(name);
    try {
      const result = await measure(model, [ids], { text: name, criterion: { kind: 'nonzero' }, decodeTokens: 4 });
      const { data, shape } = tensor(file, 'down_input');
      const [layers, tokens, neurons] = shape as [number, number, number];
      expect(result.tokens).toBe(tokens);
      for (let layer = 0; layer < layers; layer++) {
        const rows = Array.from({ length: tokens }, (_, t) =>
          data.subarray((layer * tokens + t) * neurons, (layer * tokens + t + 1) * neurons),
        );
        const nonzero = rows.map((row) => row.filter((value) => value !== 0).length / neurons);
        const { density, use } = result.layers[layer]!;
        expect(density.down.mean).toBeCloseTo(nonzero.reduce((sum, share) => sum + share, 0) / tokens, 12);
        expect(result.series[layer]).toEqual(nonzero);
        const used = Array.from({ length: neurons }, (_, i) => rows.some((row) => row[i] !== 0));
        expect(use.dead).toBe(used.filter((is) => !is).length);
        expect(use.aggregatedUnused.at(-1)).toBeCloseTo(use.dead / neurons, 12);
        const atUp = result.inputSeries?.upGate?.[layer];
        if (name.endsWith('stage2')) {
          expect(atUp).toHaveLength(tokens);
          expect(atUp!.reduce((sum, share) => sum + share, 0) / tokens).toBeCloseTo(density.upGate.mean, 12);
        } else expect(atUp).toBeUndefined();
        if (name.endsWith('stage2')) expect(density.upGate.mean).toBeLessThan(0.8);
        else expect(density.upGate.mean).toBe(1);
      }
      expect(measurementSchema.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
      expect(result.decode.tokens).toBeGreaterThan(0);
      expect(result.macs.measured.blocks).toBeLessThan(result.macs.dense.blocks);
    } finally {
      await model.dispose();
    }
  });

  test.each(['llama-relu', 'opt-pre-norm'])(
    '%s: what neurons add is |h| times the norm of their weights',
    async (name) => {
      const { observer, model, file, ids } = await observed(name);
      try {
        const { data, shape } = tensor(file, 'down_input');
        const [layers, tokens, neurons] = shape as [number, number, number];
        const downs = Array.from({ length: layers }, (_, layer) => observer.downWeight(layer));
        const norms = downs.map((down) => neuronNorms(down, neurons));
        const result = await measure(model, [ids], {
          text: name,
          criterion: { kind: 'nonzero' },
          decodeTokens: 0,
          norms,
        });
        for (let layer = 0; layer < layers; layer++) {
          const width = downs[layer]!.length / neurons;
          const sizes = [...data.subarray(layer * tokens * neurons, (layer + 1) * tokens * neurons)].map(
            (h, i) =>
              Math.abs(h) * Math.hypot(...downs[layer]!.subarray((i % neurons) * width, ((i % neurons) + 1) * width)),
          );
          const others = Float64Array.from(sizes.filter((size) => size !== 0)).sort();
          const { zero, max, quantiles } = result.layers[layer]!.magnitude!;
          expect(zero).toBeCloseTo(1 - others.length / sizes.length, 12);
          expect(max / others.at(-1)!).toBeCloseTo(1, 4);
          for (const [share, size] of quantiles)
            expect(Math.abs(Math.log(size / others[Math.ceil(share * others.length) - 1]!))).toBeLessThan(0.04);
        }
        expect(measurementSchema.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
        const without = await measure(model, [ids], { text: name, criterion: { kind: 'nonzero' }, decodeTokens: 0 });
        expect(without.layers[0]?.magnitude).toBeUndefined();
      } finally {
        await model.dispose();
      }
    },
  );

  test('a CETT target of 0 changes nothing; a larger one trades perplexity for zeros', async () => {
    const { observer, model, ids } = await observed('llama-relu');
    try {
      const search = new ThresholdSearch(model, observer);
      await search.add(ids);
      const dense = await search.perplexity([ids]);
      const natural = await search.perplexity([ids], search.thresholds(0));
      expect(natural.perplexity).toBe(dense.perplexity);
      const [some, most] = [search.thresholds(0.2), search.thresholds(0.6)];
      for (const { cett } of some) expect(cett).toBeLessThanOrEqual(0.2);
      const [a, b] = [await search.perplexity([ids], some), await search.perplexity([ids], most)];
      expect(a.sparsity).toBeGreaterThan(natural.sparsity);
      expect(b.sparsity).toBeGreaterThan(a.sparsity);
      expect(a.perplexity).not.toBe(dense.perplexity);
      const found = await search.atPerplexity([ids], { p: 1, steps: 6 });
      expect(found.perplexity).toBeLessThanOrEqual(dense.perplexity * 1.01);
      expect(found.sparsity).toBeGreaterThanOrEqual(natural.sparsity);
    } finally {
      await model.dispose();
    }
  });

  test('a SiLU model is active relative to a threshold', async () => {
    const { observer, model, ids } = await observed('llama-silu');
    try {
      const search = new ThresholdSearch(model, observer);
      await search.add(ids);
      const thresholds = search.thresholds(0.2);
      const cett = await measure(model, [ids], { text: 't', criterion: { kind: 'cett', value: 0.2 }, thresholds });
      for (const [layer, { sparsity }] of thresholds.entries())
        expect(cett.layers[layer]?.use.density).toBeCloseTo(1 - sparsity, 3);
      const nonzero = await measure(model, [ids], { text: 't', criterion: { kind: 'nonzero' }, decodeTokens: 0 });
      expect(nonzero.layers[0]?.use.density).toBe(1);
      await expect(measure(model, [ids], { text: 't', criterion: { kind: 'cett', value: 0.2 } })).rejects.toThrow(
        'measure "thresholds": expected one a layer',
      );
      await expect(measure(model, [], { text: 't', criterion: { kind: 'nonzero' } })).rejects.toThrow(
        'expected a text of at least two tokens',
      );
    } finally {
      await model.dispose();
    }
  });
});
