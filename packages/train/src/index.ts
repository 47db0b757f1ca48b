export { type ConfigOverrides, type DataSource, parseRunConfig, type RunConfig, readRunConfig } from './config.js';
export { type RunEvent, type RunOptions, runTraining } from './run.js';
export type { Metrics, StartMetrics } from './run-folder.js';
export { sampleText } from './sample-text.js';
export { type LearningRateSchedule, learningRateFactor, type PenaltyStage, penaltyAt } from './schedules.js';
export { type Part, type PartResult, type TeacherPart, TrainingSession, type UpdateOptions } from './session.js';
export { type OpenModel, operate, type SurgeryOptions } from './start-model.js';
export { perplexity, predictSparsity, type RelufyModelOptions, relufyModel, sampleSequences } from './surgery.js';
export { type TokenizerTraining, trainTokenizer } from './train-tokenizer.js';
export {
  buildTrainingStep,
  type ParameterGroup,
  type TrainedParameter,
  type TrainingStep,
  type TrainingStepOptions,
} from './training-step.js';
