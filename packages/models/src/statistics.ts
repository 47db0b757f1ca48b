// Counts what steps cost: tokens, time, and how much of each weight was read. Decode steps (one row) are counted
// exactly; in a prefill the backend may choose to run sparse layers dense, so bytes are a matter of decoding.
import type { LoadedProgram } from '@relufy/tensor';
import type { DecoderProgram, Site, WeightRead } from './decoder-program.js';

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
   * Mean share, per layer, of what was read while decoding: input channels at `qkv`, `o`, `upGate` and `down`, and
   * rows of a gated FFN's up projection at `up`. 1 where nothing is skipped; empty before the first decoded token.
   */
  readonly density: Readonly<Record<Site | 'up', readonly number[]>>;
}

/** How many rows of each weight a decoding step read: the counts that it left behind. */
export function rowsRead({ reads }: Pick<DecoderProgram, 'reads'>, loaded: LoadedProgram): number[] {
  return reads.map(({ activeCount, rows }) =>
    activeCount === undefined ? rows : (loaded.view(activeCount)[0] as number),
  );
}

export class StepStatistics {
  #prefillTokens = 0;
  #prefillMs = 0;
  #decodeTokens = 0;
  #decodeMs = 0;
  #bytes = 0;
  #denseBytes = 0;
  readonly #density = new Map<Site | 'up', Float64Array>();
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
    for (const [i, read] of reads.entries()) {
      const rows = rowsOf[i] as number;
      this.#bytes += rows * read.rowBytes;
      this.#denseBytes += read.rows * read.rowBytes;
      if (read.layer >= 0) this.#site(read)[read.layer]! += rows / read.rows;
    }
  }

  get(): ModelStats {
    const tokens = Math.max(1, this.#decodeTokens);
    const density = (site: Site | 'up') => Array.from(this.#density.get(site) ?? [], (sum) => sum / tokens);
    return {
      prefill: rate(this.#prefillTokens, this.#prefillMs),
      decode: rate(this.#decodeTokens, this.#decodeMs),
      tokensPerSecond: rate(this.#decodeTokens, this.#decodeMs).tokensPerSecond,
      weightBytesPerToken: this.#bytes / tokens,
      denseWeightBytesPerToken: this.#denseBytes / tokens,
      density: {
        qkv: density('qkv'),
        o: density('o'),
        upGate: density('upGate'),
        up: density('up'),
        down: density('down'),
      },
    };
  }

  #site({ site }: WeightRead): Float64Array {
    const key = site as Site | 'up';
    let sums = this.#density.get(key);
    if (sums === undefined) {
      sums = new Float64Array(this.#layers);
      this.#density.set(key, sums);
    }
    return sums;
  }
}

function rate(tokens: number, ms: number): Rate {
  return { tokens, ms, tokensPerSecond: ms > 0 ? (tokens / ms) * 1000 : 0 };
}
