// The buffers of a decoder that outlive a step: weights, KV cache, inputs, with their layouts, from the spec alone.
// Does not own what fills them (load-weights.ts) or the ops over them (decoder-builder.ts).
import {
  type BufferDecl,
  type Dim,
  type DType,
  fetchCounters,
  RelufyError,
  type StepLimits,
  slotFields,
} from '@relufy/tensor';
import { type MaskPlace, type PredictorDType, placesName, placeWidth, predictsAt } from '../sparsity/masks.js';
import { partialBuffers } from '../sparsity/partial-predictor.js';
import { signBuffers } from '../sparsity/sign-predictor.js';
import { twoBitBuffers } from '../sparsity/two-bit-predictor.js';
import { attentionOf, type ModelSpec, mixedWidth } from '../spec.js';
import { listedNeuronRoles, projections, type Role } from './projections.js';
import { recurrentState, recurrentWeights } from './recurrent.js';

/** f16 halves the cache, and rounds keys and values to 11 bits. */
export type KvCacheDType = 'f32' | 'f16';

export interface DecoderOptions {
  readonly limits: StepLimits;
  readonly slots: number;
  readonly contextLength: number;
  /** The format of each matrix weight. */
  readonly matrixDType: (buffer: string, transposed: boolean) => DType;
  /** The format of keys and values. Default: f32. */
  readonly kvCache?: KvCacheDType;
  /** Marks of the neurons that tokens used, for `reuse`: without them no program can load or reuse. Default: as the spec says. */
  readonly reuse?: boolean;
  /** Rows of neurons stay in the checkpoint's file, but for those in so many slots, which all layers share. */
  readonly neuronSlots?: number | undefined;
  /** Small neurons that would have to be read are left out, by thresholds that the host writes (neuron-cache.ts). */
  readonly favoursHeld?: boolean;
  /** Weights are state, which programs may write, and programs can be differentiated. */
  readonly trained?: boolean;
}

/** Every buffer that outlives a step. */
export function declareBuffers(spec: ModelSpec, options: DecoderOptions): BufferDecl[] {
  const { hiddenSize, intermediateSize, embeddingSize, mixer, ffn, norm } = spec;
  const buffers: BufferDecl[] = [];
  const add = (kind: BufferDecl['kind'], name: string, dtype: DType, shape: readonly Dim[], transposed = false) =>
    buffers.push({ name, kind, dtype, shape, ...(transposed && { transposed }) });
  const matrix = (name: string, out: number, input: number, transposed = false, kind: BufferDecl['kind'] = 'weight') =>
    add(kind, name, options.matrixDType(name, transposed), transposed ? [input, out] : [out, input], transposed);
  const vector = (name: string, size: number) => add('weight', name, 'f32', [size]);
  const normOf = (name: string) => {
    if (norm.weight) vector(`${name}.weight`, hiddenSize);
    if (norm.bias) vector(`${name}.bias`, hiddenSize);
  };
  const linears = projections(spec);
  const stored = options.neuronSlots === undefined ? [] : listedNeuronRoles(spec);

  matrix('embedTokens', spec.vocabSize, embeddingSize);
  if (!spec.tieWordEmbeddings) matrix('lmHead', spec.vocabSize, embeddingSize);
  if (embeddingSize !== hiddenSize) {
    matrix('projectIn', hiddenSize, embeddingSize);
    matrix('projectOut', embeddingSize, hiddenSize);
  }
  const { positions } = spec;
  if (positions.kind === 'learned') add('weight', 'embedPositions', 'f32', [spec.maxPositionEmbeddings, hiddenSize]);
  if (positions.kind === 'rope') add('constant', 'ropeTable', 'f32', [options.contextLength, positions.rotaryDim]);
  if (positions.kind === 'alibi')
    add('constant', 'alibi', 'f32', [attentionOf(spec).numAttentionHeads, options.contextLength]);
  for (let i = 0; i < spec.numHiddenLayers; i++) {
    const layer = `layers.${i}`;
    // an input that is zero skips one contiguous row; dense and sparse programs share the weights
    const linear = (...roles: readonly Role[]) => {
      for (const { role, in: input, out, bias, skips } of linears) {
        if (!roles.includes(role)) continue;
        matrix(`${layer}.${role}.weight`, out, input, skips === 'inputs', stored.includes(role) ? 'stored' : 'weight');
        if (bias) vector(`${layer}.${role}.bias`, out);
      }
    };
    normOf(`${layer}.attentionNorm`);
    linear('qkv', 'q', 'qk', 'k', 'kv', 'receptance', 'v');
    if (mixer.kind === 'attention') {
      const { headNorm } = mixer;
      const normedHeads = [mixer.numAttentionHeads + mixer.numKeyValueHeads, mixer.headDim];
      if (headNorm?.weight) add('weight', `${layer}.headNorm.weight`, 'f32', normedHeads);
      if (headNorm?.bias) add('weight', `${layer}.headNorm.bias`, 'f32', normedHeads);
      if (mixer.outNorm) vector(`${layer}.outNorm.weight`, mixedWidth(spec));
    }
    for (const { name, width } of recurrentWeights(spec)) vector(`${layer}.${name}`, width);
    if (ffn.downNorm) vector(`${layer}.downNorm.weight`, intermediateSize);
    linear('o');
    if (!hasOneNorm(spec)) normOf(`${layer}.ffnNorm`);
    linear('gate', 'ffnReceptance', 'up', 'down');
  }
  if (options.neuronSlots !== undefined) buffers.push(...neuronBuffers(spec, options.neuronSlots, buffers));
  if (options.neuronSlots !== undefined && options.favoursHeld)
    for (let i = 0; i < spec.numHiddenLayers; i++) add('state', favouredName(i), 'f32', [intermediateSize]);
  if (spec.embeddingNorm) normOf('embeddingNorm');
  if (spec.finalNorm) normOf('finalNorm');
  if (mixer.kind === 'attention') {
    const { numKeyValueHeads, headDim } = mixer;
    const cache = [options.slots, spec.numHiddenLayers, numKeyValueHeads, options.contextLength, headDim];
    for (const name of ['kCache', 'vCache']) add('state', name, options.kvCache ?? 'f32', cache);
  }
  for (const { name, width } of recurrentState(spec)) add('state', name, 'f32', [options.slots, width]);
  if (options.reuse ?? (spec.reuse !== undefined && !options.trained))
    for (let i = 0; i < spec.numHiddenLayers; i++)
      add('state', `layers.${i}.loaded`, 'f32', [options.slots, intermediateSize]);
  buffers.push(...planBuffers(spec), ...signBuffers(spec), ...partialBuffers(spec), ...twoBitBuffers(spec));
  if (spec.denseTokens !== undefined) add('input', 'maskStrength', 'f32', ['rows']);
  for (const input of ['tokens', 'positions', 'slots']) add('input', input, 'i32', ['rows']);
  for (const input of ['outputRows', 'targets']) add('input', input, 'i32', ['outputs']);
  return buffers;
}

/** Where the rows of a role's neurons lie that are in memory. */
export const fetchedName = (role: Role): string => `neurons.${role}`;

/** What each neuron has to exceed to be counted: 0 where its rows are in memory. */
export const favouredName = (layer: number): string => `layers.${layer}.favoured`;

/** What `fetchRows` works on; see the op table. */
function neuronBuffers(spec: ModelSpec, slots: number, weights: readonly BufferDecl[]): BufferDecl[] {
  const { intermediateSize, hiddenSize, numHiddenLayers } = spec;
  const layers = Array.from({ length: numHiddenLayers }, (_, layer) => layer);
  const rows = listedNeuronRoles(spec).map((role): BufferDecl => {
    const of = weights.filter(({ kind, name }) => kind === 'stored' && name.endsWith(`.${role}.weight`));
    const { dtype, transposed } = of[0] as BufferDecl;
    const other = of.find((decl) => decl.dtype !== dtype);
    if (other)
      throw new RelufyError(
        'option',
        `memoryBudget: expected one format for all layers, got ${dtype} of ${of[0]?.name} and ${other.dtype} of ${other.name}. Convert the model to one dtype.`,
      );
    const shape = [slots, hiddenSize];
    return { name: fetchedName(role), kind: 'state', dtype, shape, ...(transposed && { transposed }) };
  });
  const words = (name: string, ...shape: readonly number[]): BufferDecl => ({
    name,
    kind: 'state',
    dtype: 'i32',
    shape,
  });
  return [
    ...rows,
    words('neurons.slots', slots, slotFields),
    words('neurons.counters', fetchCounters),
    ...layers.map((layer) => words(`layers.${layer}.table`, intermediateSize)),
  ];
}

/**
 * What a plan brings, f32 unless it says otherwise: thresholds and scales of masks, low-rank factors, predictors. Shapes as
 * in its file; whoever calibrates may write them between steps (plan-values.ts).
 */
export function planBuffers(spec: ModelSpec): BufferDecl[] {
  const buffers: BufferDecl[] = [];
  const addAs = (dtype: PredictorDType, name: string, ...shape: readonly number[]) =>
    buffers.push({ name, kind: 'constant', dtype, shape });
  const add = (name: string, ...shape: readonly number[]) => addAs('f32', name, ...shape);
  for (let layer = 0; layer < spec.numHiddenLayers; layer++) {
    for (const mask of spec.masks ?? []) {
      const name = `layers.${layer}.${placesName(mask.at)}`;
      const width = placeWidth(spec, mask.at[0] as MaskPlace);
      if (mask.kind === 'magnitude') add(`${name}.threshold`, mask.perChannel ? width : 1);
      if (mask.kind === 'top' && mask.scaled) add(`${name}.scale`, width);
    }
    for (const { role, in: input, out, lowRank } of projections(spec)) {
      const rank = lowRank?.rank[layer] ?? 0;
      if (rank === 0) continue;
      add(`layers.${layer}.${role}.lowRank.a`, rank, input);
      add(`layers.${layer}.${role}.lowRank.b`, out, rank);
    }
    const { predictor } = spec;
    if (predictor === undefined || !predictsAt(spec, layer)) continue;
    if (predictor.kind === undefined) {
      const rank = predictor.rank[layer] as number;
      const { dtype = 'f32' } = predictor;
      addAs(dtype, `layers.${layer}.predictor.a`, rank, spec.hiddenSize);
      addAs(dtype, `layers.${layer}.predictor.b`, spec.intermediateSize, rank);
    }
    // one threshold for sign bits follows from alpha: sign-predictor.ts
    if (predictor.perNeuron || predictor.kind !== 'signs')
      add(`layers.${layer}.predictor.threshold`, predictor.perNeuron ? spec.intermediateSize : 1);
  }
  return buffers;
}

export function hasOneNorm({ block }: ModelSpec): boolean {
  return block.kind === 'parallel' && block.norms === 1;
}
