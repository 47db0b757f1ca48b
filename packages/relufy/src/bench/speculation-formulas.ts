// The formulas of sparse speculative decoding (ReLU Strikes Back, 5.2, theorems 1 and 2) beside what was measured: acceptance,
// cost of a draft, the neurons that a step's tokens share, and the speed-ups that follow from them and that were timed.
// Does not own the formulas (@relufy/sparsity), speculation (@relufy/models) or the clock (measure.ts).
import type { Model, SpeculateOptions } from '@relufy/models';
import { overDenseDecoding, overDenseSpeculation, overSparseDecoding } from '@relufy/sparsity';
import { summary } from './measure.js';
import type { Table } from './report.js';

export interface FormulaPoint {
  readonly gamma: number;
  readonly acceptance: number;
  /** Time of a drafted token over that of a dense pass. */
  readonly c: number;
  /** Shares of all weights that a token, and the tokens of a verifying step together, leave unread. */
  readonly unreadOne: number;
  readonly unread: number;
  /** The same of independent sets of neurons as large. */
  readonly unreadRandom: number;
  /** Timed: over speculation with a dense target, over a dense target, over the sparse one. */
  readonly real: { readonly overDenseSpeculation: number; readonly overDense: number; readonly overSparse: number };
}

const promptText = 'Once upon a time there was a fox who liked the sea. The fox who liked the sea';
const tokens = 96;

/**
 * Answers of a fixed number of drafted tokens, four ways interleaved: plain and with drafts, all weights read and those
 * behind zeros skipped.
 */
export async function measureFormulas(
  model: Pick<Model, 'generate'>,
  draft: SpeculateOptions['draft'],
  gamma: number,
  rounds: number,
): Promise<FormulaPoint | undefined> {
  const ask = async (sparsity: 'exact' | 'dense', drafts: boolean) => {
    const speculate = drafts && ({ draft, tokens: gamma, adaptive: false } as const);
    const options = { maxNewTokens: tokens, temperature: 0, stopTokenIds: [], sparsity, speculate };
    const { stats } = await model.generate(promptText, options).result;
    return { stats, ms: stats.decode.ms };
  };
  // a draft by neurons in use has a sparse target by itself
  const dense = draft === 'reuse' ? ([false] as const) : ([false, true] as const);
  const ms: Record<string, number[]> = {};
  const took = (name: string, value: number) => {
    ms[name] = [...(ms[name] ?? []), value];
  };
  let plain: Awaited<ReturnType<typeof ask>> | undefined;
  let drafted: Awaited<ReturnType<typeof ask>> | undefined;
  for (let round = 0; round <= rounds; round++) {
    plain = await ask('exact', false);
    drafted = await ask('exact', true);
    const others = [];
    for (const drafts of dense) others.push([drafts, (await ask('dense', drafts)).ms] as const);
    if (round === 0) continue;
    took('plain', plain.ms);
    took('drafted', drafted.ms);
    for (const [drafts, value] of others) took(drafts ? 'dense drafted' : 'dense', value);
  }
  const median = (name: string) => (ms[name] ? summary(ms[name]).ms : Number.NaN);
  const found = drafted?.stats.speculation;
  if (plain === undefined || found === undefined) return undefined;
  const { weightBytesPerToken: read, denseWeightBytesPerToken: all } = plain.stats;
  const unreadOne = 1 - read / all;
  const { rowDensity = 1, unionDensity = 1 } = found;
  // neurons that are idle, in weights of the whole model
  const share = rowDensity === 1 ? 0 : unreadOne / (1 - rowDensity);
  return {
    gamma,
    acceptance: found.acceptance,
    c: found.draftMs / (median('dense') / (tokens - 1)),
    unreadOne,
    unread: share * (1 - unionDensity),
    unreadRandom: share * (1 - rowDensity) ** (found.drafted / found.steps + 1),
    real: {
      overDenseSpeculation: median('dense drafted') / median('drafted'),
      overDense: median('dense') / median('drafted'),
      overSparse: median('plain') / median('drafted'),
    },
  };
}

export async function formulaTable(
  model: Model,
  drafts: Readonly<Record<string, SpeculateOptions['draft']>>,
  gammas: readonly number[],
  rounds: number,
): Promise<Table> {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const two = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(2));
  const rows: (string | number)[][] = [];
  for (const [name, draft] of Object.entries(drafts))
    for (const gamma of gammas) {
      const point = await measureFormulas(model, draft, gamma, rounds);
      if (point === undefined) continue;
      const { c, acceptance: alpha, unread, unreadOne, unreadRandom, real } = point;
      const acceptance = Math.min(alpha, 0.999);
      rows.push([
        ...[name, gamma, percent(alpha), c.toFixed(3), percent(unreadOne), percent(unread), percent(unreadRandom)],
        two(overDenseSpeculation({ gamma, c, unread })),
        two(overDenseSpeculation({ gamma, c, unread: unreadRandom })),
        two(real.overDenseSpeculation),
        two(overDenseDecoding({ gamma, c, unread, acceptance })),
        two(real.overDense),
        two(overSparseDecoding({ gamma, c, unread, acceptance, unreadOne })),
        two(real.overSparse),
      ]);
    }
  return {
    title: `Formulas and figures of ${model.name}`,
    note: `${tokens} greedy tokens, always gamma drafted where there is a draft. Unread: share of all weights, by one token, by a verifying step together, by independent sets as large. S1: over speculation with a dense target; S2: over a dense target; S3: over the sparse target by itself. The formulas take time for weights read, which it is not for a model that fits into a cache.`,
    columns: [
      ...['draft', 'gamma', 'acceptance', 'c', 'unread by one', 'together', 'if independent'],
      ...['S1', 'S1 if independent', 'S1 timed', 'S2', 'S2 timed', 'S3', 'S3 timed'],
    ],
    rows,
  };
}
