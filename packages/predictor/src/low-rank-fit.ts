// Low-rank predictors of all layers: ranks by a pilot within the budget, then the fit, chunk by chunk of what the model was
// seen to do. Does not own the fit of one layer (layer-fit.ts), how ranks are shared out (rank-allocation.ts) or thresholds
// (operating-point.ts).
import type { Predictor, PredictorDType } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import { isRelu } from './activity.js';
import type { PlanTensor } from './calibration.js';
import { activeShares, type Samples } from './capture.js';
import { type FitContext, hotNeurons, noneSaves, samplesOf, type Unset, unsetThreshold } from './fit-context.js';
import type { FitOptions } from './fit-options.js';
import { decodeFloats, encodeFloats, remembered } from './journal.js';
import { type Factors, type FitState, LayerFit } from './layer-fit.js';
import type { Margin } from './operating-point.js';
import { ffnBytes, judgedBytes, predictorBytes } from './predictor-bytes.js';
import { allocateRanks, type RankPoint, rankCurve, ranksUpTo } from './rank-allocation.js';
import { everyLayer } from './sites.js';
import { inputSizes, ordered, startFactors, truncated } from './start-factors.js';
import { firstWindows } from './windows.js';

/** Held-out tokens that ranks are chosen by. */
const rankTokens = 1024;
/** A pilot is fitted to the first chunk so many times, and begins so far above the rank that the budget gives evenly. */
const [pilotEpochs, pilotFactor] = [2, 3];
/** The share of the learning rate that is left at the end. */
const lastLearningRate = 0.1;

/** Chunk by chunk: the first gives ranks, where fits begin and which neurons are hot; each is used and dropped. */
export async function lowRank(context: FitContext): Promise<Unset> {
  const { subject, options, windows, hear } = context;
  const { intermediateSize: neurons, hiddenSize } = subject.spec;
  const { hot: hotShare, epochs = 8, seed = 1, relu = false, input, signal, journal } = options;
  const dtype = matrixDType(options);
  const byContribution = options.weigh !== 'count';
  let fits: LayerFit[] = [];
  let [ranks, curves, hot]: [readonly number[], Unset['rankCurves'], readonly ReadonlySet<number>[]] = [
    [],
    undefined,
    [],
  ];
  const total = epochs * windows.reduce((sum, ids) => sum + ids.length, 0) * subject.spec.numHiddenLayers;
  let trained = 0;
  try {
    let chunk = 0;
    for await (const samples of samplesOf(context, windows, 'reading the text')) {
      if (chunk === 0) {
        const start = await startOf(context, samples);
        hot = hotNeurons(samples, neurons, hotShare);
        ranks = start.ranks;
        curves = start.curves;
        fits = await createFits(context, start.factors);
      }
      const layers = ranks.flatMap((rank, layer) => (rank > 0 ? [layer] : []));
      for (const [at, layer] of layers.entries()) {
        const key = `fit ${chunk} ${layer}`;
        const known = journal?.get(key) as FitState | undefined;
        if (known) {
          fits[at]!.restore(known);
          trained += epochs * samples.tokens;
          continue;
        }
        const negativeWeight = negativeWeightOf(samples, layer, neurons);
        for (let epoch = 0; epoch < epochs; epoch++) {
          hear('fitting predictors')(trained / total);
          // each layer goes down the whole schedule
          const done = (chunk + epoch / epochs) * samples.tokens;
          const share = Math.min(1, done / (total / epochs / subject.spec.numHiddenLayers));
          await fits[at]!.pass(samples, layer, {
            ...{ negativeWeight, byContribution, signal, seeds: [seed, layer, chunk, epoch] },
            learningRate: () => learningRateAt(options, share),
          });
          trained += samples.tokens;
        }
        await journal?.put(key, fits[at]!.state());
      }
      chunk++;
    }
    const tensors = new Map<string, PlanTensor>();
    const margins: Margin[] = everyLayer(subject.spec, () => ({ offset: new Float32Array(neurons) }));
    let next = 0;
    for (const [layer, rank] of ranks.entries()) {
      if (rank === 0) continue;
      const { a, b, bias } = fits[next++]!.factors();
      const stored = dtype === 'f32' ? {} : { stored: 'BF16' as const };
      tensors.set(`layers.${layer}.predictor.a`, { shape: [rank, hiddenSize], values: a, ...stored });
      tensors.set(`layers.${layer}.predictor.b`, { shape: [neurons, rank], values: b, ...stored });
      tensors.set(...unsetThreshold(layer, neurons));
      margins[layer] = { offset: bias };
    }
    const predictor: Predictor = {
      rank: ranks,
      ...(relu && { relu }),
      ...(input !== undefined && input !== 'normed' && { input }),
      ...(dtype !== 'f32' && { dtype }),
      perNeuron: true,
    };
    return { predictor, tensors, margins, hot, ...(curves && { rankCurves: curves }) };
  } finally {
    for (const fit of fits) await fit.dispose();
  }
}

/** checkFitOptions has seen to it that the kind has this format. */
const matrixDType = ({ predictorDType = 'bf16' }: FitOptions): PredictorDType => predictorDType as PredictorDType;

const learningRateAt = ({ learningRate = 0.002 }: FitOptions, share: number): number =>
  learningRate * (lastLearningRate + ((1 - lastLearningRate) * (1 + Math.cos(Math.PI * share))) / 2);

/** As Deja Vu's training code: the mean of the labels, and a little. */
function negativeWeightOf(samples: Samples, layer: number, neurons: number): number {
  const shares = activeShares(samples, layer, neurons);
  return Math.min(1, shares.reduce((sum, one) => sum + one, 0) / neurons + 0.005);
}

async function createFits(
  { subject, options }: FitContext,
  factors: readonly (Factors | undefined)[],
): Promise<LayerFit[]> {
  const { hiddenSize, intermediateSize: neurons } = subject.spec;
  const { relu = false, batch = 128 } = options;
  const fits: LayerFit[] = [];
  try {
    for (const start of factors)
      if (start)
        fits.push(
          await LayerFit.create(subject.backend, { hiddenSize, neurons, rank: start.rank, relu, batch }, start),
        );
    return fits;
  } catch (error) {
    for (const fit of fits) await fit.dispose();
    throw error;
  }
}

interface Start {
  readonly ranks: readonly number[];
  readonly factors: readonly (Factors | undefined)[];
  readonly curves?: readonly (readonly RankPoint[])[];
}

/** Ranks, and where each layer's fit begins. */
async function startOf(context: FitContext, samples: Samples): Promise<Start> {
  const { subject, options } = context;
  const { spec } = subject;
  const { rank = 'auto' } = options;
  if (rank !== 'auto') {
    const factors = everyLayer(spec, (layer) => layerStart(context, samples, layer, rank));
    return { ranks: factors.map(() => rank), factors };
  }
  const bytesOf = (one: number) => predictorBytes(subject, matrixDType(options), one);
  const budget = (options.budget ?? 0.06) * ffnBytes(subject).reduce((sum, one) => sum + one, 0);
  const even = Math.floor((budget / spec.numHiddenLayers - bytesOf(0)) / (bytesOf(2) - bytesOf(1)));
  if (even < 1)
    throw new RelufyError(
      'option',
      `fitPredictors option "budget": expected at least ${((spec.numHiddenLayers * bytesOf(1)) / (budget / (options.budget ?? 0.06))).toFixed(3)}, which rank 1 takes in every layer, got ${options.budget ?? 0.06}. Ask for more.`,
    );
  const ranks = ranksUpTo(Math.min(pilotFactor * even, spec.hiddenSize));
  const pilots = await pilotFactors(context, samples, ranks.at(-1) as number);
  const curves = await curvesOf(context, pilots, ranks);
  const chosen = allocateRanks({ curves, bytesOf, judgedBytes: judgedBytes(subject)[0] as number, budget });
  const factors = chosen.map((one, layer) => (one > 0 ? truncated(pilots[layer]!, one) : undefined));
  if (factors.every((one) => one === undefined)) throw noneSaves(options);
  return { ranks: chosen, factors, curves };
}

function layerStart({ subject, options }: FitContext, samples: Samples, layer: number, rank: number): Factors {
  const { spec } = subject;
  const place = spec.ffn.kind === 'gated' ? 'gate' : 'up';
  const bias = subject.bias(layer, place);
  const threshold = isRelu(spec) ? spec.ffn.activation.threshold : 0;
  return startFactors(inputSizes(samples.layers[layer]!, spec.hiddenSize), {
    judged: subject.weight(layer, place),
    offset: (neuron) => (bias?.[neuron] ?? 0) - threshold,
    ...{ rank, relu: options.relu ?? false, seed: options.seed ?? 1 },
  });
}

/** One predictor a layer of the largest rank, its directions in order of what they add. */
async function pilotFactors(context: FitContext, samples: Samples, rank: number): Promise<Factors[]> {
  const pilots: Factors[] = [];
  for (let layer = 0; layer < context.subject.spec.numHiddenLayers; layer++) {
    context.hear('choosing ranks')(layer / context.subject.spec.numHiddenLayers);
    const found = await remembered(context.options.journal, `pilot ${layer}`, async () => {
      const { a, b, bias } = await pilot(context, samples, layer, rank);
      return { rank, a: encodeFloats(a), b: encodeFloats(b), bias: encodeFloats(bias) };
    });
    pilots.push({
      ...{ rank: found.rank, a: decodeFloats(found.a), b: decodeFloats(found.b), bias: decodeFloats(found.bias) },
    });
  }
  return pilots;
}

async function pilot(context: FitContext, samples: Samples, layer: number, rank: number): Promise<Factors> {
  const { subject, options } = context;
  const { hiddenSize, intermediateSize: neurons } = subject.spec;
  const { batch = 128, seed = 1, signal } = options;
  const byContribution = options.weigh !== 'count';
  const start = layerStart(context, samples, layer, rank);
  const fit = await LayerFit.create(subject.backend, { hiddenSize, neurons, rank, relu: false, batch }, start);
  try {
    const negativeWeight = negativeWeightOf(samples, layer, neurons);
    for (let epoch = 0; epoch < pilotEpochs; epoch++)
      await fit.pass(samples, layer, {
        ...{ negativeWeight, byContribution, signal, seeds: [seed, layer, epoch] },
        learningRate: () => learningRateAt(options, epoch / pilotEpochs),
      });
    return ordered(fit.factors(), inputSizes(samples.layers[layer]!, hiddenSize));
  } finally {
    await fit.dispose();
  }
}

async function curvesOf(
  context: FitContext,
  pilots: readonly Factors[],
  ranks: readonly number[],
): Promise<readonly (readonly RankPoint[])[]> {
  const { recall = 0.95 } = context.options;
  for await (const samples of samplesOf(context, firstWindows(context.heldOut, rankTokens), 'choosing ranks'))
    return pilots.map((factors, layer) => rankCurve(factors, ranks, samples, layer, recall));
  throw new Error('internal: no held-out tokens');
}
