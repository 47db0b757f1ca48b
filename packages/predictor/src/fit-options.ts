// What `fitPredictors` is asked for, and the rules that options have to keep. Does not own the fit (fit.ts).
import {
  type LoadOptions,
  type PartialDType,
  type PredictorDType,
  partialDTypes,
  predictorDTypes,
} from '@relufy/models';
import {
  aBoolean,
  aFunction,
  aNumber,
  anObject,
  anything,
  aSignal,
  aText,
  aWhole,
  checkOptions,
  either,
  type OptionRules,
  oneOf,
  RelufyError,
} from '@relufy/tensor';
import { type PredictorInput, predictorInputs } from './capture.js';
import type { Journal } from './journal.js';

/**
 * `low-rank`: two small matrices a layer, trained (Deja Vu, arXiv 2310.17157; PowerInfer, 2312.12456). `signs`: the sign bits
 * of the model's own weights, whose alpha is set (SparseInfer, 2411.12692). `partial`: the gate's own products over the largest
 * inputs alone, from a copy of it in few bits. `two-bit`: its products over all inputs, from the sign and the size of each weight
 * in two bits.
 */
export const predictorKinds = ['low-rank', 'signs', 'partial', 'two-bit'] as const;
export type PredictorKind = (typeof predictorKinds)[number];

export interface FitOptions {
  /** Default: low-rank. */
  readonly kind?: PredictorKind;
  /** Of every layer; `auto` (default): as much as each layer gains by, within the budget. */
  readonly rank?: number | 'auto';
  /** With `auto`: the most that all predictors may take, over the bytes of the FFNs. Default 0.06, as PowerInfer's. */
  readonly budget?: number;
  /** Share of the active neurons of held-out tokens that each layer's thresholds let through. Default 0.95. */
  readonly recall?: number;
  /** Neurons that are active in more than this share of tokens are always computed. Default: none. */
  readonly hot?: number;
  /** Of sign bits and of two bits: a threshold a neuron, weighed by how far its scores tell, instead of one a layer. */
  readonly perNeuron?: boolean;
  /**
   * What finding an active neuron counts in the fit: by what it adds, |h_i| ||W_down[:, i]|| over the layer's mean
   * (`contribution`, the default), or 1 (`count`, as Deja Vu).
   */
  readonly weigh?: 'contribution' | 'count';
  /** A ReLU between the two matrices, as PowerInfer has it. Default: nothing, as Deja Vu. */
  readonly relu?: boolean;
  /**
   * What predictors are fed: what the FFN's norm gives (`normed`, the default), what it is given (`residual`), or what that of
   * the layer before is given (`lookahead`), so that neurons are known a layer earlier.
   */
  readonly input?: PredictorInput;
  /** Of partial scores: the share of the inputs that are multiplied. Default 0.5. */
  readonly inputs?: number;
  /** How the predictors' matrices are held. Default bf16; of partial scores int4 (bf16, int8, int4). */
  readonly predictorDType?: PredictorDType | PartialDType;
  /** Keep predictors in layers where they read more than they save. Default: those layers get none. */
  readonly keepAll?: boolean;
  /**
   * What has to become less for a layer to get a predictor: the bytes that a token reads (`bytes`, the default), or the time
   * that the layer takes in a decoding step here (`time`), by more than timings of it vary. Times vary, so `time` gives the same plan again only from a journal.
   */
  readonly pays?: 'bytes' | 'time';
  /** What an earlier run with the same model, texts and options has fitted so far, and where this one keeps it. */
  readonly journal?: Journal;
  /** Of a model without ReLU: the error that leaving out inactive neurons may make (CETT). Default 0.2. */
  readonly cett?: number;
  /** Tokens of the text that predictors are fitted to. Default 65,536. */
  readonly tokens?: number;
  /** Tokens after them on which thresholds are set. Default 4,096. */
  readonly heldOutTokens?: number;
  /** Tokens after those on which the plan is tried. Default 4,096. */
  readonly trialTokens?: number;
  /** Tokens of a sequence; each begins at position 0. Default 512. */
  readonly window?: number;
  /** Passes over the captured tokens. Default 8. */
  readonly epochs?: number;
  /** Tokens of an update. Default 128. */
  readonly batch?: number;
  /** Falls to a tenth along a cosine. Default 0.002. */
  readonly learningRate?: number;
  /** What captured tokens may take in memory: a longer text is read and used in chunks. Default 512 MiB. */
  readonly captureBytes?: number;
  /** Of the order of tokens. Default 1. */
  readonly seed?: number;
  /** Names the text in the plan. */
  readonly text?: string;
  /** How the model is loaded: predictors are fitted to what will be run. */
  readonly load?: Omit<LoadOptions, 'plan' | 'sparsity' | 'slots' | 'contextLength' | 'signal' | 'onProgress'>;
  readonly signal?: AbortSignal;
  /** Hears what is done, and the share of it that is. */
  readonly onProgress?: (what: string, share: number) => void;
}

const positive = {
  expected: 'a number above 0',
  fits: (value: unknown) => typeof value === 'number' && value > 0 && value < 1e6,
};

const share = {
  expected: 'a number above 0, at most 1',
  fits: (value: unknown) => positive.fits(value) && (value as number) <= 1,
};

const rules: OptionRules<FitOptions> = {
  kind: oneOf(...predictorKinds),
  rank: either('auto or a whole number from 1 on', oneOf('auto'), aWhole(1, 1 << 14)),
  budget: aNumber(0, 1),
  recall: aNumber(0, 1),
  hot: aNumber(0, 1),
  perNeuron: aBoolean,
  weigh: oneOf('contribution', 'count'),
  relu: aBoolean,
  input: oneOf(...predictorInputs),
  inputs: share,
  predictorDType: oneOf(...new Set([...predictorDTypes, ...partialDTypes])),
  keepAll: aBoolean,
  pays: oneOf('bytes', 'time'),
  journal: either('a journal', anything),
  cett: aNumber(0, 1),
  tokens: aWhole(2),
  heldOutTokens: aWhole(2),
  trialTokens: aWhole(2),
  window: aWhole(2),
  epochs: aWhole(1),
  batch: aWhole(1, 1 << 12),
  learningRate: positive,
  captureBytes: aWhole(1),
  seed: aWhole(0),
  text: aText,
  load: anObject,
  signal: aSignal,
  onProgress: aFunction,
};

const ofOneKind = {
  rank: 'low-rank',
  budget: 'low-rank',
  weigh: 'low-rank',
  relu: 'low-rank',
  input: 'low-rank',
  inputs: 'partial',
  epochs: 'low-rank',
  batch: 'low-rank',
  learningRate: 'low-rank',
  perNeuron: ['signs', 'two-bit'],
} as const satisfies Partial<Record<keyof FitOptions, PredictorKind | readonly PredictorKind[]>>;

/** @throws RelufyError `option` for options that do not exist, do not fit, or belong to the other kind. */
export function checkFitOptions(options: FitOptions): void {
  checkOptions('fitPredictors', options, rules);
  const { kind = 'low-rank', rank = 'auto', budget } = options;
  for (const [name, wanted] of Object.entries(ofOneKind))
    if (options[name as keyof typeof ofOneKind] !== undefined && ![wanted].flat().some((one) => one === kind))
      throw new RelufyError(
        'option',
        `fitPredictors option "${name}": expected the kind ${[wanted].flat().join(' or ')}, got ${kind}.`,
      );
  if (budget !== undefined && rank !== 'auto')
    throw new RelufyError(
      'option',
      `fitPredictors option "budget": expected it with rank auto, which it is for, got rank ${rank}. Leave one out.`,
    );
  if (options.hot !== undefined && (kind === 'signs' || kind === 'two-bit') && !options.perNeuron)
    throw new RelufyError(
      'option',
      'fitPredictors option "hot": expected perNeuron, since hot neurons are thresholds of their own, got one a layer.',
    );
  const dtypes: Readonly<Record<PredictorKind, readonly string[]>> = {
    'low-rank': predictorDTypes,
    signs: [],
    'two-bit': [],
    partial: partialDTypes,
  };
  const { predictorDType } = options;
  if (predictorDType !== undefined && !dtypes[kind].includes(predictorDType))
    throw new RelufyError(
      'option',
      `fitPredictors option "predictorDType": expected ${dtypes[kind].join(', ') || 'none'} for the kind ${kind}, got ${predictorDType}.`,
    );
  if (options.relu && rank === 'auto')
    throw new RelufyError(
      'option',
      'fitPredictors option "relu": expected a rank, since ranks are read off a predictor without ReLU, got rank auto. Name a rank.',
    );
}
