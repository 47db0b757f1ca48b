// What rows of a program's products were read, as shares of the blocks' weights by site and layer. Does not own counting them
// (subject.ts).
import type { DecoderProgram } from '@relufy/models';
import type { Trial } from './calibration.js';

/** What a plan reads besides the model's weights. */
const added: ReadonlySet<string> = new Set(['lowRank', 'predictor']);

/** Of the blocks' weights: which share of their bytes was not read, and what was read by site. */
export function readShares(
  { reads }: DecoderProgram,
  read: Float64Array,
  tokens: number,
): Pick<Trial, 'sparsity' | 'density' | 'layers'> {
  let [bytes, all] = [0, 0];
  const layers: Record<string, { read: number; all: number }[]> = {};
  for (const [at, { site, layer, rowBytes, rows }] of reads.entries()) {
    if (layer < 0) continue;
    const own = { read: (read[at]! / tokens) * rowBytes, all: rows * rowBytes };
    bytes += own.read;
    if (added.has(site)) continue;
    all += own.all;
    const list = layers[site] ?? [];
    layers[site] = list;
    const sum = list[layer] ?? { read: 0, all: 0 };
    list[layer] = { read: sum.read + own.read, all: sum.all + own.all };
  }
  const shares = Object.fromEntries(
    Object.entries(layers).map(([site, list]) => [site, list.map((one) => one.read / one.all)]),
  );
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
  return {
    sparsity: 1 - bytes / all,
    density: Object.fromEntries(Object.entries(shares).map(([site, list]) => [site, mean(list)])),
    layers: shares,
  };
}
