// Thresholds per layer for a CETT target, and the target at which perplexity rises by p % (CETT-PPL-p %, Sparsing Law,
// arXiv 2411.02335). Runs a model through a NeuronObserver. Does not own the curve of one layer (cett.ts).
import { type Model, perplexity } from '@relufy/models';
import { CettCurve } from './cett.js';
import type { LayerThreshold } from './measure.js';
import type { NeuronObserver } from './observer.js';
import type { Measurement } from './record.js';

export interface SearchOptions {
  readonly signal?: AbortSignal;
  /** Hears the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/** Every layer's curve over the same tokens. */
export class ThresholdSearch {
  readonly #model: Model;
  readonly #observer: NeuronObserver;
  readonly #curves: readonly CettCurve[];

  constructor(model: Model, observer: NeuronObserver) {
    this.#model = model;
    this.#observer = observer;
    const { numHiddenLayers, intermediateSize } = model.spec;
    this.#curves = Array.from(
      { length: numHiddenLayers },
      (_, layer) => new CettCurve(observer.downWeight(layer), intermediateSize),
    );
  }

  /** Calibrates on one sequence more. */
  async add(ids: readonly number[], signal?: AbortSignal): Promise<void> {
    this.#observer.hook = (layer, values, rows) => {
      const width = values.length / rows;
      for (let row = 0; row < rows; row++) this.#curves[layer]?.add(values.subarray(row * width, (row + 1) * width));
    };
    try {
      signal?.throwIfAborted();
      await this.#model.score(ids);
    } finally {
      this.#observer.hook = undefined;
    }
  }

  /** One threshold a layer: the largest with mean CETT within the target. */
  thresholds(target: number): LayerThreshold[] {
    return this.#curves.map((curve) => ({
      ...curve.thresholdFor(target),
      norms: curve.norms,
      curve: curve.points().filter((_, at) => at % 12 === 0),
    }));
  }

  /** Perplexity over sequences, with neurons below their layer's threshold set to zero; and the share of these. */
  async perplexity(
    sequences: readonly (readonly number[])[],
    thresholds?: readonly LayerThreshold[],
    options: SearchOptions = {},
  ): Promise<{ perplexity: number; sparsity: number }> {
    let [zeros, all] = [0, 0];
    this.#observer.hook =
      thresholds &&
      ((layer, values, rows) => {
        const { threshold, norms } = thresholds[layer] as LayerThreshold;
        const width = values.length / rows;
        for (let i = 0; i < values.length; i++) {
          if (Math.abs(values[i]!) * norms[i % width]! < threshold) values[i] = 0;
          if (values[i] === 0) zeros++;
        }
        all += values.length;
      });
    try {
      const found = await perplexity(this.#model, sequences, options);
      return { perplexity: found, sparsity: all === 0 ? 0 : zeros / all };
    } finally {
      this.#observer.hook = undefined;
    }
  }

  /** Bisects the CETT target until perplexity is `p` % above the dense one, on the same tokens. */
  async atPerplexity(
    sequences: readonly (readonly number[])[],
    { p = 1, steps = 12, signal, onProgress }: SearchOptions & { readonly p?: number; readonly steps?: number } = {},
  ): Promise<NonNullable<Measurement['cettPpl']>> {
    let passes = 0;
    const tryOut = (thresholds?: readonly LayerThreshold[]) => {
      const before = passes++;
      const heard = onProgress && ((share: number) => onProgress((before + share) / (steps + 2)));
      return this.perplexity(sequences, thresholds, { ...(signal && { signal }), ...(heard && { onProgress: heard }) });
    };
    const dense = await tryOut();
    const wanted = dense.perplexity * (1 + p / 100);
    let [low, high] = [0, 1];
    let found = { ...(await tryOut(this.thresholds(0))), target: 0 };
    for (let step = 0; step < steps; step++) {
      const target = (low + high) / 2;
      const tried = await tryOut(this.thresholds(target));
      if (tried.perplexity <= wanted) {
        low = target;
        found = { ...tried, target };
      } else high = target;
    }
    return {
      p,
      ...found,
      densePerplexity: dense.perplexity,
      thresholds: this.thresholds(found.target).map(({ threshold }) => threshold),
    };
  }
}
