// One pass over the calibration text: how large the numbers at each site are, how large `up` is, and what leaving out small
// neurons costs. Memory depends on the model, not on the text. Does not own what is made of it (methods.ts).
import { placesName } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import { MagnitudeSketch } from './magnitude-sketch.js';
import { OrderStatistics } from './order-statistics.js';
import { everyLayer, type Site, tapOf, thresholdMask, thresholdTensors } from './sites.js';
import type { LayerHook, Subject } from './subject.js';

export type Hear = (share: number) => void;

/** Runs with masks that leave nothing out, so that every site can be seen. */
export async function useOpenMasks(subject: Subject, sites: readonly Site[], denseTokens: number): Promise<void> {
  const { numHiddenLayers } = subject.spec;
  await subject.use({
    plan: { method: 'open', masks: sites.map(thresholdMask), ...(denseTokens > 0 && { denseTokens }) },
    tensors: thresholdTensors(sites, numHiddenLayers, () => 0),
  });
}

async function passes(
  subject: Subject,
  windows: readonly (readonly number[])[],
  sites: readonly Pick<Site, 'at'>[],
  look: LayerHook,
  hear: Hear,
): Promise<void> {
  const taps = everyLayer(subject.spec, (layer) => sites.map((site) => tapOf(site, layer))).flat();
  for (const [index, ids] of windows.entries()) {
    hear(index / windows.length);
    await subject.pass(ids, taps, look);
  }
}

/** Of each layer's sites, |x| or |x| times its scale. */
export async function collectMagnitudes(
  subject: Subject,
  windows: readonly (readonly number[])[],
  sites: readonly Site[],
  hear: Hear,
): Promise<readonly (readonly MagnitudeSketch[])[]> {
  const sketches = everyLayer(subject.spec, () => sites.map(() => new MagnitudeSketch()));
  const scaled = new Float32Array(Math.max(...sites.map(({ width }) => width)));
  const look: LayerHook = (layer, tap, rows) => {
    for (const [index, site] of sites.entries()) {
      const values = tap(tapOf(site, layer));
      const sketch = sketches[layer]?.[index] as MagnitudeSketch;
      const scale = site.scale?.[layer];
      if (scale === undefined) sketch.add(values);
      else
        for (let row = 0; row < rows; row++) {
          for (let i = 0; i < site.width; i++) scaled[i] = values[row * site.width + i]! * scale[i]!;
          sketch.add(scaled.subarray(0, site.width));
        }
      if (sketch.isBroken) throw notFinite(layer, site);
    }
  };
  await passes(subject, windows, sites, look, hear);
  return sketches;
}

/** Of each layer's sites, the quantiles of each token. */
export async function collectOrders(
  subject: Subject,
  windows: readonly (readonly number[])[],
  sites: readonly Site[],
  hear: Hear,
): Promise<readonly (readonly OrderStatistics[])[]> {
  const all = everyLayer(subject.spec, () => sites.map(({ width }) => new OrderStatistics(width)));
  const look: LayerHook = (layer, tap) => {
    for (const [index, site] of sites.entries()) {
      const statistics = all[layer]?.[index] as OrderStatistics;
      statistics.add(tap(tapOf(site, layer)));
      if (statistics.isBroken) throw notFinite(layer, site);
    }
  };
  await passes(subject, windows, sites, look, hear);
  return all;
}

/** The quantiles of each token at one site of one layer; `sites`: all that have masks. */
export async function ordersAt(
  subject: Subject,
  windows: readonly (readonly number[])[],
  sites: readonly Site[],
  { layer: wanted, site }: { readonly layer: number; readonly site: Site },
): Promise<OrderStatistics> {
  const statistics = new OrderStatistics(site.width);
  const look: LayerHook = (layer, tap) => {
    if (layer !== wanted) return;
    statistics.add(tap(tapOf(site, layer)));
    if (statistics.isBroken) throw notFinite(layer, site);
  };
  await passes(subject, windows, sites, look, () => {});
  return statistics;
}

function notFinite(layer: number, { at }: Pick<Site, 'at'>): RelufyError {
  return new RelufyError(
    'backend',
    `calibrate: expected finite numbers at ${placesName(at)} of layer ${layer}, got NaN or infinity. Check the weights, or load them with another dtype.`,
  );
}

/**
 * How large `up` is, a channel each: the root of its mean square or the mean of its magnitudes (CHESS's kappa). `up` itself
 * is nobody's buffer: it is h / a, where a is not zero.
 */
export async function upSizes(
  subject: Subject,
  windows: readonly (readonly number[])[],
  kind: 'rms' | 'mean',
  hear: Hear,
): Promise<Float32Array[]> {
  const { intermediateSize: width } = subject.spec;
  const places = [{ at: ['neurons'] }, { at: ['down'] }] as const;
  const sums = everyLayer(subject.spec, () => new Float64Array(width));
  const counts = everyLayer(subject.spec, () => new Float64Array(width));
  const look: LayerHook = (layer, tap, rows) => {
    const [a, h] = places.map((site) => tap(tapOf(site, layer))) as [Float32Array, Float32Array];
    const [sum, count] = [sums[layer] as Float64Array, counts[layer] as Float64Array];
    for (let row = 0, at = 0; row < rows; row++)
      for (let i = 0; i < width; i++, at++) {
        if (a[at] === 0) continue;
        const up = h[at]! / a[at]!;
        sum[i]! += kind === 'rms' ? up * up : Math.abs(up);
        count[i]!++;
      }
  };
  await passes(subject, windows, places, look, hear);
  return sums.map((sum, layer) => {
    const count = counts[layer] as Float64Array;
    const sizes = Float32Array.from(sum, (value, i) => {
      const mean = count[i]! > 0 ? value / count[i]! : 0;
      // a channel without size would get an infinite bar, or none (CHESS's code clamps it too)
      return Math.max(1e-6, kind === 'rms' ? Math.sqrt(mean) : mean);
    });
    if (!sizes.every(Number.isFinite)) throw notFinite(layer, { at: ['up'] });
    return sizes;
  });
}

/** Tokens whose neurons are added one by one, which takes long. */
const cettTokens = 512;

/**
 * What leaving out neurons costs (CETT: ReLU^2 Wins, arXiv 2402.03804): of each token, neurons are added from the smallest
 * |h_i| ||w_i|| on; how much the error grows by a neuron counts at its magnitude. Sums over them are the mean error at any
 * threshold, so a target is one crossing and needs no search. Looks at the first 512 tokens.
 */
export async function collectCett(
  subject: Subject,
  windows: readonly (readonly number[])[],
  norms: readonly Float32Array[],
  hear: Hear,
): Promise<{ readonly sketches: readonly MagnitudeSketch[]; readonly tokens: number }> {
  const { hiddenSize, intermediateSize: width } = subject.spec;
  const sketches = everyLayer(subject.spec, () => new MagnitudeSketch(true));
  const turned = everyLayer(subject.spec, (layer) => {
    const { values } = subject.weight(layer, 'down');
    const out = new Float32Array(values.length);
    for (let row = 0; row < hiddenSize; row++)
      for (let neuron = 0; neuron < width; neuron++) out[neuron * hiddenSize + row] = values[row * width + neuron]!;
    return out;
  });
  let seen = 0;
  const look: LayerHook = (layer, tap, rows) => {
    const h = tap(tapOf({ at: ['down'] }, layer));
    const sketch = sketches[layer] as MagnitudeSketch;
    for (let row = 0; row < rows; row++)
      addToken(sketch, h.subarray(row * width, (row + 1) * width), norms[layer]!, turned[layer]!);
    if (sketch.isBroken) throw notFinite(layer, { at: ['down'] });
    if (layer === subject.spec.numHiddenLayers - 1) seen += rows;
  };
  const looked: (readonly number[])[] = [];
  for (const ids of windows) {
    const room = cettTokens - looked.reduce((sum, { length }) => sum + length, 0);
    if (room > 0) looked.push(ids.slice(0, room));
  }
  await passes(subject, looked, [{ at: ['down'] }], look, hear);
  return { sketches, tokens: seen };
}

function addToken(sketch: MagnitudeSketch, h: Float32Array, norms: Float32Array, down: Float32Array): void {
  const size = down.length / norms.length;
  const magnitudes = norms.map((norm, i) => Math.abs(h[i]!) * norm);
  const order = Uint32Array.from(magnitudes.keys()).sort((a, b) => magnitudes[a]! - magnitudes[b]!);
  const sum = new Float64Array(size);
  const errors = new Float64Array(order.length);
  let square = 0;
  for (const [at, neuron] of order.entries()) {
    const [from, value] = [neuron * size, h[neuron]!];
    if (value !== 0) {
      square = 0;
      for (let j = 0; j < size; j++) {
        const next = sum[j]! + value * down[from + j]!;
        sum[j] = next;
        square += next * next;
      }
    }
    errors[at] = Math.sqrt(square);
  }
  const whole = errors.at(-1) as number;
  // without an output there is no relative error
  if (!(whole > 1e-20)) {
    if (!Number.isFinite(whole)) sketch.isBroken = true;
    return;
  }
  let before = 0;
  for (const [at, neuron] of order.entries()) {
    sketch.addWeighted(magnitudes[neuron]!, (errors[at]! - before) / whole);
    before = errors[at]!;
  }
}
