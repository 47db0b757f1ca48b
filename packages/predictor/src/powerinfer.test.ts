// PowerInfer's predictor files: what they say is what a plan does, and files of another model are refused by name.
import { readFileSync } from 'node:fs';
import { memoryFiles } from '@relufy/checkpoint';
import { loadModel } from '@relufy/models';
import { describe, expect, it } from 'vitest';
import { shared } from '../../../tools/testing/shared.js';
import { torchBin } from '../../checkpoint/testing/bin.js';
import { planFolder, powerInferPlan } from './index.js';

const model = shared('golden/llama-relu');
const shape = JSON.parse(readFileSync(`${model}/config.json`, 'utf8'));
const [hidden, neurons] = [shape.hidden_size as number, shape.intermediate_size as number];
const most = 4 * hidden;
const ids = [5, 9, 301, 44, 17, 260].map((id) => id % shape.vocab_size);

const numbers = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, at) => Math.sin(at * 12.9898 + seed * 78.233) / 4);

const layerFile = (rank: number, seed: number, more: Parameters<typeof torchBin>[0] = []) =>
  torchBin([
    { name: 'fc1.weight', dtype: 'F32', shape: [rank, hidden], data: numbers(rank * hidden, seed) },
    { name: 'fc2.weight', dtype: 'F32', shape: [neurons, rank], data: numbers(neurons * rank, seed + 1) },
    ...more,
  ]);

describe('powerInferPlan', () => {
  it('proposes what fc2 relu(fc1 x) of the residual stream says, at least at the threshold', async () => {
    const files = memoryFiles('p', {
      'model_0.pt': layerFile(8, 3),
      'model_2.pt': layerFile(5, 11),
      'config.json': '{"sparse_threshold": 0.25}',
    });
    const draft = await powerInferPlan(files, model, { predictorDType: 'f32' });
    expect(draft.plan.predictor).toEqual({ rank: [8, 0, 5], relu: true, input: 'residual' });
    const run = await loadModel(model, { dtype: 'f32', backend: 'wasm', plan: await planFolder(draft) });
    try {
      const capture = ['ffnResidual.0', 'predictorScores.0', 'foreseen.0', 'ffnResidual.2', 'foreseen.2'];
      const { captured } = await run.forward(ids, { capture });
      for (const [layer, rank, seed] of [
        [0, 8, 3],
        [2, 5, 11],
      ] as const) {
        const [fc1, fc2] = [numbers(rank * hidden, seed), numbers(neurons * rank, seed + 1)];
        const [x, foreseen] = [captured[`ffnResidual.${layer}`]!, captured[`foreseen.${layer}`]!];
        for (let token = 0; token < ids.length; token++) {
          const inner = Array.from({ length: rank }, (_, r) => {
            let sum = 0;
            for (let i = 0; i < hidden; i++) sum += fc1[r * hidden + i]! * x[token * hidden + i]!;
            return Math.max(0, sum);
          });
          for (let n = 0; n < neurons; n++) {
            const logit = inner.reduce((sum, value, r) => sum + value * fc2[n * rank + r]!, 0);
            if (Math.abs(logit - 0.25) > 1e-4) expect(foreseen[token * neurons + n]).toBe(logit >= 0.25 ? 1 : 0);
          }
        }
      }
    } finally {
      await run.dispose();
    }
  });

  it('a logit of exactly 0 is computed, and bf16 files are half as large', async () => {
    const zero = torchBin([
      { name: 'fc1.weight', dtype: 'F32', shape: [2, hidden], data: new Float32Array(2 * hidden) },
      { name: 'fc2.weight', dtype: 'F32', shape: [neurons, 2], data: new Float32Array(2 * neurons) },
    ]);
    const draft = await powerInferPlan(memoryFiles('p', { 'model_1.pt': zero }), model);
    const run = await loadModel(model, { dtype: 'f32', backend: 'wasm', plan: await planFolder(draft) });
    const { captured } = await run.forward(ids, { capture: ['foreseen.1'] }).finally(() => run.dispose());
    expect(captured['foreseen.1']!.every((one) => one === 1)).toBe(true);
    expect(draft.tensors.get('layers.1.predictor.a')?.stored).toBe('BF16');
  });

  it.each<[string, Record<string, Uint8Array | string>, string]>([
    ['no file', { 'config.json': '{}' }, 'p: expected predictors, model_0.pt to model_2.pt, got none of them.'],
    [
      'another hidden size',
      {
        'model_0.pt': torchBin([
          { name: 'fc1.weight', dtype: 'F32', shape: [2, 8], data: numbers(16, 1) },
          { name: 'fc2.weight', dtype: 'F32', shape: [neurons, 2], data: numbers(2 * neurons, 1) },
        ]),
      },
      `p model_0.pt: expected fc1.weight [1 to ${most},${hidden}], got [2,8].`,
    ],
    [
      'a bias',
      { 'model_0.pt': layerFile(2, 1, [{ name: 'fc1.bias', dtype: 'F32', shape: [2], data: numbers(2, 1) }]) },
      'expected fc1.weight and fc2.weight alone, got "fc1.bias".',
    ],
    ['no zip', { 'model_0.pt': 'PK' }, 'model_0.pt'],
    [
      'a threshold that is none',
      { 'model_0.pt': layerFile(2, 1), 'config.json': '{"sparse_threshold": "x"}' },
      'p config.json "sparse_threshold": expected a number, got "x".',
    ],
    ...['1e999', '-1e999', 'NaN', '-Infinity', '3.5e38'].map(
      (text): [string, Record<string, Uint8Array | string>, string] => [
        `a threshold of ${text}`,
        { 'model_0.pt': layerFile(2, 1), 'config.json': `{"sparse_threshold": ${text}}` },
        'p config.json "sparse_threshold": expected a number below 3.4e38',
      ],
    ),
    ...[Number.NaN, Number.NEGATIVE_INFINITY].map((value): [string, Record<string, Uint8Array | string>, string] => [
      `weights of ${value}`,
      {
        'model_0.pt': torchBin([
          { name: 'fc1.weight', dtype: 'F32', shape: [2, hidden], data: numbers(2 * hidden, 1).fill(value, 7, 8) },
          { name: 'fc2.weight', dtype: 'F32', shape: [neurons, 2], data: numbers(2 * neurons, 1) },
        ]),
      },
      'model_0.pt: expected finite numbers in fc1.weight',
    ]),
    [
      'a rank that no layer needs',
      {
        'model_0.pt': torchBin([
          { name: 'fc1.weight', dtype: 'F32', shape: [most + 1, hidden], data: new Float32Array((most + 1) * hidden) },
          {
            name: 'fc2.weight',
            dtype: 'F32',
            shape: [neurons, most + 1],
            data: new Float32Array((most + 1) * neurons),
          },
        ]),
      },
      `expected fc1.weight [1 to ${most},${hidden}], got [${most + 1},${hidden}]`,
    ],
  ])('refuses %s', async (_, files, message) => {
    await expect(powerInferPlan(memoryFiles('p', files), model)).rejects.toThrow(message);
  });

  it('a threshold beyond f32 is refused, and NaN under a key that nobody reads is not', async () => {
    const files = memoryFiles('p', { 'model_0.pt': layerFile(2, 1), 'config.json': '{"loss": NaN, "top": -Infinity}' });
    expect((await powerInferPlan(files, model)).plan.method).toBe('powerinfer');
    for (const threshold of [Number.NaN, Number.POSITIVE_INFINITY, 1e39])
      await expect(powerInferPlan(files, model, { threshold })).rejects.toThrow('option "threshold"');
  });
});
