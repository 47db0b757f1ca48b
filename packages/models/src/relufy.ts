// Relufication as a function from spec to spec: the same weights, read as a ReLU model.
// Does not own what makes a zero (masks.ts), configs (relufied-config.ts), or training afterwards (@relufy/train).
import { aNumber, anything, checkOptions, checkValue, oneOf, RelufyError } from '@relufy/tensor';
import { rectified, withNormRelu } from './masks.js';
import type { ModelSpec } from './spec.js';

export interface RelufyOptions {
  /** 1: the FFN's activation becomes ReLU. 2: also a ReLU after every norm that feeds attention or an FFN. */
  readonly stage: 1 | 2;
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
  checkOptions('relufy', options, { stage: anything, shift: anything, activateUp: anything });
  const { stage, shift, activateUp } = options;
  checkValue('relufy "stage"', stage, oneOf(1, 2));
  if (shift !== undefined) checkValue('relufy "shift"', shift, aNumber(0));
  if (activateUp !== undefined)
    checkValue('relufy "activateUp"', activateUp, { ...oneOf(true), expected: 'true or nothing' });
}

/**
 * Relufication: the same weights, read as a ReLU model. Stage 1 leaves an activation that is ReLU-like already as it is,
 * unless a shift is asked for.
 * @throws RelufyError `option` for an unknown stage, a negative shift, stage 2 of a post-norm model, or activateUp without
 * a gate.
 */
export function relufy(spec: ModelSpec, options: RelufyOptions): ModelSpec {
  checkValue('relufy: spec', spec, {
    expected: 'a ModelSpec',
    fits: (value) => typeof (value as ModelSpec | null)?.ffn === 'object',
  });
  checkRelufyOptions(options);
  const { stage, shift, activateUp } = options;
  if (activateUp && spec.ffn.kind === 'plain')
    throw new RelufyError('option', 'relufy "activateUp": expected a gated FFN, got a plain one. Leave it out.');
  if (stage === 2 && spec.block.kind === 'postNorm')
    throw new RelufyError(
      'option',
      'relufy "stage": stage 2 puts a ReLU after the norms that feed attention and FFN, but in a post-norm model the norms are on the residual stream. Use stage 1.',
    );
  const activation = rectified(spec.ffn.activation, shift);
  const relufied = { ...spec, ffn: { ...spec.ffn, activation, ...(activateUp && { activateUp }) } };
  return stage === 2 ? withNormRelu(relufied) : relufied;
}
