// The linear layers of one block, listed once: their sizes, what goes into them, and what a zero there lets a step skip.
// Parameter counts, buffers, the decoder, MACs, the loading of weights and inspection read this list, so a new matrix or a
// new reason to skip is stated here alone. Does not own what makes a zero (masks.ts), layouts in memory
// (decoder-buffers.ts) or ops (decoder-builder.ts).

import {
  type LowRank,
  lowRankAt,
  type Mask,
  type MaskPlace,
  maskAt,
  predictsAt,
  sparsePlaces,
} from '../sparsity/masks.js';
import { type AttentionMixer, attentionOf, headRows, type ModelSpec, mixedWidth } from '../spec.js';
import type { Site } from './decoder-program.js';

/** Queries, keys and values: one matrix, or cut where masks or low-rank products differ. */
export type QkvRole = 'qkv' | 'q' | 'k' | 'v' | 'qk' | 'kv';

/** The buffers `layers.k.ROLE.weight`. */
export type Role = QkvRole | 'receptance' | 'o' | 'gate' | 'ffnReceptance' | 'up' | 'down';

export interface Projection {
  readonly role: Role;
  /** Whose input it reads; projections of one site read the same numbers but for their masks. */
  readonly site: Site;
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  /** What stands before its input. */
  readonly mask?: Mask;
  /** What is added to its output. */
  readonly lowRank?: LowRank;
  /**
   * What need not be read of the weight. `inputs`: columns whose input is zero, so the weight is stored transposed and
   * one input is one contiguous row. `outputs`: rows of neurons that are zero whatever they would be. Absent: nothing.
   */
  readonly skips?: 'inputs' | 'outputs';
}

/**
 * Every linear layer of a block, in the order in which a step comes to it; cut as `layout` has them, whose masks may be
 * more: a plan that another program goes by.
 */
export function projections(spec: ModelSpec, layout: ModelSpec = spec): readonly Projection[] {
  const { hiddenSize, intermediateSize, mixer, ffn, predictor } = spec;
  const gated = ffn.kind === 'gated';
  const sparse = sparsePlaces(spec);
  const at = (place: MaskPlace, skipsOutputs = false): Pick<Projection, 'mask' | 'lowRank' | 'skips'> => {
    const [mask, lowRank] = [maskAt(spec, place), lowRankAt(spec, place)];
    const skips = skipsOutputs ? 'outputs' : sparse.has(place) ? 'inputs' : undefined;
    return { ...(mask && { mask }), ...(lowRank && { lowRank }), ...(skips && { skips }) };
  };
  const linear = (role: 'k' | 'receptance' | 'v' | 'ffnReceptance', out: number): Projection => {
    return { role, site: role, in: hiddenSize, out, bias: false, ...at(role) };
  };
  const mixing =
    mixer.kind === 'attention'
      ? qkvProjections(spec, layout, at)
      : (['k', 'receptance', 'v'] as const).map((role) => linear(role, mixer.width));
  const outBias = mixer.kind === 'attention' && mixer.outBias;
  // a low-rank product gives all outputs, and is added to products of all
  const skipsNeurons = sparse.has('neurons') && !lowRankAt(spec, 'up');
  const intoFfn = { site: 'upGate', in: hiddenSize, out: intermediateSize, bias: ffn.bias } as const;
  return [
    ...mixing,
    { role: 'o', site: 'o', in: mixedWidth(spec), out: hiddenSize, bias: outBias, ...at('o') },
    ...(ffn.channelMix ? [linear('ffnReceptance', hiddenSize)] : []),
    ...(gated ? [{ role: 'gate', ...intoFfn, ...at('gate', predictor !== undefined) } as const] : []),
    { role: 'up', ...intoFfn, ...at('up', gated ? skipsNeurons : predictor !== undefined) },
    { role: 'down', site: 'down', in: intermediateSize, out: hiddenSize, bias: ffn.bias, ...at('down') },
  ];
}

/**
 * The matrices whose rows are neurons, of which a step reads none but the listed ones: those that may stay in a file. The
 * first list of a layer holds all that follow.
 */
export function listedNeuronRoles(spec: ModelSpec): readonly Role[] {
  const { ffn, predictor, numHiddenLayers } = spec;
  const layers = Array.from({ length: numHiddenLayers }, (_, layer) => layer);
  // sign bits, and copies in few bits, are taken from the weights; and a ReLU that is not zero at zero computes neurons that were not foreseen
  const { kind, threshold } = ffn.activation;
  const foreseen =
    layers.every((layer) => predictsAt(spec, layer)) &&
    predictor?.kind === undefined &&
    !(kind === 'relu' && threshold < 0);
  const judged: Role = ffn.kind === 'gated' ? 'gate' : 'up';
  return projections(spec)
    .filter(({ role, skips }) => {
      if (role === judged) return skips === 'outputs' && foreseen;
      return (role === 'up' && skips === 'outputs') || (role === 'down' && skips === 'inputs');
    })
    .map(({ role }) => role);
}

type QkvPart = 'q' | 'k' | 'v';

function qkvProjections(
  spec: ModelSpec,
  layout: ModelSpec,
  at: (place: MaskPlace) => Pick<Projection, 'mask' | 'lowRank' | 'skips'>,
): readonly Projection[] {
  const { q, kv } = headRows(spec);
  const rows = { q, k: kv, v: kv };
  return qkvGroups(layout).map((group): Projection => {
    const out = group.reduce((sum, one) => sum + rows[one], 0);
    const role = group.join('') as QkvRole;
    return { role, site: 'qkv', in: spec.hiddenSize, out, bias: attentionOf(spec).qkvBias, ...at(group[0]) };
  });
}

/** Neighbours with one mask and one low-rank product are one matrix. */
function qkvGroups(spec: ModelSpec): readonly (readonly [QkvPart, ...QkvPart[]])[] {
  const groups: [QkvPart, ...QkvPart[]][] = [['q']];
  for (const part of ['k', 'v'] as const) {
    const group = groups.at(-1) as [QkvPart, ...QkvPart[]];
    const before = group[0];
    const alike = maskAt(spec, part) === maskAt(spec, before) && lowRankAt(spec, part) === lowRankAt(spec, before);
    if (alike) group.push(part);
    else groups.push([part]);
  }
  return groups;
}

export const isQkv = (role: Role): role is QkvRole => /^[qkv]+$/.test(role);

/** The rows of a cut matrix within the whole of queries, keys and values. */
export function qkvRows(spec: ModelSpec, role: QkvRole): { readonly first: number; readonly count: number } {
  const { q, kv } = headRows(spec);
  const first = { q: 0, k: q, v: q + kv }[role[0] as QkvPart];
  return { first, count: [...role].reduce((sum, part) => sum + (part === 'q' ? q : kv), 0) };
}

/** The inputs of a block's linear layers, in the order in which a step comes to them. */
export const sitesOf = (spec: ModelSpec): readonly Site[] => [...new Set(projections(spec).map(({ site }) => site))];

/** Sites with an input that has exact zeros by design: after the FFN's activation, and where masks stand. */
export function sparseSites(spec: ModelSpec): ReadonlySet<Site> {
  const sparse = sparsePlaces(spec);
  return new Set(
    projections(spec).flatMap(({ site, role, mask }) => (mask || sparse.has(role as MaskPlace) ? [site] : [])),
  );
}

/** Some weights may be skipped without changing the answer. */
export const isSparse = (spec: ModelSpec): boolean => projections(spec).some(({ skips }) => skips !== undefined);

/** The number of parameters of a model, tied weights once; a plan's low-rank products and predictors are not its own. */
export function parameterCount(spec: ModelSpec): number {
  const { hiddenSize, intermediateSize, embeddingSize, mixer, ffn, norm, block } = spec;
  const normSize = hiddenSize * (Number(norm.weight) + Number(norm.bias));
  const linears = projections(spec).reduce((sum, one) => sum + one.in * one.out + (one.bias ? one.out : 0), 0);
  const layer =
    linears +
    (mixer.kind === 'attention' ? attentionNormSize(mixer) : 3 * hiddenSize + 2 * mixer.width) +
    (ffn.channelMix ? 2 * hiddenSize : 0) +
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
    (spec.embeddingNorm ? normSize : 0) +
    (spec.finalNorm ? normSize : 0) +
    spec.numHiddenLayers * layer
  );
}

function attentionNormSize(mixer: AttentionMixer): number {
  const { headNorm, outNorm, headDim, numAttentionHeads, numKeyValueHeads } = mixer;
  const parts = Number(headNorm?.weight ?? false) + Number(headNorm?.bias ?? false);
  const vectors = headNorm?.perHead ? numAttentionHeads + numKeyValueHeads : 2;
  return parts * vectors * headDim + (outNorm ? numAttentionHeads * headDim : 0);
}
