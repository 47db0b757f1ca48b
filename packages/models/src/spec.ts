// ModelSpec: what a model is, as plain data. The decoder is built from this alone and never learns a family's name; a family file parses config.json into it.
import type { ActivationKind, FloatDType } from '@relufy/tensor';
import type { LowRank, Mask, Predictor } from './sparsity/masks.js';
import type { ReuseOptions } from './sparsity/reuse.js';

export interface Activation {
  /** `swish`: x * sigmoid(beta x), the family of ReLU Strikes Back (arXiv 2310.04564, 3.1); beta = 1 is silu. */
  readonly kind: ActivationKind | 'swish';
  /** relu: the shift b in max(0, x - b). fatrelu: the threshold below which x becomes 0. swish: beta. Otherwise 0. */
  readonly threshold: number;
}

export interface NormSpec {
  readonly kind: 'rms' | 'layer';
  readonly eps: number;
  /** The norm multiplies by a weight (and, when `bias`, adds one). */
  readonly weight: boolean;
  readonly bias: boolean;
  /** Of the norm before the head, where it has another. */
  readonly finalEps?: number;
}

export type RopeScaling =
  | { readonly kind: 'none' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    }
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositionEmbeddings: number;
      /** Cosines and sines are multiplied by it. */
      readonly attentionFactor: number;
      /** The bounds between pairs that are kept and stretched are whole numbers. */
      readonly truncate: boolean;
    };

export type PositionSpec =
  | {
      readonly kind: 'rope';
      readonly ropeTheta: number;
      readonly rotaryDim: number;
      readonly scaling: RopeScaling;
      /** The format that the frequencies were rounded to when the model was made. */
      readonly frequencyDType: FloatDType;
      /** Rotates the other way round: (a, b) -> (a cos + b sin, b cos - a sin). */
      readonly reversed?: true;
      /** Layers that rotate; absent: all. */
      readonly layers?: readonly boolean[];
    }
  | { readonly kind: 'learned' }
  /** The order of tokens is the mixer's matter. */
  | { readonly kind: 'none' }
  /** `times`: how often the bias is added to a score. */
  | { readonly kind: 'alibi'; readonly times: 1 | 2 };

/** Softmax attention over the keys and values of all tokens so far. */
export interface AttentionMixer {
  readonly kind: 'attention';
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly qkvBias: boolean;
  readonly outBias: boolean;
  /** Norms of each query and key head, before or after the rotation. */
  readonly headNorm?: {
    readonly kind: 'rms' | 'layer';
    readonly eps: number;
    readonly weight: boolean;
    readonly bias: boolean;
    readonly when: 'beforeRope' | 'afterRope';
    /** A vector a head; absent: all query heads share one, and all key heads. */
    readonly perHead?: true;
  };
  /** The attention's output is normed before `o`. */
  readonly outNorm?: true;
  /** A query sees this many positions back, itself included; absent: all. `layers`: where; absent: everywhere. */
  readonly window?: { readonly size: number; readonly layers?: readonly boolean[] };
}

/**
 * RWKV-4 (arXiv 2305.13048): keys, values and receptances are made of a token and the one before; sums that decay by
 * channel stand in the place of attention. What is known of the tokens so far is a state of one size, so a sequence
 * goes on from its end or begins anew: it cannot be cut back.
 */
export interface Rwkv4Mixer {
  readonly kind: 'rwkv4';
  /** Channels of keys, values and receptances. */
  readonly width: number;
}

export interface ModelSpec {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  /** Positions that the model was made for; learned positions end here. */
  readonly maxPositionEmbeddings: number;
  readonly tieWordEmbeddings: boolean;
  /** Width of token embeddings and of the head's input; when it differs from hiddenSize, projections lie between. */
  readonly embeddingSize: number;
  readonly norm: NormSpec;
  /** The embeddings are normed before the first block. */
  readonly embeddingNorm?: true;
  readonly finalNorm: boolean;
  /** What embeddings, the outputs of attention and FFN, and logits are multiplied by. */
  readonly multipliers?: { readonly embedding: number; readonly residual: number; readonly logits: number };
  /** What goes into the linear layers of a block is rounded to 8 bits, with one scale a token (BitNet b1.58). */
  readonly roundedInputs?: true;
  /** cap * tanh(logits / cap). */
  readonly logitsSoftcap?: number;
  readonly positions: PositionSpec;
  /**
   * - `preNorm`: x += attention(norm(x)); x += ffn(norm(x));
   * - `postNorm`: x = norm(x + attention(x)); x = norm(x + ffn(x));
   * - `parallel`: x += attention(norm(x)) + ffn(norm(x)), with one norm for both or one each.
   */
  readonly block: { readonly kind: 'preNorm' | 'postNorm' } | { readonly kind: 'parallel'; readonly norms: 1 | 2 };
  /** What mixes tokens. */
  readonly mixer: AttentionMixer | Rwkv4Mixer;
  readonly ffn: {
    /** `gated`: down(act(gate x) * up x); `plain`: down(act(up x)). */
    readonly kind: 'gated' | 'plain';
    readonly activation: Activation;
    readonly bias: boolean;
    /** The up projection of a gated FFN goes through the activation as well (dReLU, arXiv 2406.05955). */
    readonly activateUp?: true;
    /** The input of `down` is normed; zeros stay zeros under an RMS norm. */
    readonly downNorm?: true;
    /**
     * ChannelMix of RWKV-4, of a plain FFN: its input and that of a receptance r are mixed of a token and the one before,
     * and its output is multiplied by sigmoid(r).
     */
    readonly channelMix?: true;
  };
  /** What is set to zero besides what the activation does, so that weights need not be read. */
  readonly masks?: readonly Mask[];
  readonly lowRank?: readonly LowRank[];
  readonly predictor?: Predictor;
  /** Tokens at these first positions of a sequence pass every mask with thresholds whole. */
  readonly denseTokens?: number;
  /** Windows of tokens that compute the neurons alone that those before them used; the calls that run a model may say otherwise. */
  readonly reuse?: ReuseOptions;
}

/** The attention of a model whose family or backend pass is made for it. */
export function attentionOf({ mixer }: Pick<ModelSpec, 'mixer'>): AttentionMixer {
  if (mixer.kind !== 'attention') throw new Error(`internal: expected attention, got ${mixer.kind}`);
  return mixer;
}

/** Rows of queries, keys and values. */
export interface HeadRows {
  readonly q: number;
  readonly kv: number;
  readonly all: number;
}

export function headRows(spec: Pick<ModelSpec, 'mixer'>): HeadRows {
  const attention = attentionOf(spec);
  const q = attention.numAttentionHeads * attention.headDim;
  const kv = attention.numKeyValueHeads * attention.headDim;
  return { q, kv, all: q + 2 * kv };
}

/** Channels of the input of `o`. */
export function mixedWidth(spec: Pick<ModelSpec, 'mixer'>): number {
  return spec.mixer.kind === 'attention' ? headRows(spec).q : spec.mixer.width;
}
