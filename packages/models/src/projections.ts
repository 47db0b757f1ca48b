// The linear layers of one block, listed once: their sizes, what goes into them, and what a zero there lets a step skip.
// Parameter counts, buffers, the decoder, MACs, the loading of weights and inspection read this list, so a new matrix or a
// new reason to skip is stated here alone. Does not own layouts in memory (decoder-buffers.ts) or ops (decoder-builder.ts).
import type { Site } from './decoder-program.js';
import { headRows, isReluLike, type ModelSpec } from './spec.js';

/** The buffers `layers.k.ROLE.weight`. Queries, keys and values are one matrix, in this order. */
export type Role = 'qkv' | 'o' | 'gate' | 'up' | 'down';

export interface Projection {
  readonly role: Role;
  /** Whose input it reads; projections of one site read the same numbers. */
  readonly site: Site;
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  /**
   * What need not be read of the weight. `inputs`: columns whose input is zero, so the weight is stored transposed and
   * one input is one contiguous row. `outputs`: rows whose output is multiplied by a gate that is zero. Absent: nothing.
   */
  readonly skips?: 'inputs' | 'outputs';
}

/** Every linear layer of a block, in the order in which a step comes to it. */
export function projections(spec: ModelSpec): readonly Projection[] {
  const { hiddenSize, intermediateSize, attention, ffn } = spec;
  const { q, all } = headRows(spec);
  const sparse = sparseSites(spec);
  const gated = ffn.kind === 'gated';
  const inputs = (site: Site) => (sparse.has(site) ? ({ skips: 'inputs' } as const) : {});
  const up = gated ? (isReluLike(ffn.activation) ? ({ skips: 'outputs' } as const) : {}) : inputs('upGate');
  const intoFfn = { site: 'upGate', in: hiddenSize, out: intermediateSize, bias: ffn.bias } as const;
  return [
    { role: 'qkv', site: 'qkv', in: hiddenSize, out: all, bias: attention.qkvBias, ...inputs('qkv') },
    { role: 'o', site: 'o', in: q, out: hiddenSize, bias: attention.outBias, ...inputs('o') },
    ...(gated ? [{ role: 'gate', ...intoFfn, ...inputs('upGate') } as const] : []),
    { role: 'up', ...intoFfn, ...up },
    { role: 'down', site: 'down', in: intermediateSize, out: hiddenSize, bias: ffn.bias, ...inputs('down') },
  ];
}

/** Sites whose inputs have exact zeros by design: behind the FFN's activation, and (stage 2) behind the norms. */
export function sparseSites({ ffn, norm }: ModelSpec): ReadonlySet<Site> {
  return new Set<Site>([
    ...(norm.relu ? (['qkv', 'upGate'] as const) : []),
    ...(isReluLike(ffn.activation) ? (['down'] as const) : []),
  ]);
}

/** Some weights may be skipped without changing the answer. */
export const isSparse = (spec: ModelSpec): boolean => sparseSites(spec).size > 0;

/** The number of parameters of a model, tied weights once. */
export function parameterCount(spec: ModelSpec): number {
  const { hiddenSize, intermediateSize, embeddingSize, attention, ffn, norm, block } = spec;
  const { headNorm } = attention;
  const normSize = hiddenSize * (Number(norm.weight) + Number(norm.bias));
  const headNormSize = (Number(headNorm?.weight ?? false) + Number(headNorm?.bias ?? false)) * 2 * attention.headDim;
  const linears = projections(spec).reduce((sum, one) => sum + one.in * one.out + (one.bias ? one.out : 0), 0);
  const layer =
    linears +
    headNormSize +
    (attention.outNorm ? headRows(spec).q : 0) +
    (ffn.downNorm ? intermediateSize : 0) +
    normSize * (block.kind === 'parallel' ? block.norms : 2);
  const between = embeddingSize === hiddenSize ? 0 : 2 * embeddingSize * hiddenSize;
  const positions = spec.positions.kind === 'learned' ? spec.maxPositionEmbeddings * hiddenSize : 0;
  const head = spec.tieWordEmbeddings ? 0 : spec.vocabSize * embeddingSize;
  return (
    spec.vocabSize * embeddingSize +
    head +
    positions +
    between +
    (spec.finalNorm ? normSize : 0) +
    spec.numHiddenLayers * layer
  );
}
