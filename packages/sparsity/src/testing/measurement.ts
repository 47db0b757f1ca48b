// A record of made-up numbers, small enough to check reports and tables by eye. Does not own real ones: those come from
// measure.ts.
import { LayerUse } from '../active-sets.js';
import type { Measurement } from '../record.js';
import { Histogram } from '../streaming.js';

export function measurement(model: string, layers = 3): Measurement {
  const use = () => {
    const layer = new LayerUse(8, 16);
    layer.startSequence();
    for (let t = 0; t < 16; t++)
      layer.add(
        Float32Array.from({ length: 8 }, (_, i) => Number((t + i) % 3 === 0)),
        { threshold: 0 },
      );
    return layer.result();
  };
  const spread = { mean: 0.5, deviation: 0.1, min: 0.2, max: 0.9 };
  const histogram = new Histogram(-2, 2, 8);
  histogram.add(new Float32Array([-1, 0, 1]));
  return {
    format: 1,
    model,
    text: 'a, "text" & <more>',
    tokens: 16,
    window: 16,
    criterion: { kind: 'nonzero', value: 0 },
    backend: 'none',
    weights: 'f32',
    sparsity: 'exact',
    activation: 'relu',
    layers: Array.from({ length: layers }, (_, layer) => ({
      layer,
      density: { qkv: spread, o: spread, upGate: spread, down: spread },
      preActivation: histogram.result(),
      use: use(),
    })),
    series: Array.from({ length: layers }, () => [0.1, 0.5, 0.9]),
    macs: { dense: { blocks: 2e6, withHead: 3e6 }, measured: { blocks: 1e6, withHead: 2e6 } },
    perplexity: 9,
    unreadWeights: [0.1],
    decode: { tokens: 4, tokensPerSecond: 1, weightBytesPerToken: 1, denseWeightBytesPerToken: 2, density: {} },
  };
}
