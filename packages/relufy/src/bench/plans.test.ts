// The bench of sparsity plans skips what it says, for every kind of plan, on a shape small enough for the reference
// executor, and says what is wrong with plans that it cannot read.
import { parseConfig } from '@relufy/models';
import { createReferenceBackend, rowBytes, signWords, twoBitWords } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { tinyLlamaShape } from './decode.js';
import { benchPlans, type PlanKind, parsePlans } from './plans.js';

const whole = tinyLlamaShape('gated');
const shape = {
  ...whole,
  ...{ vocabSize: 50, hiddenSize: 64, embeddingSize: 64, intermediateSize: 256, numHiddenLayers: 2 },
  positions: { ...whole.positions, rotaryDim: 32 },
  mixer: { kind: 'attention', numAttentionHeads: 2, numKeyValueHeads: 1, headDim: 32, qkvBias: false, outBias: false },
} as typeof whole;
const ffnShare = (3 * 256) / (3 * 256 + 64 + 64 + 64);

const bench = async (kind: PlanKind, density: number) => {
  const options = { seconds: 0.01, prefillRows: 4 };
  const [result] = await benchPlans(createReferenceBackend(), shape, 'f32', [{ kind, density }], options);
  return result as NonNullable<typeof result>;
};

describe('sparsity plans', () => {
  it.each(['inputs', 'shared', 'top', 'groups'] as const)('%s: skips half of the blocks', async (kind) => {
    const result = await bench(kind, 0.5);
    expect(result.skipped).toBeCloseTo(0.5, 1);
    expect(result.bytes).toBeLessThan(0.65 * result.denseBytes);
  });

  it('inputs, all kept: skips nothing', async () => {
    expect((await bench('inputs', 1)).skipped).toBeCloseTo(0, 3);
  });

  it('neurons, ReLU and predictor: skip rows of the FFN', async () => {
    expect((await bench('neurons', 0.25)).skipped).toBeCloseTo(0.75 * (2 / 3) * ffnShare, 1);
    const exact = await bench('relu', 0.25);
    expect(exact.skipped).toBeCloseTo(0.75 * (2 / 3) * ffnShare, 1);
    expect(exact.overExact).toBeUndefined();
    const predicted = await bench('predictor', 0.25);
    expect(predicted.overExact).toBeGreaterThan(0);
    // its own weights are read whole, two bytes each
    expect(predicted.predictorBytes).toBe(2 * 2 * 48 * (64 + 256));
  });

  it.each(['signs', 'partial', 'two-bit'] as const)(
    '%s: proposes more than is active, and reads less of the gate',
    async (kind) => {
      const { proposed, overExact, predictorBytes, skipped } = await bench(kind, 0.25);
      expect(proposed).toBeGreaterThan(0.2);
      expect(proposed).toBeLessThan(0.95);
      expect(overExact).toBeGreaterThan(0);
      // signs: a bit a weight; partial: half of the inputs of an int4 copy; and a threshold a neuron. Two bits and a scale a neuron
      const judged = {
        signs: 256 * 4 * signWords(64),
        partial: 32 * rowBytes('int4', 256),
        'two-bit': 256 * 4 * twoBitWords(64),
      };
      expect(predictorBytes).toBe(2 * (judged[kind] + 256 * 4));
      expect(skipped).toBeGreaterThan(0.3);
    },
  );

  it('a recurrent shape: its own zeros, and masks at all seven inputs', async () => {
    const { spec } = parseConfig({
      ...{ model_type: 'rwkv', hidden_size: 64, num_hidden_layers: 2, vocab_size: 50, context_length: 128 },
    });
    const options = { seconds: 0.01, prefillRows: 4 };
    const plans = parsePlans('own:1,inputs:0.5');
    const [own, inputs] = await benchPlans(createReferenceBackend(), spec, 'f32', plans, options);
    // a ReLU^2 of random weights leaves out half of `down`, which is 4 of 13 matrices of 64 by 64
    expect(own?.skipped).toBeCloseTo(0.5 * (4 / 13), 1);
    expect(inputs?.skipped).toBeCloseTo(0.5, 1);
    expect(own?.decodeSpeedUp).toBeGreaterThan(0);
  });

  it('reads plans, and refuses what is none', () => {
    expect(parsePlans('inputs:0.5,predictor:0.1')).toEqual([
      { kind: 'inputs', density: 0.5 },
      { kind: 'predictor', density: 0.1 },
    ]);
    for (const text of ['inputs', 'inputs:0', 'inputs:2', 'much:0.5', 'inputs:0.5:1', ''])
      expect(() => parsePlans(text)).toThrow(/--plans ".*": expected KIND:SHARE/);
  });
});
