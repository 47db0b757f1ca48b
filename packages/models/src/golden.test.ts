// Every case of ../shared/golden (safetensors and pytorch_model.bin), on every backend and thread count: logits, hidden states, zero patterns
// and greedy tokens of the Hugging Face implementation; equal bits across threads, and sparse equal to dense.
import { nativeAvailability } from '@relufy/native';
import { expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { type LoadOptions, loadModel, type Model, type ModelSpec, sitesOf, sparsePlaces } from './node.js';
import { expectWithin, goldenCases, readGolden, relufyOf } from './testing/golden.js';

const bound = 1e-4;
const native = nativeAvailability();
const skipReason = native.available ? '' : ` (skipped: ${native.reason})`;
const backends = ['reference', 'wasm', ...(native.available ? (['native'] as const) : [])] as const;

async function collectTokens(model: Model, ids: readonly number[]): Promise<number[]> {
  const { tokenIds } = await model.generate(ids, { maxNewTokens: 16, temperature: 0, stopTokenIds: [] }).result;
  return [...tokenIds];
}

describeShared('golden checkpoints', 'golden', () => {
  const cases = [...goldenCases('golden'), ...goldenCases('golden/zoo')];
  for (const name of cases) {
    const load = (options: LoadOptions) => {
      const relufy = relufyOf(name);
      return loadModel(shared(name), { ...options, ...(relufy && { relufy }) });
    };

    const compare = async (options: LoadOptions): Promise<Float32Array> => {
      const golden = await readGolden(name);
      const model = await load(options);
      try {
        const layers = model.spec.numHiddenLayers;
        const hidden = hiddenStates(model.spec, [...golden.tensors.keys()]);
        const downs = Array.from({ length: layers }, (_, layer) => `down.${layer}`);
        const { logits, captured } = await model.forward(golden.inputIds, {
          logits: 'all',
          capture: [...hidden.values(), ...downs],
        });
        expectWithin(`${name} logits`, logits, golden.tensors.get('logits') as Float32Array, bound);
        for (const [tensor, tap] of hidden)
          expectWithin(
            `${name} ${tensor}`,
            captured[tap] as Float32Array,
            golden.tensors.get(tensor) as Float32Array,
            bound,
          );
        const expected = golden.tensors.get('down_input') as Float32Array;
        const size = expected.length / layers;
        downs.forEach((tap, layer) => {
          const down = captured[tap] as Float32Array;
          const want = expected.subarray(layer * size, (layer + 1) * size);
          expectWithin(`${name} ${tap}`, down, want, bound);
          if (sparsePlaces(model.spec).has('down')) expectSameZeros(`${name} ${tap}`, down, want);
        });
        const greedy = await collectTokens(model, golden.inputIds);
        await expectGreedy(model, golden.inputIds, greedy, golden.greedy);
        return logits;
      } finally {
        await model.dispose();
      }
    };

    it(`${name}: reference`, async () => {
      await compare({ backend: 'reference' });
    });

    it(`${name}: wasm at 1, 2 and 3 threads, equal bits`, async () => {
      const results: Float32Array[] = [];
      for (const threads of [1, 2, 3]) results.push(await compare({ backend: 'wasm', threads }));
      for (const logits of results.slice(1)) expect(logits).toEqual(results[0]);
    });

    it.skipIf(!native.available)(`${name}: native at 1, 2 and 3 threads, equal bits${skipReason}`, async () => {
      const results: Float32Array[] = [];
      for (const threads of [1, 2, 3]) results.push(await compare({ backend: 'native', threads }));
      for (const logits of results.slice(1)) expect(logits).toEqual(results[0]);
    });

    it(`${name}: sparse equals dense bit for bit`, async () => {
      const golden = await readGolden(name);
      for (const backend of backends) {
        const results = [];
        for (const sparsity of ['exact', 'dense'] as const) {
          const model = await load({ backend, sparsity, threads: 2 });
          const [mixing] = sitesOf(model.spec);
          const taps = { logits: 'all', capture: ['down.0', 'hidden.1', `${mixing}.1`] } as const;
          results.push({
            forward: await model.forward(golden.inputIds, taps),
            tokens: await collectTokens(model, golden.inputIds),
          });
          await model.dispose();
        }
        expect(results[1]).toEqual(results[0]);
      }
    });
  }
});

/**
 * The tensors of hidden states, and our taps. `transformers` gives what enters each block and what the head reads; of RWKV what
 * leaves each block and what the head reads, so that the last block's has no tap here.
 */
function hiddenStates({ mixer, numHiddenLayers: last }: ModelSpec, tensors: readonly string[]): Map<string, string> {
  const states = tensors.flatMap((tensor) => (tensor.startsWith('hidden.') ? [Number(tensor.slice(7))] : []));
  const leaving = mixer.kind === 'rwkv4';
  const known = states.filter((k) => !(leaving && k === last - 1));
  return new Map(known.map((k) => [`hidden.${k}`, `hidden.${leaving && k < last ? k + 1 : k}`]));
}

/** The same neurons are zero, except where a value is within rounding of the threshold. */
function expectSameZeros(what: string, actual: Float32Array, expected: Float32Array): void {
  for (let i = 0; i < expected.length; i++)
    if (
      (actual[i] === 0) !== (expected[i] === 0) &&
      Math.max(Math.abs(actual[i] as number), Math.abs(expected[i] as number)) > 1e-5
    )
      expect.fail(`${what}[${i}]: is ${actual[i]}, expected ${expected[i]}`);
}

/** Equal tokens, or two logits that are closer than the bound where the texts part. */
async function expectGreedy(
  model: Model,
  inputIds: readonly number[],
  actual: readonly number[],
  expected: readonly number[],
): Promise<void> {
  const parting = expected.findIndex((id, i) => id !== actual[i]);
  if (parting < 0) return;
  const { logits } = await model.forward([...inputIds, ...expected.slice(0, parting)]);
  const largest = logits.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  const gap = Math.abs((logits[actual[parting] as number] as number) - (logits[expected[parting] as number] as number));
  expect(gap, `greedy tokens part at ${parting}`).toBeLessThanOrEqual(bound * largest);
}
