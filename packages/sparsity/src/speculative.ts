// What sparsity does to speculative decoding (ReLU Strikes Back, arXiv 2310.04564, 5.2): the target reads the union of the
// drafted tokens' neurons. Formulas over a measured share of unread weights, where time is weights read; nothing is
// decoded here.

/** Time of a drafted token / of a pass of the target, where nothing else is known: the paper's. */
export const draftCost = 0.02;

export interface SpeculativeOptions {
  /** Tokens drafted at a time. */
  readonly gamma: number;
  /** Time of a drafted token / time of a pass of the target. */
  readonly c: number;
  /** Share of all weights that none of gamma tokens needs. */
  readonly unread: number;
}

/** Against speculative decoding with a dense target (theorem 1). */
export function overDenseSpeculation({ gamma, c, unread }: SpeculativeOptions): number {
  return (c * gamma + 1) / (c * gamma + 1 - unread);
}

/** Against one token at a time with a dense target (theorem 2); `acceptance`: of a drafted token. */
export function overDenseDecoding({
  gamma,
  c,
  unread,
  acceptance,
}: SpeculativeOptions & { readonly acceptance: number }): number {
  return (1 - acceptance ** (gamma + 1)) / ((1 - acceptance) * (c * gamma + 1 - unread));
}

/**
 * Against one token at a time with the sparse target itself, which leaves `unreadOne` of the weights alone: below 1 where
 * speculation loses. The paper compares with dense targets only.
 */
export function overSparseDecoding(
  options: SpeculativeOptions & { readonly acceptance: number; readonly unreadOne: number },
): number {
  return (1 - options.unreadOne) * overDenseDecoding(options);
}

/** The number of drafted tokens that is fastest; `unread`: for gamma = 1, 2, ... */
export function bestGamma(
  unread: readonly number[],
  { c, acceptance }: { readonly c: number; readonly acceptance: number },
): { readonly gamma: number; readonly speedUp: number } {
  const all = unread.map((share, at) => ({
    gamma: at + 1,
    speedUp: overDenseDecoding({ gamma: at + 1, c, acceptance, unread: share }),
  }));
  return all.reduce((best, one) => (one.speedUp > best.speedUp ? one : best));
}
