export { Calibrator, calibrate } from './calibrate.js';
export {
  type Calibration,
  type PlanDraft,
  type PlanTensor,
  planContents,
  planFolder,
  type Trial,
} from './calibration.js';
export type { Journal } from './journal.js';
export {
  type Allocation,
  allocations,
  type CalibrationMethod,
  type CalibrationOptions,
  type CalibrationTarget,
  calibrationMethods,
  checkCalibrationOptions,
} from './options.js';
export { keepPromptNeurons, promptNeuronsPlan } from './prompt-neurons.js';
export { type CalibrationCurve, calibrationPage, layersChart, perplexityChart } from './report.js';
export type { CalibrationTexts } from './windows.js';
