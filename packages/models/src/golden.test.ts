// Every case of ../shared/golden (safetensors and pytorch_model.bin), on every backend and thread count: logits, hidden states, zero patterns
// and greedy tokens of the Hugging Face implementation; equal bits across threads, and sparse equal to dense.
import { nativeAvailability } from '@relufy/native';
import { afterAll, describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { type LoadOptions, loadModel, type Model, type ModelSpec, sitesOf, sparsePlaces } from './node.js';
import { expectSameBits, expectWithin, goldenCases, readGolden, relufyOf } from './testing/golden.js';

const bound = 1e-4;
const native = nativeAvailability();
const skipReason = native.available ? '' : ` (skipped: ${native.reason})`;
const backends = ['reference', 'wasm', ...(native.available ? (['native'] as const) : [])] as const;

interface Run {
  readonly spec: ModelSpec;
  readonly logits: Float32Array;
  readonly captured: Readonly<Record<string, Float32Array>>;
  readonly tokens: readonly number[];
}

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

    /** What the golden numbers are compared with; each way of running once, for all tests of the case. */
    const known = new Map<string, Promise<Run>>();
    const runOf = (backend: (typeof backends)[number], threads: number, sparsity: 'exact' | 'dense' = 'exact') => {
      const key = `${backend} ${threads} ${sparsity}`;
      const run = known.get(key) ?? runAgain({ backend, threads, sparsity });
      known.set(key, run);
      return run;
    };
    const runAgain = async (options: LoadOptions): Promise<Run> => {
      const golden = await readGolden(name);
      const model = await load(options);
      try {
        const [mixing] = sitesOf(model.spec);
        const hidden = hiddenStates(model.spec, [...golden.tensors.keys()]).values();
        const downs = Array.from({ length: model.spec.numHiddenLayers }, (_, layer) => `down.${layer}`);
        const capture = [...new Set([...hidden, ...downs, 'hidden.1', `${mixing}.1`])];
        const { logits, captured } = await model.forward(golden.inputIds, { logits: 'all', capture });
        return { spec: model.spec, logits, captured, tokens: await collectTokens(model, golden.inputIds) };
      } finally {
        await model.dispose();
      }
    };
    const compare = async (backend: (typeof backends)[number], threads: number): Promise<Run> => {
      const golden = await readGolden(name);
      const run = await runOf(backend, threads);
      const { spec, logits, captured, tokens } = run;
      expectWithin(`${name} logits`, logits, golden.tensors.get('logits') as Float32Array, bound);
      for (const [tensor, tap] of hiddenStates(spec, [...golden.tensors.keys()]))
        expectWithin(
          `${name} ${tensor}`,
          captured[tap] as Float32Array,
          golden.tensors.get(tensor) as Float32Array,
          bound,
        );
      const expected = golden.tensors.get('down_input') as Float32Array;
      const size = expected.length / spec.numHiddenLayers;
      for (let layer = 0; layer < spec.numHiddenLayers; layer++) {
        const down = captured[`down.${layer}`] as Float32Array;
        const want = expected.subarray(layer * size, (layer + 1) * size);
        expectWithin(`${name} down.${layer}`, down, want, bound);
        if (sparsePlaces(spec).has('down')) expectSameZeros(`${name} down.${layer}`, down, want);
      }
      if (golden.greedy.some((id, i) => id !== tokens[i])) {
        await using model = await load({ backend, threads });
        await expectGreedy(model, golden.inputIds, tokens, golden.greedy);
      }
      return run;
    };

    describe(name, () => {
      afterAll(() => known.clear());

      it('reference', async () => {
        await compare('reference', 1);
      });

      for (const backend of ['wasm', 'native'] as const) {
        const isThere = backend === 'wasm' || native.available;
        it.skipIf(!isThere)(`${backend} at 1, 2 and 3 threads, equal bits${isThere ? '' : skipReason}`, async () => {
          const first = await compare(backend, 1);
          for (const threads of [2, 3]) expectSameRun(await compare(backend, threads), first);
        });
      }

      it('sparse equals dense bit for bit', async () => {
        for (const backend of backends) {
          const threads = backend === 'reference' ? 1 : 2;
          expectSameRun(await runOf(backend, threads, 'dense'), await runOf(backend, threads));
        }
      });
    });
  }
});

function expectSameRun(actual: Run, expected: Run): void {
  expect(actual.tokens).toEqual(expected.tokens);
  expectSameBits('logits', actual.logits, expected.logits);
  expect(Object.keys(actual.captured)).toEqual(Object.keys(expected.captured));
  for (const [tap, values] of Object.entries(expected.captured))
    expectSameBits(tap, actual.captured[tap] as Float32Array, values);
}

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
