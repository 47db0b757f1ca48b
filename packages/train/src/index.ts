export { type ConfigOverrides, type DataSource, parseRunConfig, type RunConfig, readRunConfig } from './config.js';
export { type AppendedLoss, appendLoss, type LossOptions, type LossValue, type TeacherInputs } from './loss.js';
export {
  type AppendedOptimizer,
  appendOptimizer,
  type OptimizerOptions,
  type ParameterGroup,
  scheduleInput,
  type TrainedParameter,
  trainedParameters,
  type UpdateOptions,
  writeSchedule,
} from './optimizer.js';
export {
  buildTrainedProgram,
  ProgramTrainer,
  type ProgramTrainingOptions,
  type TrainedProgram,
} from './program-trainer.js';
export { permutation, Random } from './random.js';
export { predictSparsity, type RelufyModelOptions, relufyModel, sampleSequences } from './relufy-model.js';
export { runTraining } from './run.js';
export type { Metrics, StartMetrics } from './run-folder.js';
export type { RunEvent, RunOptions } from './run-options.js';
export { sampleText } from './sample-text.js';
export { type L1Stage, type LearningRateSchedule, l1At, learningRateFactor } from './schedules.js';
export { type Part, type PartResult, type TeacherPart, TrainingSession } from './session.js';
export type { OpenModel } from './start-model.js';
export { type TokenizerTraining, trainTokenizer } from './train-tokenizer.js';
export { buildTrainingStep, type TrainingStep, type TrainingStepOptions } from './training-step.js';
