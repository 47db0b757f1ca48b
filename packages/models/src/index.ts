export type { Checkpoint, ModelFiles } from '@relufy/checkpoint';
export { type ErrorCode, RelufyError } from '@relufy/tensor';
export type { ChatMessage } from '@relufy/tokenizer';
export { type Conversion, type ConversionOptions, planConversion } from './convert.js';
export type { Decoder, DecoderOptions, DecoderProgram, ProgramOptions, Site, WeightRead } from './decoder.js';
export { buildDecoder, sites } from './decoder.js';
export { families, type ParsedConfig, parseConfig } from './families/index.js';
export type { GenerateOptions, GenerateResult, GenerationStream, Piece, Prompt, Usage } from './generate.js';
export {
  type LoadOptions,
  loadModelFiles,
  type ProgressEvent,
  type SourceOptions,
  type WeightDType,
} from './load-model.js';
export type { ForwardOptions, Model } from './model.js';
export { type ModelPlan, type PlanOptions, planModel } from './plan-model.js';
export * as sampling from './sampling.js';
export { loadModel, type ModelSource, openModelFiles } from './source.js';
export type { Activation, ModelSpec, NormSpec, PositionSpec, RelufyOptions, RopeScaling } from './spec.js';
export { isReluLike, parameterCount, relufy } from './spec.js';
export type { ModelStats, Rate } from './statistics.js';
export type { ContinuationScore, ForwardResult, ScoreResult } from './steps.js';
