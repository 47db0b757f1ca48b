// Predictors from end to end: opens the model, captures what its FFNs are fed while it reads a text, fits or sets a predictor
// a layer, puts thresholds where held-out tokens have the recall that is asked for, and tries the plan on further text.
// Does not own capturing (capture.ts), the fit of a layer (layer-fit.ts), ranks (rank-allocation.ts), thresholds
// (operating-point.ts) or statistics (predictor-statistics.ts).
import {
  type ModelSource,
  openModelFiles,
  type PartialDType,
  type Predictor,
  predictorSizes,
  predictsAt,
  type SparsityPlan,
} from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import { activityOf, isRelu } from './activity.js';
import { baseModelOf } from './base-model.js';
import type { Calibration } from './calibration.js';
import { type FitContext, hotNeurons, noneSaves, samplesOf, type Unset, unsetThreshold } from './fit-context.js';
import { checkFitOptions, type FitOptions, type PredictorKind } from './fit-options.js';
import { remembered } from './journal.js';
import type { LayerTime } from './layer-time.js';
import { lowRank } from './low-rank-fit.js';
import { alphaOf, type Margin, neuronThresholds, operatingPoints, scoreMargins } from './operating-point.js';
import { judgedBytes } from './predictor-bytes.js';
import { type LayerPrediction, predictorStatistics, predictorTotals } from './predictor-statistics.js';
import { type PredictorDraft, thresholdName } from './proposals.js';
import type { RankPoint } from './rank-allocation.js';
import { everyLayer } from './sites.js';
import { Subject } from './subject.js';
import { type CalibrationTexts, cutWindows, firstIds, firstWindows } from './windows.js';

/** A plan of predictors, what it costs, and how good each layer's is on the trial text. */
export interface FittedPredictors extends Calibration {
  readonly layers: readonly LayerPrediction[];
  /** With rank auto, by layer: what each rank would have proposed. */
  readonly rankCurves?: readonly (readonly RankPoint[])[];
}

/** Tokens that scores are weighed by. */
const scoreTokens = 8192;
/**
 * Predictors of the active neurons of every FFN, as a sparsity plan. The same inputs and seed give the same plan.
 * @throws RelufyError `input` for a text that is too short, `option` for options that contradict each other or a budget
 * that holds no predictor, and where no layer's predictor saves more than it reads. Nothing is left allocated.
 * @example
 * const { plan, tensors, layers } = await fitPredictors('./model', [text], { recall: 0.95, budget: 0.06 });
 */
export async function fitPredictors(
  source: ModelSource,
  texts: CalibrationTexts,
  options: FitOptions = {},
): Promise<FittedPredictors> {
  checkFitOptions(options);
  const { window = 512, tokens = 65_536, heldOutTokens = 4096, trialTokens = 4096, load = {}, signal } = options;
  const files = await openModelFiles(source, { ...(signal && { signal }) });
  const base = await baseModelOf(files, load.relufy, signal);
  const own = Math.min(window, base.positions);
  const subject = await Subject.open(files, own, { load, ...(signal && { signal }) });
  try {
    const wanted = tokens + heldOutTokens + trialTokens;
    const ids = await firstIds(subject.model, texts, wanted, signal);
    if (ids.length < wanted)
      throw new RelufyError(
        'input',
        `fitPredictors: expected a text of ${tokens} tokens to fit to, ${heldOutTokens} for thresholds and ${trialTokens} for the trial, got ${ids.length}. Give a longer text, or ask for fewer tokens.`,
      );
    const cut = (from: number, count: number) => cutWindows(ids.slice(from, from + count), own);
    const windows = cut(0, tokens);
    const heldOut = cut(tokens, heldOutTokens);
    const trialWindows = cut(tokens + heldOutTokens, trialTokens);
    const hear = (what: string) => (share: number) => options.onProgress?.(what, share);
    const { journal } = options;
    const dense = await remembered(journal, 'dense', () =>
      subject.trial(trialWindows, hear('scoring the model as it is')),
    );
    const activity = await activityOf(subject, windows, options.cett ?? 0.2, hear('adding up neurons'));
    const context: FitContext = { subject, options, activity, windows, heldOut, hear };
    const unset = await (options.kind === undefined ? lowRank : fits[options.kind])(context);
    const { draft, times } = await withoutIdle(context, await withThresholds(context, unset));
    await subject.use(draft);
    const trial = await subject.trial(trialWindows, hear('trying the plan'));
    const judged = await predictorStatistics(subject, draft, trialWindows, activity, hear('looking at the predictors'));
    const layers = times ? judged.map((one) => ({ ...one, ms: times[one.layer] as LayerTime })) : judged;
    const { text, seed = 1 } = options;
    const plan: SparsityPlan = {
      ...draft.plan,
      baseModel: base.model,
      calibration: {
        ...(text !== undefined && { text }),
        ...{ tokens, seed, dtype: load.dtype ?? 'auto', options: planOptions(subject, options, own) },
      },
      expected: {
        density: trial.density,
        modelSparsity: trial.sparsity,
        perplexity: trial.perplexity,
        densePerplexity: dense.perplexity,
        recall: predictorTotals(layers).recall,
        ...(text !== undefined && { text }),
      },
    };
    return {
      ...{ plan, tensors: draft.tensors, trial, densePerplexity: dense.perplexity, layers },
      ...(unset.rankCurves && { rankCurves: unset.rankCurves }),
    };
  } finally {
    await subject.dispose();
  }
}

function planOptions({ spec }: Subject, options: FitOptions, window: number): Record<string, unknown> {
  const { kind = 'low-rank', rank = 'auto', budget = 0.06, recall = 0.95, hot, epochs = 8, cett = 0.2 } = options;
  return {
    ...{ kind, recall, window },
    ...(kind === 'low-rank' && { rank, epochs, ...(rank === 'auto' && { budget }) }),
    ...(hot !== undefined && { hot }),
    ...(options.pays === 'time' && { pays: 'time' }),
    ...(!isRelu(spec) && { cett }),
  };
}
/** Sign bits: nothing is fitted but how much each count tells. */
async function signBits(context: FitContext): Promise<Unset> {
  const { subject, options } = context;
  const { perNeuron = false } = options;
  const { numHiddenLayers, intermediateSize: neurons } = subject.spec;
  const alpha = Array<number>(numHiddenLayers).fill(100);
  const none = everyLayer(subject.spec, (): ReadonlySet<number> => new Set());
  if (!perNeuron) {
    const plain: Margin = { offset: new Float32Array(neurons) };
    const predictor = { kind: 'signs', alpha } as const;
    return { predictor, tensors: new Map(), margins: everyLayer(subject.spec, () => plain), hot: none };
  }
  return weighed(context, { kind: 'signs', alpha, perNeuron });
}

/** Products with two bits a weight: nothing is fitted but the threshold of each layer, or how much each score tells. */
async function twoBits(context: FitContext): Promise<Unset> {
  const { spec } = context.subject;
  const bits = everyLayer(spec, () => 2);
  if (context.options.perNeuron) return weighed(context, { kind: 'two-bit', bits, perNeuron: true });
  const plain: Margin = { offset: new Float32Array(spec.intermediateSize) };
  const tensors = new Map(everyLayer(spec, (layer) => unsetThreshold(layer, 1)));
  const none = everyLayer(spec, (): ReadonlySet<number> => new Set());
  return { predictor: { kind: 'two-bit', bits }, tensors, margins: everyLayer(spec, () => plain), hot: none };
}

/** The gate's products over the largest inputs: nothing is fitted but how much each score tells. */
function partialScores(context: FitContext): Promise<Unset> {
  const { spec } = context.subject;
  const { inputs = 0.5, predictorDType } = context.options;
  const count = Math.max(1, Math.round(inputs * spec.hiddenSize));
  return weighed(context, {
    kind: 'partial',
    inputs: everyLayer(spec, () => count),
    ...(predictorDType !== undefined && { dtype: predictorDType as PartialDType }),
    perNeuron: true,
  });
}

/** A threshold a neuron, by what its scores tell on the first tokens. */
async function weighed(context: FitContext, predictor: Predictor): Promise<Unset> {
  const { subject, options, activity, windows, hear } = context;
  const { intermediateSize: neurons, numHiddenLayers } = subject.spec;
  const tensors = new Map(Array.from({ length: numHiddenLayers }, (_, layer) => unsetThreshold(layer, neurons)));
  const some = firstWindows(windows, scoreTokens);
  const draft = { plan: { method: methodName(predictor.kind ?? 'low-rank'), predictor }, tensors };
  const margins = await scoreMargins(subject, draft, some, activity, hear('looking at scores'));
  let hot: readonly ReadonlySet<number>[] = everyLayer(subject.spec, () => new Set());
  if (options.hot !== undefined)
    for await (const samples of samplesOf(context, some, 'counting neurons')) {
      hot = hotNeurons(samples, neurons, options.hot);
      break;
    }
  return { predictor, tensors, margins, hot };
}

const fits = {
  'low-rank': lowRank,
  signs: signBits,
  partial: partialScores,
  'two-bit': twoBits,
} as const satisfies Record<PredictorKind, (context: FitContext) => Promise<Unset>>;

const methodName = (kind: PredictorKind): string =>
  ({ 'low-rank': 'predictor', signs: 'sparseinfer', partial: 'partial-scores', 'two-bit': 'two-bit' })[kind];

/** With each layer's threshold where the held-out tokens have the recall. */
async function withThresholds(
  context: FitContext,
  { predictor, tensors, margins, hot }: Unset,
): Promise<PredictorDraft> {
  const { subject, options, activity, heldOut, hear } = context;
  const { recall = 0.95 } = options;
  const plan = { method: methodName(predictor.kind ?? 'low-rank'), predictor };
  const unset: PredictorDraft = { plan, tensors };
  const points = { activity, margins, hot, recall };
  const least = await operatingPoints(subject, unset, heldOut, points, hear('setting thresholds'));
  if (predictor.kind === 'signs' && !predictor.perNeuron) {
    const { hiddenSize } = subject.spec;
    return {
      plan: { ...plan, predictor: { ...predictor, alpha: least.map((one) => alphaOf(one, hiddenSize)) } },
      tensors,
    };
  }
  const set = new Map(tensors);
  for (const [layer, margin] of margins.entries()) {
    const name = thresholdName(layer);
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    const values =
      predictor.kind === 'two-bit' && !predictor.perNeuron
        ? Float32Array.of(least[layer]!)
        : neuronThresholds(margin, hot[layer]!, least[layer]!);
    set.set(name, { ...tensor, values });
  }
  return { plan, tensors: set };
}

/** Other ranks, alphas, inputs or bits, one a layer. */
function withSizes(predictor: Predictor, sizes: readonly number[]): Predictor {
  switch (predictor.kind) {
    case 'signs':
      return { ...predictor, alpha: sizes };
    case 'partial':
      return { ...predictor, inputs: sizes };
    case 'two-bit':
      return { ...predictor, bits: sizes };
    default:
      return { ...predictor, rank: sizes };
  }
}

/** Layers without those predictors that read more than they save, or are not surely faster. */
async function withoutIdle(
  context: FitContext,
  draft: PredictorDraft,
): Promise<{ readonly draft: PredictorDraft; readonly times?: readonly LayerTime[] }> {
  const { subject, options } = context;
  if (options.keepAll) return { draft };
  const times = options.pays === 'time' ? await timesOf(context, draft) : undefined;
  const isIdle = times
    ? times.map(({ saved }, layer) => !predictsAt(subject.spec, layer) || saved <= 0)
    : await readsNoLess(context, draft);
  if (isIdle.every(Boolean)) throw noneSaves(options);
  const kept = (list: readonly number[]) => list.map((one, layer) => (isIdle[layer] ? 0 : one));
  const { predictor } = draft.plan;
  return {
    draft: {
      plan: {
        ...draft.plan,
        predictor: withSizes(predictor, kept(predictorSizes(predictor))),
      },
      tensors: new Map([...draft.tensors].filter(([name]) => !isIdle[Number(name.split('.')[1])])),
    },
    ...(times && { times }),
  };
}

/** Tokens of a text that layers are timed with. */
const timedTokens = 128;

async function timesOf({ subject, options, heldOut, hear }: FitContext, draft: PredictorDraft) {
  hear('timing predictors')(0);
  await subject.use(draft);
  return remembered(options.journal, 'layer times', () =>
    subject.layerTimes((heldOut[0] as number[]).slice(0, timedTokens)),
  );
}

/** By layer: it has no predictor, or one that reads as much as it saves. */
async function readsNoLess(
  { subject, activity, heldOut, hear }: FitContext,
  draft: PredictorDraft,
): Promise<readonly boolean[]> {
  const layers = await predictorStatistics(subject, draft, heldOut, activity, hear('weighing predictors'));
  const judged = judgedBytes(subject);
  return layers.map(
    ({ hasPredictor, proposed, bytes, layer }) => !hasPredictor || proposed * judged[layer]! + bytes >= judged[layer]!,
  );
}
