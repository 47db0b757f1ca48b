// The activation codes, and what the operands of `activate` and its gradient must be for each. Two kinds of codes: functions
// of x alone, and masks, which compare x with thresholds that lie in a buffer, so that calibration writes them between
// steps. Does not own what the codes compute (reference/) or the ops themselves (op-table.ts, training-ops.ts).
import type { Shapes } from './shapes.js';

/** Functions of x and the attribute `threshold`: the shift b of relu, the threshold of fatrelu, ... */
const functionCodes = {
  /** max(0, x - b); b = 0 is plain ReLU, b > 0 the shifted ReLU of ReLU Strikes Back (arXiv 2310.04564, 5.3). */
  relu: 0,
  /** max(0, x)^2 (Primer; ReLU^2 Wins, arXiv 2402.03804). */
  relu2: 1,
  /** x where x > t, else 0 (ProSparse, arXiv 2402.13516). */
  fatrelu: 2,
  /** x * sigmoid(x). */
  silu: 3,
  /** x * Phi(x) with the exact error function. */
  gelu: 4,
  /** GELU by its tanh approximation. */
  geluTanh: 5,
  /** threshold * tanh(x / threshold): soft-capped logits. */
  softcap: 6,
  /** threshold * x: the multipliers of some models. */
  scale: 7,
  /** 1 / (1 + exp(-x)): the gates of RWKV. */
  sigmoid: 12,
} as const;

/**
 * Masks: t = thresholds[i] * strength[r] in f32. A row of strength 0 passes whole: x, for `remainder` +0, for `step` 1.
 * The thresholds of all but `step` are not negative; +Infinity keeps nothing.
 */
const maskCodes = {
  /** x where |x| > t, else +0 (TEAL, arXiv 2408.14690; CATS, 2404.08763; CHESS, 2409.01366). NaN passes. */
  magnitude: 8,
  /** x where |x| <= t, else +0: what `magnitude` leaves out (R-Sparse, arXiv 2504.19449). The two add up to x. */
  remainder: 9,
  /** 1 where x > t, else +0: what a predictor says. */
  step: 10,
  /** x where |x| >= t, else +0 (CETT, arXiv 2402.03804). NaN passes. */
  magnitudeOrEqual: 11,
} as const;

export const activationCodes = { ...functionCodes, ...maskCodes } as const;

export type ActivationKind = keyof typeof functionCodes;
export type MaskKind = keyof typeof maskCodes;

const codesOfMasks: readonly number[] = Object.values(maskCodes);

/** Whether a code compares with the operand `thresholds`. */
export const isMaskCode = (code: number): boolean => codesOfMasks.includes(code);

/** The shape rule of `activate`, and of its gradient: x and out alike, thresholds where the code is a mask. */
export function inferActivation(s: Shapes): Readonly<Record<string, number>> {
  const { kind, threshold } = s.attributes as { kind: number; threshold: number };
  s.require(Object.values<number>(activationCodes).includes(kind), 'kind', 'a code of activationCodes');
  const { count, width } = s.rowwise('x', 'out', []);
  if (!isMaskCode(kind)) {
    for (const operand of ['thresholds', 'strength'])
      s.require(!s.has(operand), operand, 'none, since the code is not a mask');
    return { count, width, perColumn: 0 };
  }
  const shape = `[1] or [${width}]`;
  s.require(s.has('thresholds') && s.rank('thresholds') === 1, 'thresholds', shape);
  const size = s.size('thresholds');
  s.require(size === 1 || size === width, 'thresholds', shape);
  s.expect('strength', [s.dim('x', 0)]);
  s.require(threshold === 0, 'threshold', '0, since a mask takes the operand "thresholds"');
  return { count, width, perColumn: size === width ? 1 : 0 };
}
