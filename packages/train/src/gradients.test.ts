// The gradient of a whole model, for every golden checkpoint: the loss falls along it as fast as its norm says. Finite
// differences of one op cannot show that the ops are put together right; this does, for every family and stage.
import { existsSync, readdirSync } from 'node:fs';
import type { ModelSpec } from '@relufy/models';
import { expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { goldenSession, partOf } from './testing/golden.js';

const update = { learningRate: 0, maxGradNorm: 0 };

const cases = (folder: string): string[] =>
  readdirSync(shared(folder))
    .map((name) => `${folder}/${name}`)
    .filter((path) => existsSync(shared(`${path}/config.json`)));

/** 8-bit inputs, which have no slope; FATReLU, which jumps. */
const without = /bitnet|fatrelu/;

/** The loss falls along the gradient as fast as its norm says. */
async function expectSlope(name: string, change?: (spec: ModelSpec) => ModelSpec): Promise<void> {
  const relufy = name.includes('stage2') ? ({ stage: 2 } as const) : undefined;
  const options = { limits: { maxRows: 12, maxOutputs: 12 }, contextLength: 12, slots: 2 };
  const { session } = await goldenSession(name, options, relufy, change);
  const ids = [Int32Array.from([5, 9, 30, 41, 41, 7, 80]), Int32Array.from([8, 5, 77, 3, 21])];
  const masks = ids.map((sequence) => new Uint8Array(sequence.length).fill(1));
  (masks[0] as Uint8Array)[1] = 0;
  const part = partOf(ids, masks, 9);
  await session.accumulate(part);
  const norm = await session.gradientNorm(update);
  const own = session.step.parameters.map(({ parameter, gradient }) => ({
    values: () => session.session.view(parameter.name) as Float32Array,
    start: (session.session.view(parameter.name) as Float32Array).slice(),
    slope: (session.session.view(gradient.name) as Float32Array).slice(),
  }));
  const lossAt = async (distance: number): Promise<number> => {
    for (const { values, start, slope } of own)
      values().set(start.map((value, i) => value + (distance * (slope[i] as number)) / norm));
    const logprobs = await session.score(part);
    return logprobs.reduce((sum, logprob) => sum - logprob / 9, 0);
  };
  const step = 2e-3;
  const measured = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
  // the kinks of ReLU within the step are worth a percent
  expect(Math.abs(measured / norm - 1), `${name}: slope along the gradient`).toBeLessThan(0.03);
  await session.dispose();
}

describeShared('gradients of whole models', 'golden', () => {
  for (const name of [...cases('golden'), ...cases('golden/zoo')].filter((one) => !without.test(one)))
    it(`${name}`, () => expectSlope(name));

  it('x sigmoid(beta x) in place of SiLU', () =>
    expectSlope('golden/llama-silu', (spec) => ({
      ...spec,
      ffn: { ...spec.ffn, activation: { kind: 'swish', threshold: 1.7 } },
    })));

  it('a batch in parts has the gradients of the whole', async () => {
    const ids = [Int32Array.from([5, 9, 30, 41]), Int32Array.from([8, 5, 77, 3])];
    const masks = ids.map(() => Uint8Array.from([1, 1, 1, 1]));
    const gradients = async (parts: readonly (readonly number[])[]) => {
      const { session } = await goldenSession('golden/llama-silu', { contextLength: 4 });
      for (const which of parts)
        await session.accumulate(
          partOf(
            which.map((i) => ids[i] as Int32Array),
            which.map((i) => masks[i] as Uint8Array),
            6,
          ),
        );
      return session.step.parameters.map(({ gradient }) => [...session.session.view(gradient.name)]);
    };
    const whole = await gradients([[0, 1]]);
    const parts = await gradients([[0], [1]]);
    parts.forEach((values, i) => {
      const expected = whole[i] as number[];
      const largest = Math.max(...expected.map(Math.abs));
      values.forEach((value, j) => {
        expect(Math.abs(value - (expected[j] as number))).toBeLessThanOrEqual(1e-5 * largest);
      });
    });
  });

  // a gated FFN; a plain one; norms of heads, in place; a recurrent mixer
  it.each(['golden/llama-relu', 'golden/opt-relu-stage2', 'golden/zoo/nanochat', 'golden/zoo/rwkv'])(
    '%s: activations that are computed again give the same bits',
    async (name) => {
      const part = partOf([Int32Array.from([5, 9, 30, 41])], [Uint8Array.from([1, 1, 1, 1])], 3);
      const gradients = async (gradientCheckpointing: boolean) => {
        const options = { contextLength: 4, gradientCheckpointing, l1: true, heluAlpha: 0.05 };
        const { session } = await goldenSession(name, options, name.includes('stage2') ? { stage: 2 } : undefined);
        const { norms, active } = await session.accumulate(part, 0.01);
        const values = session.step.parameters.map(({ gradient }) => [...session.session.view(gradient.name)]);
        return { norms, active, values };
      };
      expect(await gradients(true)).toEqual(await gradients(false));
    },
  );
});
