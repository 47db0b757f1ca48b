// The table of ReLU Strikes Back: printed densities in, the digest's "blocks only" and "with head" figures out.
import { type ModelSpec, parseConfig, relufy } from '@relufy/models';
import { expect, test } from 'vitest';
import { countMacs, weightBytes } from './macs.js';

const optConfig = { model_type: 'opt', vocab_size: 50272, num_attention_heads: 32 };
const llamaConfig = { vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008, num_attention_heads: 32 };
const specOf = (config: Record<string, unknown>): ModelSpec => parseConfig(config).spec;
const opt = (d: number, layers: number) =>
  specOf({ ...optConfig, hidden_size: d, ffn_dim: 4 * d, num_hidden_layers: layers });
const falconConfig = { model_type: 'falcon', vocab_size: 65024, hidden_size: 4544, num_attention_heads: 71 };
const falcon = specOf({ ...falconConfig, num_hidden_layers: 32, activation: 'relu' });
const llama = specOf({ ...llamaConfig, model_type: 'llama', num_hidden_layers: 32, hidden_act: 'relu' });
const stage2 = (spec: ModelSpec): ModelSpec => relufy(spec, { stage: 2 });

test.each([
  ['OPT 1.3B', opt(2048, 24), [0, 96, 0], 0.82, 0.92],
  ['OPT 2.7B', opt(2560, 32), [0, 96, 0], 1.71, 1.84],
  ['OPT 2.7B s2', stage2(opt(2560, 32)), [50, 96, 35], 1.1, 1.23],
  ['OPT 6.7B', opt(4096, 32), [0, 97, 0], 4.36, 4.57],
  ['OPT 6.7B s2', stage2(opt(4096, 32)), [50, 97, 40], 2.7, 2.9],
  ['Falcon 7B', falcon, [0, 1, 0], 6.6, 6.89],
  ['Falcon 7B s1', falcon, [0, 94, 0], 4.14, 4.44],
  ['Falcon 7B s2', stage2(falcon), [56, 95, 56], 2.25, 2.55],
  ['Llama 7B', llama, [0, 0, 0], 6.48, 6.61],
  ['Llama 7B s1', llama, [0, 62, 0], 4.69, 4.82],
  ['Llama 7B s2', stage2(llama), [51, 65, 67], 2.78, 2.91],
] as const)('%s', (_, shape, [qkv, down, up], blocks, withHead) => {
  const macs = countMacs(shape, { qkv: 1 - qkv / 100, down: 1 - down / 100, upGate: 1 - up / 100 });
  expect(Math.abs(macs.blocks / 1e9 - blocks)).toBeLessThan(0.01);
  expect(Math.abs(macs.withHead / 1e9 - withHead)).toBeLessThan(0.01);
});

test('the rows of up behind a closed gate may be left out as well', () => {
  const density = { upGate: 0.5, down: 0.1 };
  const both =
    countMacs(stage2(llama), density).blocks - countMacs(stage2(llama), density, { skipUpRows: true }).blocks;
  expect(both).toBeCloseTo(32 * 0.5 * 0.9 * 4096 * 11008, 0);
});

test('bytes go with MACs, and there are none before a step was counted', () => {
  const macs = { dense: countMacs(llama, {}), measured: countMacs(llama, { down: 0.38 }) };
  const bytes = weightBytes(macs, 2 * macs.dense.withHead);
  expect(bytes).toEqual({ blocks: 2 * macs.measured.blocks, withHead: 2 * macs.measured.withHead });
  expect(weightBytes(macs, 0)).toBeUndefined();
});
