// Where a model is sparse, as data: masks that write zeros, low-rank products for what they leave out, and a predictor of
// neurons. Each reason for a zero is stated here alone, the zeros of a ReLU among them.
// Does not own what is skipped for a zero (projections.ts), the ops (decoder-builder.ts), or plan files (plan.ts).
import { RelufyError } from '@relufy/tensor';
import { type Activation, type ModelSpec, mixedWidth } from '../spec.js';

/**
 * The numbers that a mask stands on: the input of a linear layer, or, for `neurons`, what the gate of a gated FFN lets
 * through, act(gate x). A plain FFN has no `gate`, and its neurons are the input of `down`. RWKV-4 has receptances, no
 * queries: `receptance` in its mixer and `ffnReceptance` in its FFN, and each of its linear layers has an input of its own.
 */
export type MaskPlace = 'q' | 'k' | 'receptance' | 'v' | 'o' | 'gate' | 'ffnReceptance' | 'up' | 'neurons' | 'down';

/** The places that are inputs of linear layers. */
export type InputPlace = Exclude<MaskPlace, 'neurons'>;

/** In the order in which a step comes to them. */
export const maskPlaces: readonly MaskPlace[] = [
  ...(['q', 'k', 'receptance', 'v', 'o'] as const),
  ...(['gate', 'ffnReceptance', 'up', 'neurons', 'down'] as const),
];

/** The inputs of a block's linear layers, those that are the same numbers together. */
export function inputPlaces({ mixer, ffn }: Pick<ModelSpec, 'mixer' | 'ffn'>): readonly (readonly InputPlace[])[] {
  const mixing: readonly (readonly InputPlace[])[] =
    mixer.kind === 'attention' ? [['q', 'k', 'v']] : [['k'], ['receptance'], ['v']];
  const intoFfn: readonly (readonly InputPlace[])[] = ffn.channelMix
    ? [['ffnReceptance'], ['up']]
    : [ffn.kind === 'gated' ? ['gate', 'up'] : ['up']];
  return [...mixing, ['o'], ...intoFfn, ['down']];
}

export type MaskRule =
  /** max(0, x): stage 2 of ReLU Strikes Back (arXiv 2310.04564, 4.2). */
  | { readonly kind: 'relu' }
  /**
   * x where |x| > threshold, one for all channels or (`perChannel`) one each; `keepsTies`: where |x| >= threshold. A
   * weight-aware rule |x_i| ||W_i|| > t is a threshold t / ||W_i|| a channel. TEAL (2408.14690), CATS (2404.08763), CHESS
   * (2409.01366), CETT (2402.03804), R-Sparse (2504.19449).
   */
  | { readonly kind: 'magnitude'; readonly perChannel?: true; readonly keepsTies?: true }
  /**
   * The k largest of |x_i|, or (`scaled`) of |x_i| scale_i as in WINA (2505.19427); of equal ones the first. `k`: one a
   * layer. `groupSize`: neighbours are kept or left together. `within`: the k largest of every so many channels.
   */
  | {
      readonly kind: 'top';
      readonly k: readonly number[];
      readonly scaled?: true;
      readonly groupSize?: number;
      readonly within?: number;
    };

/** A mask before the places that it names, which read the same numbers and share its thresholds. */
export type Mask = MaskRule & { readonly at: readonly MaskPlace[] };

/** y = W x + b a x', beside the products of the places that it names, which are one matrix to it (R-Sparse). */
export interface LowRank {
  readonly at: readonly MaskPlace[];
  /** One a layer; 0: none there. */
  readonly rank: readonly number[];
  /** What it is fed: the whole input, or what the mask in front of the place left out. */
  readonly input: 'all' | 'remainder';
}

/** How the copy of the gate that partial scores read may be held. */
export const partialDTypes = ['bf16', 'int8', 'int4'] as const;
export type PartialDType = (typeof partialDTypes)[number];

/** How a predictor's matrices may be held. */
export const predictorDTypes = ['f32', 'bf16', 'int8'] as const;
export type PredictorDType = (typeof predictorDTypes)[number];

interface PredictorThresholds {
  /**
   * A threshold a neuron instead of one a layer: what a trained bias comes to, and, where it is -Infinity, a hot neuron,
   * which is always computed (PowerInfer, 2312.12456).
   */
  readonly perNeuron?: true;
}

/** What says which neurons are computed, before the gate (in a plain FFN: `up`) is read; x is the FFN's input. */
export type Predictor =
  /** Those where b f(a x) > threshold: Deja Vu (2310.17157), PowerInfer (2312.12456). */
  | ({
      readonly kind?: undefined;
      /** One a layer; 0: no predictor there. */
      readonly rank: readonly number[];
      /** f is a ReLU; absent: nothing between the two products. */
      readonly relu?: true;
      /**
       * `residual`: x is what the FFN's norm is given, the residual stream: PowerInfer's predictors. `lookahead`: what the norm
       * of the FFN one layer earlier is given, in the first layer the embeddings, so that neurons are known before the layer
       * begins (Deja Vu 4.3). Absent: what the norm gives.
       */
      readonly input?: 'residual' | 'lookahead';
      /** How a and b are held; default f32. Narrower ones cost less, and may propose otherwise right at the threshold. */
      readonly dtype?: PredictorDType;
    } & PredictorThresholds)
  /**
   * All but those where 100 negative > alpha positive, the numbers of channels in which the signs of x and of the neuron's
   * weights differ and agree, as a product of the two would be negative or positive: SparseInfer (2411.12692). 0 counts as
   * positive. The sign bits are taken from the weights when the plan is loaded. With `perNeuron`, the plan's thresholds
   * say how many signs have to agree, and alpha only in which layers there is a predictor.
   */
  | ({
      readonly kind: 'signs';
      /** In percent, one a layer, larger: more careful; 0: no predictor there. */
      readonly alpha: readonly number[];
    } & PredictorThresholds)
  /**
   * Those whose row of the gate (of `up` in a plain FFN), times the largest |x_i| alone, is above the threshold: exact scores
   * in part. They are read from a copy of the gate, by inputs, that is made when the plan is loaded.
   */
  | ({
      readonly kind: 'partial';
      /** How many of the inputs, one a layer; 0: no predictor there. */
      readonly inputs: readonly number[];
      /** Of the copy. Default int4. */
      readonly dtype?: PartialDType;
    } & PredictorThresholds)
  /**
   * Those whose row of the gate (of `up` in a plain FFN) in two bits a weight, sign and whether it is large, times x in 8 bits
   * is above the threshold. The bits are taken from the weights when the plan is loaded.
   */
  | ({
      readonly kind: 'two-bit';
      /** 2, one a layer; 0: no predictor there. */
      readonly bits: readonly number[];
    } & PredictorThresholds);

type Masked = Pick<ModelSpec, 'masks'>;

export const maskAt = ({ masks }: Masked, place: MaskPlace): Mask | undefined =>
  masks?.find(({ at }) => at.includes(place));

export const lowRankAt = ({ lowRank }: Pick<ModelSpec, 'lowRank'>, place: MaskPlace): LowRank | undefined =>
  lowRank?.find(({ at }) => at.includes(place));

/** One number a layer, 0 where there is no predictor: ranks, alphas, inputs or bits. */
export function predictorSizes(predictor: Predictor): readonly number[] {
  switch (predictor.kind) {
    case 'signs':
      return predictor.alpha;
    case 'partial':
      return predictor.inputs;
    case 'two-bit':
      return predictor.bits;
    default:
      return predictor.rank;
  }
}

/** Whether the predictor says anything in a layer. */
export function predictsAt({ predictor }: Pick<ModelSpec, 'predictor'>, layer: number): boolean {
  return predictor !== undefined && (predictorSizes(predictor)[layer] ?? 0) > 0;
}

/** Of its buffers and taps: `qkv`, `kv`, `gateUp`, `down`. */
export function placesName(at: readonly MaskPlace[]): string {
  return at
    .map((place, i) => (i === 0 || place.length === 1 ? place : place[0]?.toUpperCase() + place.slice(1)))
    .join('');
}

/** Activations that give exact zeros, so that a neuron's weights can be skipped without changing the answer. */
export const reluKinds = ['relu', 'relu2', 'fatrelu'] as const;
export type ReluKind = (typeof reluKinds)[number];

const isReluLike = ({ kind }: Activation): boolean => (reluKinds as readonly string[]).includes(kind);

/** The activation as stage 1 makes it: ReLU-like ones stay, unless another or a shift is asked for. */
export function rectified(
  original: Activation,
  asked: { readonly activation?: ReluKind; readonly threshold?: number; readonly shift?: number } = {},
): Activation {
  const { activation, threshold, shift } = asked;
  if (activation === undefined && shift === undefined && isReluLike(original)) return original;
  return { kind: activation ?? 'relu', threshold: shift ?? threshold ?? 0 };
}

/** Stage 2: a ReLU after every norm that feeds attention or an FFN. */
export function withNormRelu(spec: ModelSpec): ModelSpec {
  if (hasNormRelu(spec)) return spec;
  const masks: readonly Mask[] = [
    { at: ['q', 'k', 'v'], kind: 'relu' },
    { at: spec.ffn.kind === 'gated' ? ['gate', 'up'] : ['up'], kind: 'relu' },
  ];
  return { ...spec, masks };
}

/** What is computed where nothing is masked, predicted or added: the baseline of counts. */
export function withoutMasks({
  masks: _,
  lowRank: __,
  predictor: ___,
  denseTokens: ____,
  reuse: _____,
  ...spec
}: ModelSpec): ModelSpec {
  return spec;
}

/** The same model without gates, for a checkpoint that holds none. */
export function withoutGate(spec: ModelSpec): ModelSpec {
  const masks = spec.masks?.map((mask) => ({ ...mask, at: mask.at.filter((place) => place !== 'gate') }));
  return { ...spec, ffn: { ...spec.ffn, kind: 'plain' }, ...(masks && { masks }) };
}

/** Whether the model is one of stage 2. */
export const hasNormRelu = (spec: Masked): boolean => maskAt(spec, 'q')?.kind === 'relu';

/** The places whose numbers have zeros by design. */
export function sparsePlaces(spec: ModelSpec): ReadonlySet<MaskPlace> {
  const places = new Set((spec.masks ?? []).flatMap(({ at }) => at));
  const gated = spec.ffn.kind === 'gated';
  if (isReluLike(spec.ffn.activation) || spec.predictor) places.add(gated ? 'neurons' : 'down');
  if (places.has('neurons')) places.add('down');
  return places;
}

/** Channels at a place. */
export function placeWidth(spec: ModelSpec, place: MaskPlace): number {
  if (place === 'neurons' || place === 'down') return spec.intermediateSize;
  return place === 'o' ? mixedWidth(spec) : spec.hiddenSize;
}

/**
 * @throws RelufyError `option`, beginning with `where`, for masks, low-rank products or a predictor that the model cannot
 * have.
 */
export function checkMasks(where: string, spec: ModelSpec): void {
  const fail = (what: string, expected: string, got: string): never => {
    throw new RelufyError('option', `${where} ${what}: expected ${expected}, got ${got}.`);
  };
  const gated = spec.ffn.kind === 'gated';
  const oneInput = spec.block.kind === 'parallel' && spec.block.norms === 1;
  const inputs = inputPlaces(spec);
  const known = new Set<MaskPlace>(gated ? [...inputs.flat(), 'neurons'] : inputs.flat());
  // a block with one norm feeds it to attention and FFN
  const input = (place: MaskPlace) =>
    oneInput && (place === 'gate' || place === 'up') ? 0 : inputs.findIndex((at) => at.some((one) => one === place));
  const disjoint = (what: string, lists: readonly (readonly MaskPlace[])[]) => {
    const seen = new Set<MaskPlace>();
    for (const at of lists) {
      if (at.length === 0) fail(what, 'at least one place', 'none');
      for (const place of at) {
        if (!gated && (place === 'gate' || place === 'neurons'))
          fail(what, 'places of a plain FFN (up, down)', `"${place}"`);
        if (!known.has(place)) fail(what, `places of this model (${[...known].join(', ')})`, `"${place}"`);
        if (seen.has(place)) fail(what, 'each place once', `"${place}" twice`);
        seen.add(place);
      }
      if (new Set(at.map(input)).size > 1) fail(what, 'places that read the same numbers', at.join(', '));
    }
  };
  const onePerLayer = (what: string, values: readonly number[]) => {
    if (values.length !== spec.numHiddenLayers)
      fail(what, `one number for each of ${spec.numHiddenLayers} layers`, String(values.length));
  };
  const perLayer = (what: string, values: readonly number[], most: number) => {
    onePerLayer(what, values);
    const wrong = values.find((value) => !Number.isInteger(value) || value < 0 || value > most);
    if (wrong !== undefined) fail(what, `whole numbers from 0 to ${most}`, String(wrong));
  };
  const masks = spec.masks ?? [];
  disjoint(
    'masks',
    masks.map(({ at }) => at),
  );
  for (const mask of masks) {
    if (mask.kind !== 'top') continue;
    const name = `mask "${placesName(mask.at)}"`;
    const width = placeWidth(spec, mask.at[0] as MaskPlace);
    const { groupSize = 1, within = width } = mask;
    if (!(Number.isInteger(within) && within > 0) || width % within !== 0)
      fail(`${name} within`, `a divisor of ${width}`, String(within));
    if (!(Number.isInteger(groupSize) && groupSize > 0) || within % groupSize !== 0)
      fail(`${name} groupSize`, `a divisor of ${within}`, String(groupSize));
    perLayer(`${name} k`, mask.k, within / groupSize);
  }
  const lowRank = spec.lowRank ?? [];
  disjoint(
    'low-rank products',
    lowRank.map(({ at }) => at),
  );
  for (const { at, rank, input: fed } of lowRank) {
    const what = `low-rank product "${placesName(at)}"`;
    const place = at[0] as MaskPlace;
    perLayer(`${what} rank`, rank, placeWidth(spec, place));
    if (place === 'neurons') fail(what, 'a linear layer', '"neurons"');
    if (at.length > 1 && !['qkv', 'qk', 'kv'].includes(at.join('')))
      fail(what, 'one linear layer, or neighbours among q, k and v', at.join(', '));
    const mask = maskAt(spec, place);
    if (at.some((one) => maskAt(spec, one) !== mask)) fail(what, 'one mask before all its places', 'several');
    if (fed === 'remainder' && !(mask?.kind === 'magnitude' && !mask.keepsTies))
      fail(what, 'a magnitude mask, whose remainder it is fed', mask?.kind ?? 'none');
    if (spec.predictor && (place === 'gate' || place === 'up')) fail(what, 'no predictor beside it', 'one');
  }
  const { predictor } = spec;
  if (predictor?.kind === 'signs') onePerLayer('predictor alpha', predictor.alpha);
  else if (predictor?.kind === 'partial') perLayer('predictor inputs', predictor.inputs, spec.hiddenSize);
  else if (predictor?.kind === 'two-bit') {
    perLayer('predictor bits', predictor.bits, 2);
    if (predictor.bits.includes(1)) fail('predictor bits', '2, or 0 for no predictor', '1');
  } else if (predictor) perLayer('predictor rank', predictor.rank, spec.hiddenSize * 4);
}
