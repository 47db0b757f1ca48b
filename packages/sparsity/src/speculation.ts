// Sparse speculative decoding (ReLU Strikes Back, 5.2, theorems 1 and 2) as it runs: acceptance, the cost of a draft, the
// neurons that a step's tokens share, and beside the speed-ups that the formulas make of them those that were timed.
// Does not own the formulas (speculative.ts) nor speculation (@relufy/models).
import type { Model, Prompt, SpeculateOptions } from '@relufy/models';
import type { Measurement } from './record.js';
import { overDenseDecoding, overDenseSpeculation, overSparseDecoding } from './speculative.js';

export type SpeculationMeasurement = NonNullable<Measurement['speculation']>;
type Point = SpeculationMeasurement['points'][number];

export interface SpeculationOptions {
  readonly draft: SpeculateOptions['draft'];
  /** Tokens drafted at a time, always so many where there is a draft. Default 1, 2, 4, 8. */
  readonly gammas?: readonly number[];
  readonly prompt: Prompt;
  /** Greedy tokens of an answer. Default 96. */
  readonly tokens?: number;
  /** Timed rounds of all ways to answer, interleaved, after one that warms up. Default 5. */
  readonly rounds?: number;
  readonly signal?: AbortSignal;
  /** Hears the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/** The name of a source of drafts. */
const nameOf = (draft: SpeculateOptions['draft']): string => (typeof draft === 'string' ? draft : draft.name);

/**
 * Answers with so many drafted tokens, four ways interleaved: plain and with drafts, all weights read and those behind zeros
 * skipped. A gamma for which nothing was drafted has no point. Unions are counted where the model was loaded with marks
 * (`reuse: true`).
 */
export async function measureSpeculation(
  model: Pick<Model, 'generate'>,
  { draft, gammas = [1, 2, 4, 8], prompt, tokens = 96, rounds = 5, signal, onProgress }: SpeculationOptions,
): Promise<SpeculationMeasurement> {
  const points: Point[] = [];
  for (const [at, gamma] of gammas.entries()) {
    const point = await measureGamma(
      async (sparsity, drafts) => {
        signal?.throwIfAborted();
        const speculate = drafts && ({ draft, tokens: gamma, adaptive: false } as const);
        const options = { maxNewTokens: tokens, temperature: 0, stopTokenIds: [], sparsity, speculate };
        return (await model.generate(prompt, { ...options, ...(signal && { signal }) }).result).stats;
      },
      {
        gamma,
        tokens,
        rounds,
        // a draft by neurons in use has a sparse target by itself
        dense: draft === 'reuse' ? [false] : [false, true],
        done: (share) => onProgress?.((at + share) / gammas.length),
      },
    );
    if (point) points.push(point);
  }
  return { draft: nameOf(draft), tokens, rounds, points };
}

type Stats = Awaited<ReturnType<Model['generate']>['result']>['stats'];

async function measureGamma(
  ask: (sparsity: 'exact' | 'dense', drafts: boolean) => Promise<Stats>,
  {
    gamma,
    tokens,
    rounds,
    dense,
    done,
  }: {
    readonly gamma: number;
    readonly tokens: number;
    readonly rounds: number;
    readonly dense: readonly boolean[];
    readonly done: (share: number) => void;
  },
): Promise<Point | undefined> {
  const ms = new Map<string, number[]>();
  const took = (name: string, value: number) => ms.set(name, [...(ms.get(name) ?? []), value]);
  let plain: Stats | undefined;
  let drafted: Stats | undefined;
  for (let round = 0; round <= rounds; round++) {
    const times: [string, number][] = [];
    plain = await ask('exact', false);
    drafted = await ask('exact', true);
    times.push(['plain', plain.decode.ms], ['drafted', drafted.decode.ms]);
    for (const drafts of dense)
      times.push([drafts ? 'dense drafted' : 'dense', (await ask('dense', drafts)).decode.ms]);
    // the first round compiles
    if (round > 0) for (const [name, value] of times) took(name, value);
    done((round + 1) / (rounds + 1));
  }
  const found = drafted?.speculation;
  if (plain === undefined || drafted === undefined || found === undefined) return undefined;
  const { weightBytesPerToken: read, denseWeightBytesPerToken: all } = plain;
  const unreadOne = 1 - read / all;
  const { rowDensity = 1, unionDensity = 1 } = found;
  // neurons that are idle, in weights of the whole model
  const share = rowDensity === 1 ? 0 : unreadOne / (1 - rowDensity);
  const unread = share * (1 - unionDensity);
  const times = (name: string): number => median(ms.get(name) ?? []);
  const c = found.draftMs / (times('dense') / (tokens - 1));
  const formula = { gamma, c, unread, acceptance: Math.min(found.acceptance, 0.999) };
  return {
    gamma,
    acceptance: found.acceptance,
    tokensPerStep: (found.accepted + found.steps) / found.steps,
    c,
    unreadOne,
    unread,
    unreadRandom: share * (1 - rowDensity) ** (found.drafted / found.steps + 1),
    bytesRatio: drafted.weightBytesPerToken / read,
    predicted: {
      overDenseSpeculation: overDenseSpeculation(formula),
      overDense: overDenseDecoding(formula),
      overSparse: overSparseDecoding({ ...formula, unreadOne }),
    },
    timed: {
      ...(ms.has('dense drafted') && { overDenseSpeculation: times('dense drafted') / times('drafted') }),
      overDense: times('dense') / times('drafted'),
      overSparse: times('plain') / times('drafted'),
    },
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
