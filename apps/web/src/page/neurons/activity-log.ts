// What the tokens of one answer read: kept beside the answer while the page is open, for the pictures and the sums.
// Does not own drawing (neuron-canvas.ts).
import type { Token } from '../engine/engine.js';

export interface LoggedToken {
  readonly text: string;
  /** By layer: the neurons that were read; undefined: all of them. Absent for tokens whose step was a prompt's. */
  readonly neurons?: readonly (Uint32Array | undefined)[];
  readonly weightBytes: number;
  readonly denseWeightBytes: number;
}

export class ActivityLog {
  readonly layers: number;
  /** Of a layer. */
  readonly neurons: number;
  readonly tokens: LoggedToken[] = [];
  /** Over all tokens. */
  weightBytes = 0;
  denseWeightBytes = 0;

  /** Hears tokens at once: for the picture, which draws every frame. */
  onTokens: ((tokens: readonly Token[]) => void) | undefined;

  constructor(layers: number, neurons: number) {
    this.layers = layers;
    this.neurons = neurons;
  }

  push({ text, activity }: Token): void {
    const { weightBytes = 0, denseWeightBytes = 0, neurons } = activity ?? {};
    this.weightBytes += weightBytes;
    this.denseWeightBytes += denseWeightBytes;
    this.tokens.push({ text, weightBytes, denseWeightBytes, ...(neurons && { neurons }) });
  }

  /** Of a layer's neurons, the share that a token read; undefined where nothing is known of it. */
  shareOf(token: number, layer: number): number | undefined {
    const { neurons } = this.tokens[token] ?? {};
    if (neurons === undefined) return undefined;
    return neurons[layer] === undefined ? 1 : neurons[layer].length / this.neurons;
  }

  /** Of every neuron of every layer, the share of this answer's tokens that read it. */
  frequencies(): Float32Array {
    const counts = new Float32Array(this.layers * this.neurons);
    let known = 0;
    for (const { neurons } of this.tokens) {
      if (neurons === undefined) continue;
      known++;
      for (let layer = 0; layer < this.layers; layer++) {
        const own = counts.subarray(layer * this.neurons, (layer + 1) * this.neurons);
        const list = neurons[layer];
        if (list === undefined) for (let neuron = 0; neuron < own.length; neuron++) own[neuron]!++;
        else for (const neuron of list) own[neuron]!++;
      }
    }
    return counts.map((count) => count / Math.max(1, known));
  }

  /** Over all layers. */
  meanShare(token: number): number | undefined {
    const shares = Array.from({ length: this.layers }, (_, layer) => this.shareOf(token, layer));
    if (shares.length === 0 || shares.some((share) => share === undefined)) return undefined;
    return shares.reduce<number>((sum, share) => sum + (share as number), 0) / shares.length;
  }
}
