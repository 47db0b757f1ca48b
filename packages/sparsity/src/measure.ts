// Measures a model over a text, one pass: densities at every site, pre-activations, use of neurons, MACs; then a short
// decode for what the runtime really reads. Streaming: memory depends on the model and the window, not on the text.
// Does not own thresholds (threshold-search.ts), files or plots.
import {
  type Model,
  placesName,
  predictsAt,
  projections,
  sitesOf,
  sparsePlaces,
  sparseSites,
  TokenLoss,
  withoutMasks,
} from '@relufy/models';
import { RelufyError, show } from '@relufy/tensor';
import { type Activity, LayerUse } from './active-sets.js';
import type { CettCurve, CettPoint } from './cett.js';
import { countMacs, type Densities } from './macs.js';
import type { LayerMeasurement, MeasuredSite, Measurement } from './record.js';
import { Histogram, type MagnitudeResult, Magnitudes, Running } from './streaming.js';

/** What an active neuron is. */
export type Criterion =
  | { readonly kind: 'nonzero' }
  /** |h_i| >= value. */
  | { readonly kind: 'absolute'; readonly value: number }
  /** |h_i| * ||w_i|| >= the layer's threshold for this CETT. */
  | { readonly kind: 'cett'; readonly value: number };

export interface MeasureOptions {
  /** Names the text in reports: sparsity depends on it. */
  readonly text: string;
  /** Tokens of a sequence; each begins at position 0. Default 256, or what the context holds. */
  readonly window?: number;
  readonly criterion: Criterion;
  /** Per layer, for the criterion `cett` and for the record: from `searchThresholds`. */
  readonly thresholds?: readonly LayerThreshold[];
  /** Per layer, ||w_i|| of each neuron (`neuronNorms`): for what neurons add. Default: those of `thresholds`. */
  readonly norms?: readonly Float32Array[];
  /** Tokens to decode after the first windows. Default 64; 0 leaves it out. */
  readonly decodeTokens?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly tokens: number }) => void;
}

export interface LayerThreshold extends CettPoint {
  /** ||w_i|| of each neuron. */
  readonly norms: CettCurve['norms'];
  /** For plots, thinned out. */
  readonly curve: readonly CettPoint[];
}

/** Sites whose inputs come as they are; what is active at `down` is a matter of the criterion. */
const inputSites = ['qkv', 'o', 'upGate'] as const;
/** Tokens whose densities are kept one by one. */
const seriesTokens = 192;
const histogramBins = 120;

/** What a model does by default: ReLU-like ones have zeros, for the others a threshold must be stated. */
export function defaultCriterion(model: Pick<Model, 'spec'>): Criterion {
  return sparseSites(model.spec).has('down') ? { kind: 'nonzero' } : { kind: 'cett', value: 0.2 };
}

/** The criterion in one layer. */
export function activityOf(criterion: Criterion, threshold: LayerThreshold | undefined): Activity {
  if (criterion.kind === 'cett' && threshold) return threshold;
  return { threshold: criterion.kind === 'absolute' ? criterion.value : 0 };
}

class LayerMeter {
  readonly density: Record<MeasuredSite, Running> = {
    qkv: new Running(),
    o: new Running(),
    upGate: new Running(),
    down: new Running(),
  };
  readonly masks: ReadonlyMap<string, Running>;
  readonly use: LayerUse;
  readonly series: Record<MeasuredSite, number[]> = { qkv: [], o: [], upGate: [], down: [] };
  histogram: Histogram | undefined;
  readonly #norms: Float32Array | undefined;
  readonly #magnitudes = new Magnitudes();
  readonly #sizes: Float32Array;

  constructor(neurons: number, window: number, norms: Float32Array | undefined, masks: readonly string[]) {
    this.masks = new Map(masks.map((name) => [name, new Running()]));
    this.use = new LayerUse(neurons, window);
    this.#norms = norms;
    this.#sizes = new Float32Array(neurons);
  }

  /** What a token's neurons add. */
  addOutputs(h: Float32Array): void {
    if (this.#norms === undefined) return;
    for (let i = 0; i < h.length; i++) this.#sizes[i] = Math.abs(h[i]!) * this.#norms[i]!;
    this.#magnitudes.add(this.#sizes);
  }

  get magnitude(): MagnitudeResult | undefined {
    return this.#norms && this.#magnitudes.result();
  }

  addDensity(site: MeasuredSite, density: number): void {
    this.density[site].add(density);
    if (this.series[site].length < seriesTokens) this.series[site].push(density);
  }
}

/**
 * `documents`: token ids, streamed. A document longer than the window is cut into several sequences.
 * @throws RelufyError `input` for no tokens at all, or activations that are not finite.
 */
export async function measure(
  model: Model,
  documents: AsyncIterable<readonly number[]> | Iterable<readonly number[]>,
  options: MeasureOptions,
): Promise<Measurement> {
  const { spec } = model;
  const window = Math.min(options.window ?? 256, model.contextLength);
  const { criterion, thresholds } = options;
  if (criterion.kind === 'cett' && thresholds?.length !== spec.numHiddenLayers)
    throw new RelufyError(
      'option',
      `measure "thresholds": expected one a layer (${spec.numHiddenLayers}) for the criterion cett, got ${show(thresholds?.length)}. Take them from searchThresholds.`,
    );
  const norms = options.norms ?? thresholds?.map((threshold) => threshold.norms);
  const meters = Array.from(
    { length: spec.numHiddenLayers },
    (_, layer) => new LayerMeter(spec.intermediateSize, window, norms?.[layer], maskTaps(model, layer)),
  );
  const firsts: (readonly number[])[] = [];
  let tokens = 0;
  const loss = new TokenLoss();
  for await (const document of documents) {
    for (let at = 0; at < document.length; at += window) {
      options.signal?.throwIfAborted();
      const ids = document.slice(at, at + window);
      if (ids.length < 2) continue;
      loss.add(await measureWindow(model, ids, meters, options));
      tokens += ids.length;
      if (firsts.length < 4) firsts.push(ids);
      options.onProgress?.({ tokens });
    }
  }
  if (tokens === 0)
    throw new RelufyError('input', 'measure: expected a text of at least two tokens, got none. Check the file.');
  const layers = meters.map((meter, layer) => layerResult(meter, layer, thresholds?.[layer]));
  const mean = (site: MeasuredSite) => layers.reduce((sum, { density }) => sum + density[site].mean, 0) / layers.length;
  const skipped = { ...skippableDensity(model, mean), ...maskDensity(model, layers) };
  return {
    format: 1,
    model: model.name,
    text: options.text,
    tokens,
    window,
    criterion: { kind: criterion.kind, value: criterion.kind === 'nonzero' ? 0 : criterion.value },
    backend: model.backend,
    weights: weightFormats(model),
    sparsity: model.sparsity,
    activation: spec.ffn.activation.kind,
    layers,
    series: meters.map(({ series }) => series.down),
    inputSeries: inputSeries(meters),
    macs: { dense: countMacs(withoutMasks(spec), {}), measured: countMacs(spec, skipped) },
    perplexity: loss.perplexity,
    unreadWeights: unreadWeights(model, layers),
    decode: await decode(model, firsts, options),
  };
}

/** The formats that a model's matrices have in memory: `bf16`, or `int4 and int8`. */
export function weightFormats({ program }: Pick<Model, 'program'>): string {
  const matrices = [...program.buffers.values()].filter(({ kind, shape }) => kind === 'weight' && shape.length > 1);
  return [...new Set(matrices.map(({ dtype }) => dtype))].sort().join(' and ');
}

function inputSeries(meters: readonly LayerMeter[]): NonNullable<Measurement['inputSeries']> {
  const withZeros = inputSites.filter((site) => meters.some(({ series }) => series[site].some((share) => share < 1)));
  return Object.fromEntries(withZeros.map((site) => [site, meters.map(({ series }) => series[site])]));
}

/** Inputs of layers that have zeros by design; a stray zero elsewhere skips nothing. */
function skippableDensity(model: Model, mean: (site: MeasuredSite) => number): Densities {
  const skippable = inputSites.filter((site) => sparseSites(model.spec).has(site));
  return { down: mean('down'), ...Object.fromEntries(skippable.map((site) => [site, mean(site)])) };
}

/** The taps of a layer's masks, and of what is sparse without one. */
function maskTaps({ spec }: Model, layer: number): string[] {
  const names = (spec.masks ?? []).map(({ at }) => placesName(at));
  if (sparsePlaces(spec).has('neurons') && !names.includes('neurons')) names.push('neurons');
  return predictsAt(spec, layer) ? [...names, 'foreseen'] : names;
}

/** Of each linear layer that has a mask of its own, and of neurons. A layer without a predictor computes all of them. */
function maskDensity({ spec }: Model, layers: readonly LayerMeasurement[]): Densities {
  const mean = (name: string) => layers.reduce((sum, { masks }) => sum + (masks?.[name]?.mean ?? 1), 0) / layers.length;
  const masked = projections(spec).flatMap(({ role, mask }) =>
    mask ? [[role, mean(placesName(mask.at))] as const] : [],
  );
  return {
    ...Object.fromEntries(masked),
    ...(sparsePlaces(spec).has('neurons') && { neurons: mean('neurons') }),
    ...(spec.predictor && { foreseen: mean('foreseen') }),
  };
}

/** Gives the log-probabilities of the window. */
async function measureWindow(
  model: Model,
  ids: readonly number[],
  meters: readonly LayerMeter[],
  { criterion, thresholds }: MeasureOptions,
): Promise<Float32Array> {
  const kinds = [...sitesOf(model.spec), 'preActivation'];
  const capture = meters.flatMap(({ masks }, layer) =>
    [...new Set([...kinds, ...masks.keys()])].map((kind) => `${kind}.${layer}`),
  );
  const { captured, logprobs } = await model.score(ids, { capture });
  for (const [layer, meter] of meters.entries()) {
    const at = (kind: string) => captured[`${kind}.${layer}`] as Float32Array;
    for (const site of inputSites) {
      const inputs = (site === 'qkv' ? mixerInputs(model) : [site]).map(at);
      for (let row = 0; row < ids.length; row++) {
        const shares = inputs.map((values) => nonzeroShare(rowOf(values, row, ids.length)));
        meter.addDensity(site, shares.reduce((sum, share) => sum + share, 0) / shares.length);
      }
    }
    for (const [mask, running] of meter.masks)
      for (const row of rowsOf(captured[`${mask}.${layer}`] as Float32Array, ids.length))
        running.add(nonzeroShare(row));
    const before = at('preActivation');
    meter.histogram ??= rangeOf(before);
    meter.histogram.add(before);
    meter.use.startSequence();
    const activity = activityOf(criterion, thresholds?.[layer]);
    for (const row of rowsOf(at('down'), ids.length)) {
      if (!Number.isFinite(row[0]) || !Number.isFinite(row.at(-1)))
        throw new RelufyError(
          'state',
          `measure layer ${layer}: expected finite activations, got ${show(String(row[0]))}. The model's weights, or the format that they are held in (dtype), give none.`,
        );
      meter.addDensity('down', meter.use.add(row, activity) / row.length);
      meter.addOutputs(row);
    }
  }
  return logprobs;
}

function* rowsOf(values: Float32Array, rows: number): Iterable<Float32Array> {
  for (let row = 0; row < rows; row++) yield rowOf(values, row, rows);
}

function rowOf(values: Float32Array, row: number, rows: number): Float32Array {
  const width = values.length / rows;
  return values.subarray(row * width, (row + 1) * width);
}

/** What `qkv` is in a measurement: the inputs of keys, receptances and values of a recurrent mixer count alike. */
const mixerInputs = ({ spec }: Model): readonly string[] =>
  spec.mixer.kind === 'attention' ? ['qkv'] : ['k', 'receptance', 'v'];

function nonzeroShare(row: Float32Array): number {
  let count = 0;
  for (let i = 0; i < row.length; i++) if (row[i] !== 0) count++;
  return count / row.length;
}

/** Of the first window, with room to either side: symmetric, so that zero is the edge of a bin. */
function rangeOf(values: Float32Array): Histogram {
  const running = new Running();
  for (let i = 0; i < values.length; i += 7) running.add(values[i]!);
  const { mean, deviation } = running.result();
  const reach = Math.abs(mean) + 6 * deviation || 1;
  return new Histogram(-reach, reach, histogramBins);
}

function layerResult(meter: LayerMeter, layer: number, threshold: LayerThreshold | undefined): LayerMeasurement {
  const { density, magnitude } = meter;
  return {
    layer,
    density: {
      qkv: density.qkv.result(),
      o: density.o.result(),
      upGate: density.upGate.result(),
      down: density.down.result(),
    },
    ...(meter.masks.size > 0 && {
      masks: Object.fromEntries([...meter.masks].map(([name, running]) => [name, running.result()])),
    }),
    preActivation: (meter.histogram ?? new Histogram(-1, 1, histogramBins)).result(),
    use: meter.use.result(),
    ...(magnitude && { magnitude }),
    ...(threshold && {
      cett: {
        threshold: threshold.threshold,
        cett: threshold.cett,
        sparsity: threshold.sparsity,
        curve: threshold.curve.map((point): [number, number, number] => [point.threshold, point.cett, point.sparsity]),
      },
    }),
  };
}

/** ReLU Strikes Back 5.2: a neuron that gamma tokens leave alone saves its rows of up and down; the rest is always read. */
function unreadWeights({ spec }: Model, layers: readonly LayerMeasurement[]): number[] {
  const whole = countMacs(withoutMasks(spec), {}).withHead;
  const windows = layers[0]?.use.windowUnion.length ?? 0;
  return Array.from({ length: windows }, (_, at) => {
    const idle = layers.reduce((sum, { use }) => sum + (1 - (use.windowUnion[at] ?? 1)), 0);
    return (idle * spec.intermediateSize * 2 * spec.hiddenSize) / whole;
  });
}

async function decode(
  model: Model,
  contexts: readonly (readonly number[])[],
  { decodeTokens = 64, signal }: MeasureOptions,
): Promise<Measurement['decode']> {
  model.resetStats();
  const each = Math.ceil(decodeTokens / Math.max(1, contexts.length));
  for (const ids of decodeTokens > 0 ? contexts : []) {
    const prompt = ids.slice(0, Math.max(1, Math.min(64, model.contextLength - each)));
    await model.generate(prompt, { maxNewTokens: each, temperature: 0, stopTokenIds: [], ...(signal && { signal }) })
      .result;
  }
  const stats = model.stats();
  return {
    tokens: stats.decode.tokens,
    tokensPerSecond: stats.tokensPerSecond,
    weightBytesPerToken: stats.weightBytesPerToken,
    denseWeightBytesPerToken: stats.denseWeightBytesPerToken,
    density: Object.fromEntries(Object.entries(stats.density).map(([site, values]) => [site, [...values]])),
  };
}
