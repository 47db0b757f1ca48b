// What others found about how sparse a model becomes: with training tokens (Sparsing Law, arXiv 2411.02335 v4) and with an
// L1 penalty (ProSparse, arXiv 2402.13516). Formulas to plan a run by; nothing is measured here,
// nor fitted (law-fit.ts).

/** Activation ratio over training tokens: `exp(-c D^alpha + b) + limit` where it falls (ReLU), `limit - c / D^alpha` where it rises (SiLU). */
export interface ActivationLaw {
  readonly alpha: number;
  readonly c: number;
  /** ReLU only. */
  readonly b?: number;
  readonly limit: number;
}

/** Fitted CETT-PPL-1 % ratios, by activation and parameters without embeddings. */
export const activationLaws: Readonly<Record<'relu' | 'silu', Readonly<Record<string, ActivationLaw>>>> = {
  relu: {
    '0.1B': { alpha: 0.101, b: -0.0151, c: 3.2, limit: 0.0614 },
    '0.2B': { alpha: 0.449, b: -3.05, c: 0.286, limit: 0.0674 },
    '0.4B': { alpha: 0.683, b: -3.46, c: 0.079, limit: 0.069 },
    '0.8B': { alpha: 1.01, b: -3.49, c: 7.97e-3, limit: 0.0721 },
    '1.2B': { alpha: 1.33, b: -3.89, c: 9.03e-4, limit: 0.0782 },
    '2.4B': { alpha: 1.53, b: -3.46, c: 1.56e-4, limit: 0.0648 },
  },
  silu: {
    '0.1B': { alpha: 0.479, c: 0.102, limit: 0.409 },
    '0.2B': { alpha: 0.844, c: 0.208, limit: 0.39 },
    '0.4B': { alpha: 1.03, c: 0.42, limit: 0.385 },
    '0.8B': { alpha: 0.995, c: 0.562, limit: 0.383 },
    '1.2B': { alpha: 0.967, c: 0.538, limit: 0.382 },
  },
};

/** `tokens`: that the model was trained on. Says nothing below what the law was fitted on, some 1e9. */
export function activationRatioAfter(tokens: number, { alpha, b, c, limit }: ActivationLaw): number {
  const power = (tokens / 1e9) ** alpha;
  return b === undefined ? limit - c / power : Math.exp(-c * power + b) + limit;
}

/** Sparsity of a 7B model behind ProSparse with this factor in its last stage, from 0.01. */
export const proSparseSparsity = (factor: number): number => 1 - Math.exp(-1.76 * factor ** 0.3 + 3.49) / 100;
