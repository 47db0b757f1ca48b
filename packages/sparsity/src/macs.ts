// Multiply-accumulates and bytes of weights for one decoded token, from a spec's sizes and the densities at its sites.
// The accounting of ReLU Strikes Back (arXiv 2310.04564): only weight matrices count, scores and values of attention do
// not. Measured densities come from elsewhere.
import { type ModelSpec, projections, type Site, sparseSites } from '@relufy/models';

export interface MacCount {
  /** Attention and FFN of all layers. */
  readonly blocks: number;
  /** The head on top of that. */
  readonly withHead: number;
}

/**
 * MACs of one token at mean densities of layer inputs (1: nothing is skipped). The table of the paper does not cut the up
 * projection of a gated stage-2 model by the gate's zeros as well; `skipUpRows` does.
 */
export function countMacs(
  spec: ModelSpec,
  density: Readonly<Partial<Record<Site, number>>>,
  { skipUpRows = false }: { readonly skipUpRows?: boolean } = {},
): MacCount {
  // whatever the activation: a density of neurons may come from a threshold
  const cutsRows = spec.ffn.kind === 'gated' && (skipUpRows || !sparseSites(spec).has('upGate'));
  const macs = projections(spec).map((one) => {
    const rows = one.role === 'up' && cutsRows ? (density.down ?? 1) : 1;
    return (density[one.site] ?? 1) * rows * one.in * one.out;
  });
  const blocks = spec.numHiddenLayers * macs.reduce((sum, each) => sum + each, 0);
  return { blocks, withHead: blocks + spec.vocabSize * spec.hiddenSize };
}

/**
 * Bytes of the weights that are multiplied with. `denseBytes`, what a dense step reads, is spread evenly over its MACs;
 * nothing where no step was counted.
 */
export function weightBytes(
  macs: { readonly dense: MacCount; readonly measured: MacCount },
  denseBytes: number,
): MacCount | undefined {
  if (!(denseBytes > 0)) return undefined;
  const each = denseBytes / macs.dense.withHead;
  return { blocks: macs.measured.blocks * each, withHead: macs.measured.withHead * each };
}
