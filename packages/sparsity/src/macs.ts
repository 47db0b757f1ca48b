// Multiply-accumulates and bytes of weights for one decoded token, from a spec's sizes and the densities at its sites.
// The accounting of ReLU Strikes Back (arXiv 2310.04564): only weight matrices count, scores and values of attention do
// not. Measured densities come from elsewhere.
import { type ModelSpec, projections, type ReadSite, type Role, type Site, sparseSites } from '@relufy/models';

export interface MacCount {
  /** Attention and FFN of all layers. */
  readonly blocks: number;
  /** The head on top of that. */
  readonly withHead: number;
}

/**
 * Mean shares: of a site's inputs, or of those of one linear layer where masks differ; of `neurons` after the gate of a
 * gated FFN (default: those at `down`); of the neurons that a predictor takes for active (`foreseen`).
 */
export type Densities = Readonly<Partial<Record<Site | Role | 'neurons' | 'foreseen', number>>>;

/** Densities from a model's own counters, one number a site. */
export function densitiesOf(spec: ModelSpec, read: Readonly<Partial<Record<ReadSite, number>>>): Densities {
  const { up: neurons, upGate, ...others } = read;
  return {
    ...others,
    ...(upGate !== undefined && { [spec.predictor ? 'foreseen' : 'upGate']: upGate }),
    ...(neurons !== undefined && { neurons }),
  };
}

/**
 * MACs of one token at mean densities (1: nothing is skipped), low-rank products and predictors included. The table of the paper does not cut the up
 * projection of a gated stage-2 model by the gate's zeros as well; `skipUpRows` does.
 */
export function countMacs(
  spec: ModelSpec,
  density: Densities,
  { skipUpRows = false }: { readonly skipUpRows?: boolean } = {},
): MacCount {
  // whatever the activation: a density of neurons may come from a threshold
  const cutsRows = spec.ffn.kind === 'gated' && (skipUpRows || !sparseSites(spec).has('upGate'));
  const { predictor, ffn, hiddenSize, intermediateSize } = spec;
  let blocks = 0;
  for (const { role, site, in: input, out, lowRank } of projections(spec)) {
    const first = role === (ffn.kind === 'gated' ? 'gate' : 'up');
    const foreseen = predictor && first ? (density.foreseen ?? 1) : 1;
    const neurons = role === 'up' && cutsRows ? (density.neurons ?? density.down ?? 1) : 1;
    blocks += spec.numHiddenLayers * (density[role] ?? density[site] ?? 1) * foreseen * neurons * input * out;
    for (const rank of lowRank?.rank ?? []) blocks += rank * (input + out);
  }
  // signs are compared, not multiplied
  const ranks = predictor?.kind === undefined ? (predictor?.rank ?? []) : [];
  for (const rank of ranks) blocks += rank * (hiddenSize + intermediateSize);
  for (const inputs of predictor?.kind === 'partial' ? predictor.inputs : []) blocks += inputs * intermediateSize;
  for (const bits of predictor?.kind === 'two-bit' ? predictor.bits : [])
    blocks += bits > 0 ? hiddenSize * intermediateSize : 0;
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
