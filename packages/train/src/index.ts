export { type LearningRateSchedule, learningRateFactor, type PenaltyStage, penaltyAt } from './schedules.js';
export { type Part, type PartResult, type TeacherPart, TrainingSession, type UpdateOptions } from './session.js';
export { type TokenizerTraining, trainTokenizer } from './train-tokenizer.js';
export {
  buildTrainingStep,
  type ParameterGroup,
  type TrainedParameter,
  type TrainingStep,
  type TrainingStepOptions,
} from './training-step.js';
