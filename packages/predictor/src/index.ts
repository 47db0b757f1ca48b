export { Calibrator, calibrate } from './calibrate.js';
export {
  type Calibration,
  type PlanDraft,
  type PlanTensor,
  planContents,
  planFolder,
  type Trial,
} from './calibration.js';
export { type PredictorInput, predictorInputs } from './capture.js';
export { type EvaluationOptions, evaluatePredictors, type PredictorEvaluation } from './evaluate-predictors.js';
export { type FittedPredictors, fitPredictors } from './fit.js';
export { checkFitOptions, type FitOptions, type PredictorKind, predictorKinds } from './fit-options.js';
export type { Journal } from './journal.js';
export type { LayerTime } from './layer-time.js';
export {
  type Allocation,
  allocations,
  type CalibrationMethod,
  type CalibrationOptions,
  type CalibrationTarget,
  calibrationMethods,
  checkCalibrationOptions,
} from './options.js';
export { type PowerInferOptions, powerInferPlan } from './powerinfer.js';
export { type PredictorReport, predictorCharts, predictorPage, predictorText } from './predictor-report.js';
export {
  type CurvePoint,
  type LayerPrediction,
  type PredictorTotals,
  predictorStatistics,
  predictorTotals,
} from './predictor-statistics.js';
export { keepPromptNeurons, promptNeuronsPlan } from './prompt-neurons.js';
export type { RankPoint } from './rank-allocation.js';
export { type CalibrationCurve, calibrationPage, layersChart, perplexityChart } from './report.js';
export type { CalibrationTexts } from './windows.js';
