// Counts what steps cost: tokens, time, and how much of each weight was read. Decode steps (one row) are counted
// exactly; in a prefill the backend may choose to run sparse layers dense, so bytes are a matter of decoding.
import { elementsOf, type LoadedProgram, type MaybePromise } from '@relufy/tensor';
import type { DecoderProgram, ReadSite } from '../decoder/decoder-program.js';
import type { WeightsRead } from './product-choice.js';

export interface Rate {
  readonly tokens: number;
  readonly ms: number;
  readonly tokensPerSecond: number;
}

export interface ModelStats {
  readonly prefill: Rate;
  readonly decode: Rate;
  /** Decoded tokens a second. */
  readonly tokensPerSecond: number;
  /** Mean bytes of weights read for one decoded token. */
  readonly weightBytesPerToken: number;
  /** What a dense step would read. */
  readonly denseWeightBytesPerToken: number;
  /**
   * Mean share, per layer, of the weights that were read while decoding, by site: input channels at `qkv` (or `q` and `kv`
   * where their masks differ), `o`, `upGate` and `down`, and rows of a gated FFN's up projection at `up`. 1 where nothing
   * is skipped; empty before the first decoded token, and where there is no such product.
   */
  readonly density: Readonly<
    Record<'qkv' | 'o' | 'upGate' | 'up' | 'down', readonly number[]> & Partial<Record<ReadSite, readonly number[]>>
  >;
  /** Where tokens were drafted. Time and bytes of drafts are part of the numbers above. */
  readonly speculation?: SpeculationStats;
  /** Of `model.stats()`, where neurons stay in a file. */
  readonly neurons?: NeuronStats;
}

/** What speculative decoding did. */
export interface SpeculationStats {
  /** Tokens that were drafted, and those of them that are in an answer. */
  readonly drafted: number;
  readonly accepted: number;
  /** How often a drafted token was accepted whose predecessors were: alpha of the formulas. */
  readonly acceptance: number;
  /** Steps that verified drafts, and decoding steps without one. */
  readonly steps: number;
  readonly plainSteps: number;
  /** Milliseconds of a drafted token, of a step that verified, and of a plain step; 0 where there was none. */
  readonly draftMs: number;
  readonly stepMs: number;
  readonly plainMs: number;
  /**
   * Means over the steps that verified: the share of FFN neurons that their rows need together, and that one row needs by
   * itself. Absent where all are read anyway, or the model was loaded without marks (`reuse`).
   */
  readonly unionDensity?: number;
  readonly rowDensity?: number;
}

/** One verification of drafts. */
export interface Verification {
  readonly drafted: number;
  readonly accepted: number;
  /** Drafted tokens whose predecessors were accepted. */
  readonly compared: number;
  readonly draftMs: number;
  readonly stepMs: number;
  readonly union?: { readonly density: number; readonly ofRow: number };
}

/** Neurons whose rows stay in a file (option memoryBudget): those that steps listed, prompts included. */
export interface NeuronStats {
  /** Neurons of all layers that there is room for, and that there are. */
  readonly slots: number;
  readonly neurons: number;
  /** Neurons that steps needed, each once a step, and those of them that had to be read. */
  readonly needed: number;
  readonly read: number;
  /** The share that was in memory; 1 before the first step. */
  readonly hitShare: number;
  /** Rows and bytes read. */
  readonly rowsRead: number;
  readonly bytesRead: number;
}

/** How many rows of each weight each of the first `count` rows of a step read: the counts that it left behind. */
export function rowsRead(
  { reads }: Pick<DecoderProgram, 'reads'>,
  loaded: LoadedProgram,
  count: number,
): MaybePromise<number[][]> {
  const counts = reads.map(({ activeCount }): MaybePromise<ArrayLike<number>> | undefined =>
    activeCount === undefined ? undefined : elementsOf(loaded, activeCount, 0, count),
  );
  const byRow = (all: readonly (ArrayLike<number> | undefined)[]) =>
    Array.from({ length: count }, (_, row) => reads.map(({ rows }, i) => all[i]?.[row] ?? rows));
  return counts.some((of) => of instanceof Promise)
    ? Promise.all(counts).then(byRow)
    : byRow(counts as (ArrayLike<number> | undefined)[]);
}

/** What a plan reads besides the model's own weights; a dense step of the model reads none of it. */
const added: ReadonlySet<ReadSite> = new Set(['lowRank', 'predictor']);

/** The reads of one site in one layer, by their numbers. */
interface SiteReads {
  readonly site: ReadSite;
  readonly layer: number;
  readonly members: readonly number[];
  readonly bytes: number;
}

const sitesOf = new WeakMap<DecoderProgram['reads'], readonly SiteReads[]>();

function readsBySite(reads: DecoderProgram['reads']): readonly SiteReads[] {
  const known = sitesOf.get(reads);
  if (known !== undefined) return known;
  const bySite = new Map<string, SiteReads & { members: number[]; bytes: number }>();
  for (const [i, { site, layer, rowBytes, rows }] of reads.entries()) {
    if (layer < 0 || added.has(site)) continue;
    const key = `${site}.${layer}`;
    const of = bySite.get(key) ?? { site, layer, members: [], bytes: 0 };
    bySite.set(key, of);
    of.members.push(i);
    of.bytes += rows * rowBytes;
  }
  const made = [...bySite.values()];
  sitesOf.set(reads, made);
  return made;
}

/** What a token cost: bytes of weights, read and in a dense step, and the share of each site in each layer. */
export interface TokenCost {
  readonly bytes: number;
  readonly denseBytes: number;
  readonly shares: readonly { readonly site: ReadSite; readonly layer: number; readonly share: number }[];
}

/** What rows of one sequence read of the weights when each weight is read once for all of them. */
export interface ReadTogether {
  readonly bytes: number;
  /** The share of FFN neurons that any of them needs, a mean over layers; absent where none are listed. */
  readonly neurons?: number;
}

/**
 * By how many rows of each weight every row read alone, and by how many neurons of each layer they marked together. Lists of
 * inputs are not marked: of them the sum counts, at most all.
 */
export function readTogether(
  { reads }: Pick<DecoderProgram, 'reads'>,
  rowsOf: readonly (readonly number[])[],
  { marked, way }: { readonly marked: readonly number[] | undefined; readonly way: WeightsRead },
): ReadTogether {
  const rowsReadOf = ({ site, layer, rows, activeCount }: DecoderProgram['reads'][number], i: number): number => {
    if (activeCount === undefined || marked === undefined || way === 'all') return rows;
    if (site === 'up' || site === 'down') return marked[layer] as number;
    return Math.min(
      rows,
      rowsOf.reduce((sum, own) => sum + (own[i] as number), 0),
    );
  };
  const bytes = reads.reduce((sum, read, i) => sum + read.rowBytes * rowsReadOf(read, i), 0);
  if (marked === undefined) return { bytes };
  const neurons = new Map(reads.filter(({ site }) => site === 'down').map(({ layer, rows }) => [layer, rows]));
  const shares = marked.map((count, layer) => count / (neurons.get(layer) as number));
  return { bytes, neurons: shares.reduce((sum, share) => sum + share, 0) / shares.length };
}

/** By how many rows of each weight it read: `rowsRead`. */
export function costOf({ reads }: Pick<DecoderProgram, 'reads'>, rowsOf: readonly number[]): TokenCost {
  let [bytes, denseBytes] = [0, 0];
  for (let i = 0; i < reads.length; i++) {
    const { site, rowBytes, rows } = reads[i] as DecoderProgram['reads'][number];
    bytes += (rowsOf[i] as number) * rowBytes;
    if (!added.has(site)) denseBytes += rows * rowBytes;
  }
  const shares = readsBySite(reads).map(({ site, layer, members, bytes: all }) => {
    let read = 0;
    for (const i of members) read += (rowsOf[i] as number) * (reads[i] as DecoderProgram['reads'][number]).rowBytes;
    return { site, layer, share: read / all };
  });
  return { bytes, denseBytes, shares };
}

export class StepStatistics {
  #prefillTokens = 0;
  #prefillMs = 0;
  #decodeTokens = 0;
  #decodeMs = 0;
  #bytes = 0;
  #denseBytes = 0;
  readonly #density = new Map<ReadSite, Float64Array>();
  readonly #layers: number;
  readonly #speculation = { drafted: 0, accepted: 0, compared: 0, steps: 0, draftMs: 0, stepMs: 0 };
  readonly #plain = { steps: 0, ms: 0 };
  readonly #union = { steps: 0, density: 0, ofRow: 0 };

  constructor(layers: number) {
    this.#layers = layers;
  }

  prefill(tokens: number, ms: number): void {
    this.#prefillTokens += tokens;
    this.#prefillMs += ms;
  }

  /** One decoded token. */
  decode(ms: number, { bytes, denseBytes, shares }: TokenCost): void {
    this.#decodeTokens++;
    this.#decodeMs += ms;
    this.#bytes += bytes;
    this.#denseBytes += denseBytes;
    for (const { site, layer, share } of shares) this.#site(site)[layer]! += share;
  }

  /** Drafts took this much; no token comes of it. */
  drafts(ms: number, bytes: number): void {
    this.#decodeMs += ms;
    this.#bytes += bytes;
  }

  /** A decoding step of one row where drafts might have been verified. */
  plainStep(ms: number): void {
    this.#plain.steps++;
    this.#plain.ms += ms;
  }

  verified({ union, ...one }: Verification): void {
    const sums = this.#speculation;
    sums.steps++;
    for (const key of Object.keys(one) as (keyof typeof one)[]) sums[key] += one[key];
    if (union === undefined) return;
    this.#union.steps++;
    this.#union.density += union.density;
    this.#union.ofRow += union.ofRow;
  }

  get(): ModelStats {
    const tokens = Math.max(1, this.#decodeTokens);
    const density = Object.fromEntries(
      [...this.#density].map(([site, sums]) => [site, Array.from(sums, (sum) => sum / tokens)]),
    );
    return {
      prefill: rate(this.#prefillTokens, this.#prefillMs),
      decode: rate(this.#decodeTokens, this.#decodeMs),
      tokensPerSecond: rate(this.#decodeTokens, this.#decodeMs).tokensPerSecond,
      weightBytesPerToken: this.#bytes / tokens,
      denseWeightBytesPerToken: this.#denseBytes / tokens,
      density: { qkv: [], o: [], upGate: [], up: [], down: [], ...density },
      ...(this.#speculation.steps > 0 && { speculation: this.#speculated() }),
    };
  }

  #speculated(): SpeculationStats {
    const { drafted, accepted, compared, steps, draftMs, stepMs } = this.#speculation;
    const [plain, union] = [this.#plain, this.#union];
    return {
      drafted,
      accepted,
      acceptance: accepted / Math.max(1, compared),
      steps,
      plainSteps: plain.steps,
      draftMs: draftMs / drafted,
      stepMs: stepMs / steps,
      plainMs: plain.ms / Math.max(1, plain.steps),
      ...(union.steps > 0 && { unionDensity: union.density / union.steps, rowDensity: union.ofRow / union.steps }),
    };
  }

  #site(site: ReadSite): Float64Array {
    let sums = this.#density.get(site);
    if (sums === undefined) {
      sums = new Float64Array(this.#layers);
      this.#density.set(site, sums);
    }
    return sums;
  }
}

function rate(tokens: number, ms: number): Rate {
  return { tokens, ms, tokensPerSecond: ms > 0 ? (tokens / ms) * 1000 : 0 };
}
