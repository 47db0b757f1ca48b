// Every case of ../shared/golden/methods that a plan can say, on every backend and thread count: logits, losses and what
// each mask keeps as PyTorch has them; equal bits across threads, and exact equal to dense.
import { readdirSync } from 'node:fs';
import { nativeAvailability } from '@relufy/native';
import { expect, it } from 'vitest';
import { describeShared, shared } from '../../../../tools/testing/shared.js';
import { type LoadOptions, loadModel, type ModelFiles, type SequenceReuse } from '../node.js';
import { expectSameBits, expectWithin, readIntegers, readTensors } from '../testing/golden.js';
import { type MethodPlan, plannedMethods, planOf, readCase } from '../testing/method-plan.js';
import { planFolder } from '../testing/plan-files.js';
import { stepSpans } from './reuse.js';

const native = nativeAvailability();
const skipReason = native.available ? '' : ` (skipped: ${native.reason})`;

describeShared('golden methods', 'golden/methods', () => {
  const cases = readdirSync(shared('golden/methods'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ name, ...readCase(name) }))
    .filter(({ method }) => (plannedMethods as readonly string[]).includes(method));

  for (const { name, ...one } of cases) {
    const path = shared(`golden/methods/${name}/golden.safetensors`);
    const run = async (method: MethodPlan, plan: ModelFiles, options: LoadOptions) => {
      const ids = readIntegers(path, 'input_ids');
      const model = await loadModel(shared(`golden/${one.model}`), { dtype: 'f32', plan, ...options });
      try {
        const { counted } = one.measured;
        const capture = one.layers.flatMap((_, layer) => counted.map((key) => `${method.taps[key]}.${layer}`));
        const signs = one.layers.flatMap((_, layer) =>
          one.method === 'sparseinfer' ? [`predictorScores.${layer}`] : [],
        );
        const taps = [...new Set([...capture, ...signs])];
        const windows = method.reuse && { reuse: method.reuse };
        const { logits, captured } = await model.forward(ids, { logits: 'all', capture: taps, ...windows });
        const negative = signs.flatMap((tap) =>
          Array.from(captured[tap] ?? [], (count) => model.spec.hiddenSize - count),
        );
        const count = method.reuse ? usable(method.reuse) : nonzeros;
        const kept = capture.map((tap) => count(captured[tap] as Float32Array, ids.length));
        const { logprobs } = await model.score(ids, windows);
        const { tokenIds, stats } = await model.generate(ids, { maxNewTokens: 4, temperature: 0, stopTokenIds: [] })
          .result;
        const { density, weightBytesPerToken, denseWeightBytesPerToken } = stats;
        const read = { density, weightBytesPerToken, denseWeightBytesPerToken };
        return { result: { logits, kept: kept.flat(), negative, logprobs, tokenIds }, read };
      } finally {
        await model.dispose();
      }
    };
    const compare = async (options: LoadOptions) => {
      const method = planOf(name, one);
      const plan = await planFolder(method.plan, method.tensors);
      const { result, read } = await run(method, plan, options);
      const golden = readTensors(path);
      expectWithin(`${name} logits`, result.logits, golden.get('logits') as Float32Array, 1e-5);
      const nll = result.logprobs.subarray(1).map((logprob) => -logprob);
      for (const [i, value] of (golden.get('nll') as Float32Array).entries())
        expect(Math.abs((nll[i] as number) - value), `nll ${i}`).toBeLessThan(5e-5);
      // zeros of a ReLU are among the k largest too
      const zeros = method.plan.masks?.some(({ kind }) => kind === 'top') ?? false;
      for (const [i, count] of readIntegers(path, 'kept').entries())
        if (zeros) expect(result.kept[i]).toBeLessThanOrEqual(count);
        else expect(result.kept[i]).toBe(count);
      if (one.method === 'sparseinfer') expect(result.negative).toEqual([...readIntegers(path, 'negative')]);
      // other thread counts have these bits too, as the caller asks
      if ((options.threads ?? 1) > 1) return result;
      const dense = await run(method, plan, { ...options, sparsity: 'dense', threads: 2 });
      expectSameResult(dense.result, result);
      expect(read.weightBytesPerToken).toBeLessThan(dense.read.weightBytesPerToken);
      return result;
    };

    it(`${name}: reference`, async () => {
      await compare({ backend: 'reference' });
    });

    it(`${name}: wasm at 1, 2 and 3 threads, equal bits`, async () => {
      const [first, ...others] = await inTurn([1, 2, 3], (threads) => compare({ backend: 'wasm', threads }));
      for (const other of others) expectSameResult(other, first as Result);
    });

    it.skipIf(!native.available)(`${name}: native at 1, 2 and 3 threads, equal bits${skipReason}`, async () => {
      const [first, ...others] = await inTurn([1, 2, 3], (threads) => compare({ backend: 'native', threads }));
      for (const other of others) expectSameResult(other, first as Result);
    });
  }
});

interface Result {
  readonly logits: Float32Array;
  readonly logprobs: Float32Array;
  readonly kept: readonly number[];
  readonly negative: readonly number[];
  readonly tokenIds: readonly number[];
}

function expectSameResult({ logits, logprobs, ...counted }: Result, expected: Result): void {
  expectSameBits('logits', logits, expected.logits);
  // nothing comes before the first token
  expectSameBits('logprobs', logprobs.subarray(1), expected.logprobs.subarray(1));
  const { logits: _, logprobs: __, ...wanted } = expected;
  expect(counted).toEqual(wanted);
}

async function inTurn<In, Out>(items: readonly In[], each: (item: In) => Promise<Out>): Promise<Out[]> {
  const out: Out[] = [];
  for (const item of items) out.push(await each(item));
  return out;
}

/** How many entries of each row are not zero. */
function nonzeros(values: Float32Array, rows: number): number[] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    values.subarray(row * width, (row + 1) * width).reduce((count, value) => count + (value === 0 ? 0 : 1), 0),
  );
}

/** How many neurons each token may use: all of them, or in a window that reuses those that the window before used. */
const usable =
  (reuse: SequenceReuse) =>
  (values: Float32Array, rows: number): number[] => {
    const width = values.length / rows;
    const loaded = new Set<number>();
    return [...stepSpans(0, rows, 1, reuse)].map(({ from, phase, forgets }) => {
      if (forgets) loaded.clear();
      const used = [...values.subarray(from * width, (from + 1) * width).entries()].flatMap(([i, value]) =>
        value === 0 ? [] : [i],
      );
      if (phase === 'load') for (const neuron of used) loaded.add(neuron);
      if (phase !== 'reuse') return width;
      expect(used.every((neuron) => loaded.has(neuron))).toBe(true);
      return loaded.size;
    });
  };
