// Counts what steps cost: tokens, time, and how much of each weight was read. Decode steps (one row) are counted
// exactly; in a prefill the backend may choose to run sparse layers dense, so bytes are a matter of decoding.
import { elementsOf, type LoadedProgram, type MaybePromise } from '@relufy/tensor';
import type { DecoderProgram, ReadSite, Site } from './decoder-program.js';

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
  readonly density: Readonly<Record<Site | 'up', readonly number[]> & Partial<Record<ReadSite, readonly number[]>>>;
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
