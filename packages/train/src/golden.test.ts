// Three training steps as PyTorch and the Hugging Face models take them: losses, norms, gradients and parameters.
import { readdirSync } from 'node:fs';
import { createBackend, gatherTensors } from '@relufy/models';
import { afterAll, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import type { TrainingSession } from './session.js';
import { trainingBackends } from './testing/backends.js';
import { goldenSession, partOf, readGoldenTraining } from './testing/golden.js';

/** Their gradient is zero but for rounding where keys are not turned: a key's bias moves all scores of a query alike. */
const isKeyBias = ({ spec }: TrainingSession, tensor: string): boolean =>
  spec.positions.kind !== 'rope' && /k_proj\.bias$/.test(tensor);

const update = { learningRate: 2e-3, maxGradNorm: 1 };

const oneThread = await createBackend({ backend: 'wasm', threads: 1 });
const backends = [...(await trainingBackends()), ['wasm, 1 thread', oneThread.backend] as const];
afterAll(() => Promise.all(backends.map(([, backend]) => backend.dispose())));

describeShared('golden training', 'golden/training', () => {
  const cases = (readdirSync(shared('golden/training'), { recursive: true }) as string[])
    .filter((file) => file.endsWith('.safetensors'))
    .map((file) => file.replace(/\.safetensors$/, ''));
  for (const name of cases)
    it.each(backends)(
      `${name} on %s: losses and norms within 1e-5, gradients and parameters within 1e-4`,
      async (_, backend) => {
        const golden = readGoldenTraining(name);
        const { session, map, remainder } = await goldenSession(`golden/${name}`, {}, undefined, undefined, backend);
        const tensors = (role: 'gradient' | 'parameter') =>
          gatherTensors({
            map,
            buffers: session.step.buffers,
            gradients: role === 'gradient',
            ...(role === 'parameter' && { remainder: (tensor) => remainder.get(tensor) }),
            values: (buffer) => {
              const found = session.step.parameters.find(({ parameter }) => parameter.name === buffer);
              return session.session.view(found?.[role].name as string) as Float32Array;
            },
          });
        for (const [step, batch] of golden.batches.entries()) {
          const masks = golden.masks[step] as Uint8Array[];
          const scored = masks.reduce((sum, mask) => sum + mask.subarray(1).reduce((a, b) => a + b, 0), 0);
          const { loss } = await session.accumulate(partOf(batch, masks, scored));
          expectRelative(`loss of step ${step}`, loss, golden.losses[step] as number);
          const norm = await session.gradientNorm(update);
          expectRelative(`gradient norm of step ${step}`, norm, golden.gradNorms[step] as number);
          if (step === 0)
            for await (const { name: tensor, values } of tensors('gradient')) {
              const want = golden.tensors.get(`grad.${tensor}`) as Float32Array;
              if (!isKeyBias(session, tensor)) expectTensor(`gradient of ${tensor}`, values, want);
              else expect(Math.max(...values.map(Math.abs)), tensor).toBeLessThan(1e-6 * norm);
            }
          await session.update(update);
        }
        for await (const { name: tensor, values } of tensors('parameter'))
          if (!isKeyBias(session, tensor))
            expectTensor(tensor, values, golden.tensors.get(`after.${tensor}`) as Float32Array);
        await session.dispose();
      },
    );
});

function expectRelative(what: string, actual: number, expected: number): void {
  expect(Math.abs(actual / expected - 1), what).toBeLessThan(1e-5);
}

/** By ||difference|| / ||reference||. */
function expectTensor(what: string, actual: Float32Array, expected: Float32Array): void {
  expect(actual.length, what).toBe(expected.length);
  let [difference, size] = [0, 0];
  expected.forEach((value, i) => {
    difference += (value - (actual[i] as number)) ** 2;
    size += value ** 2;
  });
  expect(Math.sqrt(difference / size), what).toBeLessThan(1e-4);
}
