export { LayerUse, type LayerUseResult } from './active-sets.js';
export { CettCurve, type CettPoint, neuronNorms } from './cett.js';
export { type Cell, csv } from './csv.js';
export { firstIssue, listOf, mapOf } from './first-wrong.js';
export { type FlashMeasurement, type FlashOptions, measureFlash } from './flash.js';
export { type ActivationPoint, type FittedLaw, fitActivationLaw } from './law-fit.js';
export { type ActivationLaw, activationLaws, activationRatioAfter, proSparseSparsity } from './laws.js';
export { countMacs, type Densities, densitiesOf, type MacCount, weightBytes } from './macs.js';
export {
  type Criterion,
  defaultCriterion,
  type LayerThreshold,
  type MeasureOptions,
  measure,
  weightFormats,
} from './measure.js';
export { measurementCsvs } from './measurement-csv.js';
export { type NeuronHook, NeuronObserver, weightRows } from './observer.js';
export { figure, type LayerMeasurement, type Measurement, measurementSchema } from './record.js';
export { criterionText, measurementFiles, measurementPage, mixedFormats } from './report.js';
export { type ReuseOptions, reusePerplexity } from './reuse.js';
export { measureSpeculation, type SpeculationMeasurement, type SpeculationOptions } from './speculation.js';
export {
  bestGamma,
  overDenseDecoding,
  overDenseSpeculation,
  overSparseDecoding,
  type SpeculativeOptions,
} from './speculative.js';
export {
  Histogram,
  type HistogramResult,
  type MagnitudeResult,
  Magnitudes,
  Running,
  type Spread,
} from './streaming.js';
export { ThresholdSearch } from './threshold-search.js';
