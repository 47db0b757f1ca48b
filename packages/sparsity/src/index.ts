export { LayerUse, type LayerUseResult } from './active-sets.js';
export { CettCurve, type CettPoint } from './cett.js';
export { countMacs, type MacCount, type MacShape, macShape } from './macs.js';
export { type Criterion, defaultCriterion, type LayerThreshold, type MeasureOptions, measure } from './measure.js';
export { type NeuronHook, NeuronObserver } from './observer.js';
export { type LayerMeasurement, type Measurement, measurementSchema } from './record.js';
export { overDenseDecoding, overDenseSpeculation, type SpeculativeOptions } from './speculative.js';
export { Histogram, type HistogramResult, Running, type Spread } from './streaming.js';
export { ThresholdSearch } from './threshold-search.js';
