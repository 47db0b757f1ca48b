// A plan's predictors on a text: how good each layer's is, and what the plan costs and skips. For plans from anywhere, fitted
// here or not. Does not own statistics (predictor-statistics.ts) nor how they look (predictor-report.ts).
import { type ModelFiles, type ModelSource, openModelFiles, openPlan, type SparsityPlan } from '@relufy/models';
import {
  aFunction,
  aNumber,
  anObject,
  aSignal,
  aWhole,
  checkOptions,
  type OptionRules,
  RelufyError,
  widen,
} from '@relufy/tensor';
import { activityOf } from './activity.js';
import { baseModelOf } from './base-model.js';
import type { PlanTensor, Trial } from './calibration.js';
import type { FitOptions } from './fit-options.js';
import {
  type LayerPrediction,
  type PredictorTotals,
  predictorStatistics,
  predictorTotals,
} from './predictor-statistics.js';
import type { PredictorDraft } from './proposals.js';
import { Subject } from './subject.js';
import { type CalibrationTexts, cutWindows, firstIds } from './windows.js';

export interface PredictorEvaluation {
  readonly plan: SparsityPlan;
  /** Tokens that were looked at. */
  readonly tokens: number;
  readonly layers: readonly LayerPrediction[];
  readonly totals: PredictorTotals;
  /** Under the plan. */
  readonly trial: Trial;
  readonly densePerplexity: number;
}

export interface EvaluationOptions extends Pick<FitOptions, 'window' | 'cett' | 'load' | 'signal' | 'onProgress'> {
  /** The first so many of the text. Default 4,096. */
  readonly tokens?: number;
}

const rules: OptionRules<EvaluationOptions> = {
  tokens: aWhole(2),
  window: aWhole(2),
  cett: aNumber(0, 1),
  load: anObject,
  signal: aSignal,
  onProgress: aFunction,
};

/**
 * @throws RelufyError `option` for a plan without a predictor or of another model, `input` for a text that is too short.
 * Nothing is left allocated.
 */
export async function evaluatePredictors(
  source: ModelSource,
  planFiles: ModelFiles,
  texts: CalibrationTexts,
  options: EvaluationOptions = {},
): Promise<PredictorEvaluation> {
  checkOptions('evaluatePredictors', options, rules);
  const { tokens = 4096, window = 512, cett = 0.2, load = {}, signal, onProgress } = options;
  const draft = await readPredictorPlan(planFiles, signal);
  const files = await openModelFiles(source, { ...(signal && { signal }) });
  const { positions } = await baseModelOf(files, load.relufy, signal);
  const own = Math.min(window, positions);
  const subject = await Subject.open(files, own, { load, ...(signal && { signal }) });
  try {
    const windows = cutWindows(await firstIds(subject.model, texts, tokens, signal), own);
    const seen = windows.reduce((sum, ids) => sum + ids.length, 0);
    if (seen < 2)
      throw new RelufyError('input', `evaluatePredictors: expected a text of at least 2 tokens, got ${seen}.`);
    const hear = (what: string) => (share: number) => onProgress?.(what, share);
    const { perplexity: densePerplexity } = await subject.trial(windows, hear('scoring the model as it is'));
    const activity = await activityOf(subject, windows, cett, hear('adding up neurons'));
    await subject.use(draft);
    const trial = await subject.trial(windows, hear('scoring the plan'));
    const layers = await predictorStatistics(subject, draft, windows, activity, hear('looking at the predictors'));
    return { plan: draft.plan, tokens: seen, layers, totals: predictorTotals(layers), trial, densePerplexity };
  } finally {
    await subject.dispose();
  }
}

/** A plan with a predictor, and its numbers in f32. */
async function readPredictorPlan(files: ModelFiles, signal: AbortSignal | undefined): Promise<PredictorDraft> {
  const { name, plan, weights } = await openPlan(files, signal);
  try {
    const { predictor } = plan;
    if (predictor === undefined)
      throw new RelufyError(
        'option',
        `plan ${name}: expected one with a predictor, got one of the method ${plan.method} without. Fit one: relufy predictor fit.`,
      );
    const tensors = new Map<string, PlanTensor>();
    for (const [tensor, { shape, dtype }] of weights?.tensors ?? []) {
      const rows = shape.length === 1 ? 1 : (shape[0] as number);
      const { dtype: read, data } = await weights!.readRows(tensor, 0, rows, signal);
      const values = Float32Array.from(widen(read, data));
      tensors.set(tensor, { shape, values, ...(dtype === 'BF16' && { stored: dtype }) });
    }
    return { plan: { ...plan, predictor }, tensors };
  } finally {
    await weights?.close();
  }
}
