// Multiply-accumulates and bytes of weights for one decoded token, from a spec's sizes and the densities at its sites.
// The accounting of ReLU Strikes Back (arXiv 2310.04564): only weight matrices count, scores and values of attention do
// not. Measured densities come from elsewhere.
import type { ModelSpec, Site } from '@relufy/models';

/** The sizes that MACs depend on. */
export interface MacShape {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly vocabSize: number;
  /** Outputs of the key projection, and of the value projection. */
  readonly kvSize: number;
  readonly gated: boolean;
  /** ReLU after the norms: the inputs of qkv, gate and up are sparse. */
  readonly stage2: boolean;
  /** Outputs of the query projection, when they are not hiddenSize. */
  readonly querySize?: number;
}

export interface MacCount {
  /** Attention and FFN of all layers. */
  readonly blocks: number;
  /** The head on top of that. */
  readonly withHead: number;
}

export function macShape(spec: ModelSpec): MacShape {
  const { numAttentionHeads, numKeyValueHeads, headDim } = spec.attention;
  return {
    hiddenSize: spec.hiddenSize,
    intermediateSize: spec.intermediateSize,
    numHiddenLayers: spec.numHiddenLayers,
    vocabSize: spec.vocabSize,
    kvSize: numKeyValueHeads * headDim,
    querySize: numAttentionHeads * headDim,
    gated: spec.ffn.kind === 'gated',
    stage2: spec.norm.relu,
  };
}

/**
 * MACs of one token at mean densities of layer inputs (1: nothing is skipped). The table of the paper does not cut the up
 * projection of a gated stage-2 model by the gate's zeros as well; `skipUpRows` does.
 */
export function countMacs(
  shape: MacShape,
  density: Readonly<Partial<Record<Site, number>>>,
  { skipUpRows = false }: { readonly skipUpRows?: boolean } = {},
): MacCount {
  const { hiddenSize: d, intermediateSize: f, kvSize, numHiddenLayers, vocabSize, gated, stage2 } = shape;
  const { querySize = d } = shape;
  const { qkv = 1, o = 1, upGate = 1, down = 1 } = density;
  const attention = qkv * d * (querySize + 2 * kvSize) + o * querySize * d;
  const gate = gated ? upGate * d * f : 0;
  const upRows = gated && (!stage2 || skipUpRows) ? down : 1;
  const ffn = gate + upGate * upRows * d * f + down * f * d;
  const blocks = numHiddenLayers * (attention + ffn);
  return { blocks, withHead: blocks + vocabSize * d };
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
