// What predictors are fitted to: FFN inputs and what active neurons add, captured layer by layer while the model reads a
// text. A chunk holds as many tokens as its bytes allow, is used and dropped, so memory does not grow with the text.
// Does not own which neurons are active (activity.ts) nor the fit (layer-fit.ts).
import { type Activity, activeNeuron } from './activity.js';
import { everyLayer } from './sites.js';
import type { Subject } from './subject.js';

/** What a predictor is fed: the FFN's input, the residual stream before its norm, or the same one layer earlier. */
export const predictorInputs = ['normed', 'residual', 'lookahead'] as const;
export type PredictorInput = (typeof predictorInputs)[number];

/** Where a layer's predictor finds it. */
function inputTap(input: PredictorInput, layer: number): string {
  if (input === 'normed') return `ffnInput.${layer}`;
  const from = input === 'residual' ? layer : layer - 1;
  return from < 0 ? 'hidden.0' : `ffnResidual.${from}`;
}

export interface LayerSamples {
  /** [tokens, hidden] */
  readonly x: Float32Array;
  /** [tokens, neurons]: 0 of an inactive neuron, else what it adds in sixteenths of the layer's mean, from 1 to 255. */
  readonly active: Uint8Array;
}

/** A neuron that adds as much as the mean of those that are active. */
export const meanContribution = 16;

export interface Samples {
  readonly tokens: number;
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
  const perToken = numHiddenLayers * (4 * hiddenSize + intermediateSize);
  const most = Math.max(1, Math.floor(bytes / perToken));
  const means: Means = [];
  let at = 0;
  while (at < windows.length) {
    let [to, tokens] = [at, 0];
    while (to < windows.length && (to === at || tokens + windows[to]!.length <= most)) tokens += windows[to++]!.length;
    const first = at;
    yield await capture(
      subject,
      windows.slice(at, to),
      { tokens, means },
      {
        ...{ activity, input, bytes },
        hear: (share) => hear((first + share * (to - first)) / windows.length),
      },
    );
    at = to;
  }
}

/** What an active neuron adds, a layer each: of the first rows that have one, and kept. */
type Means = (number | undefined)[];

async function capture(
  subject: Subject,
  windows: readonly (readonly number[])[],
  { tokens, means }: { readonly tokens: number; readonly means: Means },
  { activity, input, hear }: CaptureOptions,
): Promise<Samples> {
  const { spec } = subject;
  const { hiddenSize, intermediateSize: neurons } = spec;
  const layers = everyLayer(spec, () => ({
    x: new Float32Array(tokens * hiddenSize),
    active: new Uint8Array(tokens * neurons),
  }));
  const isActive = everyLayer(spec, (layer) => activeNeuron(activity, layer));
  const adds = new Float32Array(neurons * 128);
  const taps = everyLayer(spec, (layer) => [inputTap(input, layer), `down.${layer}`]).flat();
  let done = 0;
  for (const [index, ids] of windows.entries()) {
    hear(index / windows.length);
    await subject.pass(ids, taps, (layer, tap, rows) => {
      const { x, active } = layers[layer]!;
      x.set(tap(inputTap(input, layer)), done * hiddenSize);
      const h = tap(`down.${layer}`);
      const isOn = isActive[layer]!;
      const norms = activity.norms[layer]!;
      const own = adds.length < h.length ? new Float32Array(h.length) : adds;
      for (let row = 0, at = 0; row < rows; row++)
        for (let i = 0; i < neurons; i++, at++) own[at] = isOn(h[at]!, i) ? Math.abs(h[at]!) * norms[i]! : 0;
      means[layer] ??= meanOfPositive(own.subarray(0, h.length));
      const scale = meanContribution / (means[layer] ?? 1);
      for (let at = 0, to = done * neurons; at < h.length; at++, to++)
        if (own[at] !== 0) active[to] = Math.min(255, Math.max(1, Math.round(own[at]! * scale)));
      if (layer === layers.length - 1) done += rows;
    });
  }
  return { tokens, layers };
}

function meanOfPositive(values: Float32Array): number | undefined {
  let [sum, count] = [0, 0];
  for (const value of values)
    if (value > 0) {
      sum += value;
      count++;
    }
  return count === 0 ? undefined : sum / count;
}

/** Share of tokens in which each neuron is active: [neurons]. */
export function activeShares({ tokens, layers }: Samples, layer: number, neurons: number): Float64Array {
  const counts = new Float64Array(neurons);
  const { active } = layers[layer]!;
  for (let token = 0; token < tokens; token++)
    for (let i = 0; i < neurons; i++) if (active[token * neurons + i] !== 0) counts[i]!++;
  return counts.map((count) => count / tokens);
}
