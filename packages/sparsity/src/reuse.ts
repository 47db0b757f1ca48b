// Reusing neurons (ReLU Strikes Back, arXiv 2310.04564, 5.1): gamma tokens load the neurons that they use, the next gamma
// tokens may use no others, so that nothing is read for them. The price is perplexity, beside the model as it is and
// beside random sets as large. Does not own what "active" means (measure.ts) or the hook (observer.ts).
import { type Model, perplexity as perplexityOf } from '@relufy/models';
import { RelufyError, show } from '@relufy/tensor';
import { type Activity, type Bits, markActive, popcount } from './active-sets.js';
import { activityOf, type Criterion, type LayerThreshold } from './measure.js';
import type { NeuronObserver } from './observer.js';
import type { Measurement } from './record.js';

export interface ReuseOptions {
  readonly criterion: Criterion;
  /** Per layer, for the criterion `cett`. */
  readonly thresholds?: readonly LayerThreshold[];
  /** Tokens that load, and as many that reuse. Default 1, 2, 4, 8, 16, 32. */
  readonly gammas?: readonly number[];
  /** Tokens of a sequence that run as they are, and are not scored. Default: half of the longest one, at most 128. */
  readonly prompt?: number;
  /** What was loaded before stays loaded. Default: each loading phase begins with nothing. */
  readonly carry?: boolean;
  readonly signal?: AbortSignal;
  /** Hears the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

const defaultGammas = [1, 2, 4, 8, 16, 32];

/** Perplexity over what follows the prompts, for each gamma. */
export async function reusePerplexity(
  model: Model,
  observer: NeuronObserver,
  sequences: readonly (readonly number[])[],
  { criterion, thresholds, gammas = defaultGammas, carry = false, signal, onProgress, ...options }: ReuseOptions,
): Promise<NonNullable<Measurement['reuse']>> {
  const longest = Math.max(0, ...sequences.map(({ length }) => length));
  const prompt = options.prompt ?? Math.min(128, Math.floor(longest / 2));
  const scored = sequences.filter(({ length }) => length > prompt + 1);
  if (scored.length === 0)
    throw new RelufyError(
      'input',
      `reuse: expected a sequence of at least ${prompt + 2} tokens, got ${show(longest)} at most. Take a longer text or a shorter prompt.`,
    );
  let passes = 0;
  const perplexity = async (masks?: readonly LayerReuse[]): Promise<number> => {
    observer.hook =
      masks &&
      ((layer, values, rows) => {
        const width = values.length / rows;
        for (let row = 0; row < rows; row++) masks[layer]?.restrict(values.subarray(row * width, (row + 1) * width));
      });
    const restarting = {
      score: (ids: readonly number[]) => {
        for (const mask of masks ?? []) mask.startSequence();
        return model.score(ids);
      },
    };
    try {
      return await perplexityOf(restarting, scored, {
        context: prompt + 1,
        signal,
        onProgress: (share) => onProgress?.((passes + share) / (2 * gammas.length + 1)),
      });
    } finally {
      observer.hook = undefined;
      passes++;
    }
  };
  const { numHiddenLayers, intermediateSize } = model.spec;
  const points = [];
  for (const gamma of gammas) {
    const masks = (random: boolean) =>
      Array.from(
        { length: numHiddenLayers },
        (_, layer) =>
          new LayerReuse(intermediateSize, {
            gamma,
            prompt,
            carry,
            activity: activityOf(criterion, thresholds?.[layer]),
            ...(random && { randomSeed: layer + 1 }),
          }),
      );
    const [loaded, random] = [masks(false), masks(true)];
    const point = { gamma, perplexity: await perplexity(loaded), randomPerplexity: await perplexity(random) };
    points.push({ ...point, kept: loaded.reduce((sum, mask) => sum + mask.kept, 0) / loaded.length });
  }
  const tokens = scored.reduce((sum, { length }) => sum + length - prompt - 1, 0);
  return { prompt, tokens, carry, densePerplexity: await perplexity(), points };
}

export interface LayerReuseOptions {
  readonly gamma: number;
  readonly prompt: number;
  readonly carry: boolean;
  readonly activity: Activity;
  /** Instead of the loaded neurons, others: as many, drawn anew for each phase. */
  readonly randomSeed?: number;
}

/** One layer's phases, token by token. */
export class LayerReuse {
  readonly #options: LayerReuseOptions;
  readonly #neurons: number;
  readonly #loaded: Bits;
  readonly #order: Uint32Array;
  #allowed: Bits;
  #seed: number;
  #position = 0;
  #keptSum = 0;
  #phases = 0;

  constructor(neurons: number, options: LayerReuseOptions) {
    this.#options = options;
    this.#neurons = neurons;
    this.#loaded = new Uint32Array(Math.ceil(neurons / 32));
    this.#allowed = this.#loaded;
    this.#order = Uint32Array.from({ length: neurons }, (_, i) => i);
    this.#seed = options.randomSeed ?? 0;
  }

  startSequence(): void {
    this.#position = 0;
    this.#loaded.fill(0);
  }

  /** The next token's neurons: looked at, or those that may not be used set to zero. */
  restrict(h: Float32Array): void {
    const { gamma, prompt, carry, activity, randomSeed } = this.#options;
    const at = this.#position++ - prompt;
    if (at < 0) return;
    const isFirst = at % gamma === 0;
    if (Math.floor(at / gamma) % 2 === 0) {
      if (isFirst && !carry) this.#loaded.fill(0);
      markActive(this.#loaded, h, activity);
      return;
    }
    if (isFirst) {
      const count = popcount(this.#loaded);
      this.#keptSum += count / this.#neurons;
      this.#phases++;
      this.#allowed = randomSeed === undefined ? this.#loaded : this.#draw(count);
    }
    for (let i = 0; i < h.length; i++) if (((this.#allowed[i >>> 5]! >>> (i & 31)) & 1) === 0) h[i] = 0;
  }

  /** Mean share of neurons that may be used in a reusing phase. */
  get kept(): number {
    return this.#phases === 0 ? 1 : this.#keptSum / this.#phases;
  }

  /** The first `count` of a shuffle that goes no further. */
  #draw(count: number): Bits {
    const drawn = new Uint32Array(this.#loaded.length);
    for (let i = 0; i < count; i++) {
      // linear congruential, of which the high bits are good
      this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0;
      const other = i + Math.floor((this.#seed / 2 ** 32) * (this.#neurons - i));
      const neuron = this.#order[other]!;
      this.#order[other] = this.#order[i]!;
      this.#order[i] = neuron;
      drawn[neuron >>> 5]! |= 1 << (neuron & 31);
    }
    return drawn;
  }
}
