// Models whose neurons are looked at and left out from outside: every token's h is seen between the activation and `down`, where
// it may be changed, and what the FFN is fed before that. For comparisons that are no plan: one threshold for all layers, a
// predictor at any share, sets fixed by a prompt. Does not own what is looked for (three-tests.mjs, pitfalls.mjs, sparsing-law.mjs).
import { createBackend, loadModel, perplexity } from '@relufy/models';
import { CettCurve, NeuronObserver } from '@relufy/sparsity';

/**
 * A token's neurons: to look at, or to change.
 * @typedef {(layer: number, h: Float32Array, position: number, sequence: number) => void} TokenHook
 */

export class Neurons {
  /** @param {string} source @param {{ threads?: number, dtype?: 'f32' | 'bf16' | 'int8' }} options */
  static async open(source, { threads = 1, dtype = 'f32' } = {}) {
    const observer = new NeuronObserver((await createBackend({ threads })).backend);
    const model = await loadModel(source, { dtype, backend: observer.backend, sparsity: 'dense' });
    return new Neurons(model, observer);
  }

  /** @param {import('@relufy/models').Model} model @param {NeuronObserver} observer */
  constructor(model, observer) {
    this.model = model;
    this.observer = observer;
    const { numHiddenLayers, intermediateSize, hiddenSize } = model.spec;
    this.layers = numHiddenLayers;
    this.width = intermediateSize;
    this.hiddenSize = hiddenSize;
    /** One for each layer; nothing is in them yet. */
    this.curves = () => this.each((layer) => new CettCurve(this.#down(layer), intermediateSize));
    /** ||w_i|| of each neuron. */
    this.norms = this.curves().map(({ norms }) => norms);
  }

  /** @template T @param {(layer: number) => T} make */
  each(make) {
    return Array.from({ length: this.layers }, (_, layer) => make(layer));
  }

  #held = new Map();
  #down(layer) {
    const known = this.#held.get(layer) ?? this.observer.downWeight(layer);
    this.#held.set(layer, known);
    return known;
  }

  /**
   * Perplexity of what follows `prompt` tokens of each sequence.
   * @param {readonly (readonly number[])[]} sequences
   * @param {{ hook?: TokenHook, inputHook?: TokenHook, prompt?: number }} options
   */
  async perplexity(sequences, { hook, inputHook, prompt = 0 } = {}) {
    let sequence = -1;
    const positions = { hook: new Int32Array(this.layers), inputHook: new Int32Array(this.layers) };
    const rowsOf = (/** @type {'hook' | 'inputHook'} */ name, /** @type {TokenHook | undefined} */ own) =>
      own &&
      ((layer, values, rows) => {
        const width = values.length / rows;
        for (let row = 0; row < rows; row++)
          own(layer, values.subarray(row * width, (row + 1) * width), positions[name][layer]++, sequence);
      });
    this.observer.hook = rowsOf('hook', hook);
    this.observer.inputHook = rowsOf('inputHook', inputHook);
    const counted = {
      score: (ids) => {
        sequence++;
        for (const own of Object.values(positions)) own.fill(0);
        return this.model.score(ids);
      },
    };
    try {
      return await perplexity(counted, sequences, { context: prompt + 1 });
    } finally {
      this.observer.hook = undefined;
      this.observer.inputHook = undefined;
    }
  }

  async close() {
    await this.model.dispose();
    await this.observer.backend.dispose();
  }
}

/** The k-th smallest, k = floor(N s); 0 for k = 0. Sorts the numbers. @param {Float32Array} values @param {number} share */
export function quantile(values, share) {
  const k = Math.floor(values.length * share + 1e-9);
  return k === 0 ? 0 : values.sort()[k - 1];
}
