// What one decoded token reads of a model's weights, dense and sparse, from its config and its density alone.
// Counted from the program that would run (formats, padding and which products are sparse included); nothing is allocated.
// Does not own measured densities (model.stats()) nor speed: bytes are a bound on it.
import { buildDecoder, parameterCount, parseConfig, sparseSites, type WeightDType } from '@relufy/models';
import type { Density } from './sparse-models.js';

export interface TokenBytes {
  readonly parameters: number;
  readonly dense: number;
  readonly sparse: number;
  /** dense / sparse: how much faster decoding can be where memory traffic is all that counts. */
  readonly speedup: number;
}

export function bytesPerToken(config: unknown, dtype: WeightDType, density: Density): TokenBytes {
  const { spec } = parseConfig(config);
  const decoder = buildDecoder(spec, {
    limits: { maxRows: 1, maxOutputs: 1 },
    slots: 1,
    contextLength: 1,
    matrixDType: () => dtype,
  });
  const { down, up = down } = density;
  let [dense, sparse] = [0, 0];
  for (const { rows, rowBytes, activeCount, site } of decoder.build({ sparsity: 'exact' }).reads) {
    const bytes = rows * rowBytes;
    dense += bytes;
    // of a stage-2 model the inputs of qkv and upGate are sparse too; their density is not known here
    const share = activeCount === undefined ? 1 : site === 'down' ? down : site === 'up' ? up : 1;
    sparse += bytes * share;
  }
  if (!sparseSites(spec).has('down')) sparse = dense;
  return { parameters: parameterCount(spec), dense, sparse, speedup: dense / sparse };
}
