// The bench of decoding at stated densities reaches them, on a shape small enough for the reference executor, and says
// what is wrong with densities that it cannot read.
import { createReferenceBackend } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { tinyLlamaShape } from './decode.js';
import { benchSparseDecode, parseDensities } from './sparse-decode.js';

const small = {
  ...{ vocabSize: 50, hiddenSize: 64, embeddingSize: 64, intermediateSize: 256, numHiddenLayers: 2 },
  mixer: { kind: 'attention', numAttentionHeads: 2, numKeyValueHeads: 1, headDim: 32, qkvBias: false, outBias: false },
};

describe('decoding at densities', () => {
  it.each(['gated', 'plain'] as const)('reaches them and counts what is read, %s', async (kind) => {
    const whole = tinyLlamaShape(kind);
    const shape = { ...whole, ...small, positions: { ...whole.positions, rotaryDim: 32 } } as typeof whole;
    const points = [{ down: 0.2 }, { down: 0.3, qkv: 0.6, upGate: 0.4 }];
    const [stage1, stage2] = await benchSparseDecode(createReferenceBackend(), shape, 'f32', points, 0.01);
    expect(stage1?.reached.down).toBeCloseTo(0.2, 1);
    expect([stage1?.reached.qkv, stage1?.reached.upGate]).toEqual([1, 1]);
    expect(stage2?.reached.down).toBeCloseTo(0.3, 1);
    expect(stage2?.reached.qkv).toBeCloseTo(0.6, 1);
    expect(stage2?.reached.upGate).toBeCloseTo(0.4, 1);
    const { bytes, denseBytes } = stage1 as NonNullable<typeof stage1>;
    const ffn = 4 * 2 * small.hiddenSize * small.intermediateSize * (kind === 'gated' ? 3 : 2);
    const rest = denseBytes - ffn;
    const { down } = stage1!.reached;
    const share = kind === 'gated' ? (1 + 2 * down) / 3 : (1 + down) / 2;
    expect(bytes).toBeCloseTo(rest + share * ffn, -3);
  });

  it.each(['0', '1.5', '0.2/0.5', 'much', '0.2,'])('refuses %s', (text) => {
    expect(() => parseDensities(text)).toThrow(/--densities ".*": expected DOWN or DOWN\/QKV\/UP/);
  });

  it('reads points', () => {
    expect(parseDensities('0.35,0.3/0.5/0.4')).toEqual([{ down: 0.35 }, { down: 0.3, qkv: 0.5, upGate: 0.4 }]);
  });
});
