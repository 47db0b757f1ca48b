// What is asked of a decoder's program, and what one comes with: options, taps, what it reads of the weights.
// Does not own building one (decoder-builder.ts).
import type { Program, ProgramBuilder } from '@relufy/tensor';
import type { WeightsRead } from '../running/product-choice.js';
import type { QkvRole } from './projections.js';

/**
 * A linear layer's input, as statistics and taps name it. Attention has `qkv`; in RWKV-4 keys, receptances and values have an
 * input each, and so has the receptance of its FFN. A model has those of `sitesOf(spec)`.
 */
export type Site = 'qkv' | 'k' | 'receptance' | 'v' | 'o' | 'ffnReceptance' | 'upGate' | 'down';

/** Tag, with a layer after it, of the op that activates an FFN. */
export const ffnActivation = 'ffn.activation';

export interface ProgramOptions {
  /** `exact` skips weights behind zeros; `dense` computes everything in the same order: the same bits. */
  readonly sparsity: 'exact' | 'dense';
  /**
   * Activations to keep: `hidden.k`, `preActivation.k`; what goes into `qkv.k`, `o.k`, `upGate.k` (that of q and of gate
   * where masks differ) and `down.k`, or of RWKV-4 `k.k`, `receptance.k`, `v.k`, `ffnReceptance.k`; by the places of a mask, what it left, as `kv.k`, `gateUp.k`, `neurons.k`; what a
   * predictor may be given, `ffnInput.k` and `ffnResidual.k` (before the norm), and what it says, `predictorScores.k`.
   */
  readonly taps?: readonly string[];
  /**
   * `load`: neurons that tokens use are marked in `layers.k.loaded`, slot by slot; `reuse`: none but the marked ones are
   * computed. Absent: neither.
   */
  readonly phase?: 'load' | 'reuse';
  /** `logits`: the head's outputs are kept; `logprobs`: only the target's log-probability and the best id. */
  readonly head?: 'logits' | 'logprobs';
  /** Of an exact program: products read what lists name (default), or all weights; lists are made and counted all the same. */
  readonly weights?: WeightsRead;
  /** The program of a plan that drafts, where the model has one. */
  readonly drafts?: boolean;
  /** Keep the lists of neurons that a step reads. */
  readonly neurons?: boolean;
}

/** A program, and where to find what it keeps. */
export interface DecoderProgram {
  readonly program: Program;
  /** Tap -> activation. */
  readonly taps: ReadonlyMap<string, string>;
  /** The sparse products in order, for statistics. */
  readonly reads: readonly WeightRead[];
  /** The lists of neurons, one a layer; none where they were not asked for, and in dense programs. */
  readonly neurons: readonly NeuronList[];
  /** Ops [from, to) of each layer. */
  readonly layers: DecoderForward['layers'];
}

/**
 * Sites as statistics count them: parts of `qkv` that have masks of their own by themselves; `up`: rows of neurons after a
 * gate; `lowRank` and `predictor`: what a plan adds; `head` and `projection` belong to no layer (-1).
 */
export type ReadSite = Site | QkvRole | 'up' | 'lowRank' | 'predictor' | 'head' | 'projection';

/** What one product reads of its weights for one row. */
export interface WeightRead {
  readonly weight: string;
  readonly site: ReadSite;
  readonly layer: number;
  /** Bytes of one neuron's or channel's row, and how many there are. */
  readonly rowBytes: number;
  readonly rows: number;
  /** The i32 [rows] buffer that says how many rows were read; absent: all. */
  readonly activeCount?: string;
}

/** The FFN neurons of a layer whose weights are read: those that the gate lets through, or in a plain FFN that are not zero. */
export interface NeuronList {
  readonly layer: number;
  /** The i32 [rows, neurons] buffer of their indices, ascending, and the i32 [rows] buffer of how many there are. */
  readonly active: string;
  readonly activeCount: string;
}

/** A forward pass up to its logits, open for a loss and gradients. */
export interface DecoderForward {
  readonly builder: ProgramBuilder;
  /** Tap -> activation. */
  readonly taps: ReadonlyMap<string, string>;
  /** The activation [outputs, vocab]. */
  readonly logits: string;
  /** Ops [from, to) of each layer. */
  readonly layers: readonly (readonly [from: number, to: number])[];
}
