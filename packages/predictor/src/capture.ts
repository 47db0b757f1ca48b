// What predictors are fitted to: FFN inputs and the bits of active neurons, captured layer by layer while the model reads a
// text. A chunk holds as many tokens as its bytes allow, is used and dropped, so memory does not grow with the text.
// Does not own which neurons are active (activity.ts) nor the fit (layer-fit.ts).
import { type Activity, activeNeuron } from './activity.js';
import { everyLayer } from './sites.js';
import type { Subject } from './subject.js';

/** What a predictor is fed: the FFN's input, or the residual stream before its norm. */
export type PredictorInput = 'normed' | 'residual';

export interface LayerSamples {
  /** [tokens, hidden] */
  readonly x: Float32Array;
  /** [tokens, bytesPerToken], bit i % 8 of byte i / 8: neuron i is active. */
  readonly active: Uint8Array;
}

export interface Samples {
  readonly tokens: number;
  readonly bytesPerToken: number;
  readonly layers: readonly LayerSamples[];
}

export interface CaptureOptions {
  readonly activity: Activity;
  readonly input: PredictorInput;
  /** What one chunk may take. */
  readonly bytes: number;
  /** Hears the share of all windows that is read. */
  readonly hear: (share: number) => void;
}

/** Samples of the windows, in order, whole windows to a chunk. */
export async function* captureChunks(
  subject: Subject,
  windows: readonly (readonly number[])[],
  { activity, input, bytes, hear }: CaptureOptions,
): AsyncGenerator<Samples> {
  const { hiddenSize, intermediateSize, numHiddenLayers } = subject.spec;
  const perToken = numHiddenLayers * (4 * hiddenSize + Math.ceil(intermediateSize / 8));
  const most = Math.max(1, Math.floor(bytes / perToken));
  let at = 0;
  while (at < windows.length) {
    let [to, tokens] = [at, 0];
    while (to < windows.length && (to === at || tokens + windows[to]!.length <= most)) tokens += windows[to++]!.length;
    const first = at;
    yield await capture(subject, windows.slice(at, to), tokens, {
      ...{ activity, input, bytes },
      hear: (share) => hear((first + share * (to - first)) / windows.length),
    });
    at = to;
  }
}

async function capture(
  subject: Subject,
  windows: readonly (readonly number[])[],
  tokens: number,
  { activity, input, hear }: CaptureOptions,
): Promise<Samples> {
  const { spec } = subject;
  const { hiddenSize, intermediateSize: neurons } = spec;
  const bytesPerToken = Math.ceil(neurons / 8);
  const layers = everyLayer(spec, () => ({
    x: new Float32Array(tokens * hiddenSize),
    active: new Uint8Array(tokens * bytesPerToken),
  }));
  const isActive = everyLayer(spec, (layer) => activeNeuron(activity, layer));
  const inputTap = input === 'residual' ? 'ffnResidual' : 'ffnInput';
  const taps = everyLayer(spec, (layer) => [`${inputTap}.${layer}`, `down.${layer}`]).flat();
  let done = 0;
  for (const [index, ids] of windows.entries()) {
    hear(index / windows.length);
    await subject.pass(ids, taps, (layer, tap, rows) => {
      const { x, active } = layers[layer]!;
      x.set(tap(`${inputTap}.${layer}`), done * hiddenSize);
      const h = tap(`down.${layer}`);
      const isOn = isActive[layer]!;
      for (let row = 0; row < rows; row++) {
        const [from, to] = [row * neurons, (done + row) * bytesPerToken];
        for (let i = 0; i < neurons; i++) if (isOn(h[from + i]!, i)) active[to + (i >> 3)]! |= 1 << (i & 7);
      }
      if (layer === layers.length - 1) done += rows;
    });
  }
  return { tokens, bytesPerToken, layers };
}

/** Share of tokens in which each neuron is active: [neurons]. */
export function activeShares({ tokens, bytesPerToken, layers }: Samples, layer: number, neurons: number): Float64Array {
  const counts = new Float64Array(neurons);
  const { active } = layers[layer]!;
  for (let token = 0; token < tokens; token++)
    for (let i = 0; i < neurons; i++) counts[i]! += (active[token * bytesPerToken + (i >> 3)]! >> (i & 7)) & 1;
  return counts.map((count) => count / tokens);
}
