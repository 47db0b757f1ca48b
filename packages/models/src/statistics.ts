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
  const counts = reads.map(
    ({ activeCount, rows }): MaybePromise<ArrayLike<number>> =>
      activeCount === undefined ? new Array<number>(count).fill(rows) : elementsOf(loaded, activeCount, 0, count),
  );
  const byRow = (all: readonly ArrayLike<number>[]) =>
    Array.from({ length: count }, (_, row) => all.map((of) => of[row] as number));
  return counts.some((of) => of instanceof Promise)
    ? Promise.all(counts).then(byRow)
    : byRow(counts as ArrayLike<number>[]);
}

/** What a plan reads besides the model's own weights; a dense step of the model reads none of it. */
const added: ReadonlySet<ReadSite> = new Set(['lowRank', 'predictor']);

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

  /** One decoded token, and how many rows of each weight it read: `rowsRead`. */
  decode(ms: number, { reads }: Pick<DecoderProgram, 'reads'>, rowsOf: readonly number[]): void {
    this.#decodeTokens++;
    this.#decodeMs += ms;
    /** A layer's bytes at a site: read, and all. */
    const shares = new Map<string, { readonly site: ReadSite; readonly layer: number; read: number; all: number }>();
    for (const [i, { site, layer, rowBytes, rows }] of reads.entries()) {
      const [read, all] = [(rowsOf[i] as number) * rowBytes, rows * rowBytes];
      this.#bytes += read;
      this.#denseBytes += added.has(site) ? 0 : all;
      if (layer < 0 || added.has(site)) continue;
      const key = `${site}.${layer}`;
      const share = shares.get(key) ?? { site, layer, read: 0, all: 0 };
      shares.set(key, share);
      share.read += read;
      share.all += all;
    }
    for (const { site, layer, read, all } of shares.values()) this.#site(site)[layer]! += read / all;
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
