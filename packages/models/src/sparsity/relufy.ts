// Relufication as a function from spec to spec: the same weights, read as a ReLU model.
// Does not own what makes a zero (masks.ts), configs (relufied-config.ts), or training afterwards (@relufy/train).
import { aNumber, anything, checkOptions, checkValue, oneOf, RelufyError } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { type ReluKind, rectified, reluKinds, withNormRelu } from './masks.js';

export interface RelufyOptions {
  /** 1: the FFN's activation becomes ReLU. 2: also a ReLU after every norm that feeds attention or an FFN. */
  readonly stage: 1 | 2;
  /**
   * What the FFN's activation becomes: ReLU, ReLU^2 (arXiv 2402.03804) or FATReLU (2402.13516), x where x > threshold.
   * Default: relu, or what the model has if that gives zeros.
   */
  readonly activation?: ReluKind;
  /** Of fatrelu, and of no other. */
  readonly threshold?: number;
  /** b >= 0 in max(0, x - b), for the FFN's activation only (ReLU Strikes Back, 5.3). */
  readonly shift?: number;
  /**
   * The up projection of a gated FFN goes through the activation too (dReLU). For checkpoints that were trained so under
   * another family's name, as PowerInfer/SparseQwen2-7B.
   */
  readonly activateUp?: true;
}

/** @throws RelufyError `option` for what no model could be read with. */
export function checkRelufyOptions(options: RelufyOptions): void {
  const rules = { stage: anything, activation: anything, threshold: anything, shift: anything, activateUp: anything };
  checkOptions('relufy', options, rules);
  const { stage, activation, threshold, shift, activateUp } = options;
  checkValue('relufy "stage"', stage, oneOf(1, 2));
  if (activation !== undefined) checkValue('relufy "activation"', activation, oneOf(...reluKinds));
  if ((activation === 'fatrelu') !== (threshold !== undefined))
    throw new RelufyError('option', 'relufy "threshold": expected one with activation fatrelu, and with no other.');
  if (threshold !== undefined) checkValue('relufy "threshold"', threshold, aNumber(0));
  if (shift !== undefined) checkValue('relufy "shift"', shift, aNumber(0));
  if (shift !== undefined && (activation ?? 'relu') !== 'relu')
    throw new RelufyError('option', `relufy "shift": expected none with ${activation}, got ${shift}.`);
  if (activateUp !== undefined)
    checkValue('relufy "activateUp"', activateUp, { ...oneOf(true), expected: 'true or nothing' });
}

/**
 * Relufication: the same weights, read as a ReLU model. `loadModel`, `relufyModel` and `relufy train` all come here. Stage 1
 * leaves an activation that gives zeros already as it is, unless another or a shift is asked for.
 * @throws RelufyError `option` for options that are unknown or do not go together, stage 2 of a post-norm model, or
 * activateUp without a gate.
 */
export function relufy(spec: ModelSpec, options: RelufyOptions): ModelSpec {
  checkValue('relufy: spec', spec, {
    expected: 'a ModelSpec',
    fits: (value) => typeof (value as ModelSpec | null)?.ffn === 'object',
  });
  checkRelufyOptions(options);
  const { stage, activateUp } = options;
  if (activateUp && spec.ffn.kind === 'plain')
    throw new RelufyError('option', 'relufy "activateUp": expected a gated FFN, got a plain one. Leave it out.');
  if (stage === 2 && spec.block.kind === 'postNorm')
    throw new RelufyError(
      'option',
      'relufy "stage": stage 2 puts a ReLU after the norms that feed attention and FFN, but in a post-norm model the norms are on the residual stream. Use stage 1.',
    );
  if (stage === 2 && spec.mixer.kind !== 'attention')
    throw new RelufyError(
      'option',
      'relufy "stage": stage 2 puts a ReLU after the norms that feed attention and FFN; a recurrent mixer reads those of two tokens. Use stage 1, or a sparsity plan.',
    );
  const activation = rectified(spec.ffn.activation, options);
  const relufied = { ...spec, ffn: { ...spec.ffn, activation, ...(activateUp && { activateUp }) } };
  return stage === 2 ? withNormRelu(relufied) : relufied;
}
