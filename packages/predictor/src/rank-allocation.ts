// How many directions each layer's predictor gets: what a rank lets a layer skip is read off one fitted predictor, cut to
// every smaller rank, and bytes go where they save most. A layer where nothing is saved gets none. Does not own the fit
// (layer-fit.ts).
import type { LayerSamples, Samples } from './capture.js';
import type { Factors } from './layer-fit.js';
import { Margins, shareAbove, thresholdFor } from './margins.js';
import { truncated } from './start-factors.js';

/** What a rank is worth: the share of neurons that it proposes, on held-out tokens. */
export interface RankPoint {
  readonly rank: number;
  readonly proposed: number;
}

/** By rank, ascending, the share of neurons that ordered factors propose where their recall is as asked. */
export function rankCurve(
  factors: Factors,
  ranks: readonly number[],
  { tokens, layers }: Samples,
  layer: number,
  recall: number,
): RankPoint[] {
  const { x, active } = layers[layer] as LayerSamples;
  const hidden = x.length / tokens;
  const neurons = factors.bias.length;
  const scores = new Float32Array(tokens * neurons);
  for (let token = 0; token < tokens; token++) scores.set(factors.bias, token * neurons);
  let before = 0;
  return ranks.map((rank) => {
    const { a, b } = truncated(factors, rank);
    for (let token = 0; token < tokens; token++)
      for (let r = before; r < rank; r++) {
        let inner = 0;
        for (let i = 0; i < hidden; i++) inner += a[r * hidden + i]! * x[token * hidden + i]!;
        for (let n = 0, at = token * neurons; n < neurons; n++, at++) scores[at]! += inner * b[n * rank + r]!;
      }
    before = rank;
    const [on, all] = [new Margins(), new Margins()];
    for (let token = 0, at = 0; token < tokens; token++)
      for (let n = 0; n < neurons; n++, at++) {
        all.add(scores[at]!);
        if (active[at] !== 0) on.add(scores[at]!);
      }
    return { rank, proposed: shareAbove(all.sorted(), thresholdFor(on.sorted(), recall)) };
  });
}

export interface AllocationOptions {
  /** By layer. */
  readonly curves: readonly (readonly RankPoint[])[];
  /** Bytes of a layer's predictor of a rank. */
  readonly bytesOf: (rank: number) => number;
  /** Bytes of the weights whose rows are read for proposed neurons alone, of a layer. */
  readonly judgedBytes: number;
  /** Of all predictors together. */
  readonly budget: number;
}

/** A rank a layer; 0: none. */
export function allocateRanks({ curves, bytesOf, judgedBytes, budget }: AllocationOptions): number[] {
  const sizeOf = (rank: number) => (rank === 0 ? 0 : bytesOf(rank));
  const costOf = (layer: number, rank: number): number => {
    const point = curves[layer]!.find((one) => one.rank === rank);
    return point === undefined ? judgedBytes : point.proposed * judgedBytes + sizeOf(rank);
  };
  const ranks = curves.map(() => 0);
  let left = budget;
  for (;;) {
    let best: { readonly layer: number; readonly rank: number; readonly gain: number } | undefined;
    for (const [layer, curve] of curves.entries())
      for (const { rank } of curve) {
        const more = sizeOf(rank) - sizeOf(ranks[layer]!);
        const saved = costOf(layer, ranks[layer]!) - costOf(layer, rank);
        if (more <= 0 || more > left || saved <= 0) continue;
        const gain = saved / more;
        if (best === undefined || gain > best.gain) best = { layer, rank, gain };
      }
    if (best === undefined) return ranks;
    left -= sizeOf(best.rank) - sizeOf(ranks[best.layer]!);
    ranks[best.layer] = best.rank;
  }
}

/** Ranks that are worth trying, up to the largest: some sixteen, multiples of a step that vector kernels like. */
export function ranksUpTo(largest: number): number[] {
  const step = largest <= 32 ? Math.max(1, Math.ceil(largest / 16)) : Math.ceil(largest / 16 / 8) * 8;
  const ranks: number[] = [];
  for (let rank = step; rank < largest; rank += step) ranks.push(rank);
  return [...ranks, largest];
}
