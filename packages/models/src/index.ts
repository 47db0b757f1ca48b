export type { Checkpoint, ModelFiles } from '@relufy/checkpoint';
export { type ErrorCode, nearest, pipeable, printable, RelufyError, type WeightDType } from '@relufy/tensor';
export type { ChatMessage, ChatRole, ContentPart, ToolCall } from '@relufy/tokenizer';
export type { ConstraintOptions } from './constrained/constraint.js';
export type { JsonSchema } from './constrained/json-schema.js';
export { type Tool, type ToolCallFormat, type ToolChoice, toolCallFormats } from './constrained/tool-calls.js';
export { type Conversion, type ConversionOptions, planConversion, searchedDTypes } from './convert.js';
export { buildDecoder, type Decoder } from './decoder.js';
export { type DecoderOptions, type KvCacheDType, planBuffers } from './decoder-buffers.js';
export {
  type DecoderForward,
  type DecoderProgram,
  ffnActivation,
  type ProgramOptions,
  type ReadSite,
  type Site,
  type WeightRead,
} from './decoder-program.js';
export type { Family, WeightMap, WeightPart } from './families/family.js';
export { families, type ParsedConfig, parseConfig } from './families/index.js';
export { fingerprint, formatFreeFingerprint } from './fingerprint.js';
export type { GenerateOptions, GenerateResult, GenerationStream, Piece, Prompt, Usage } from './generate.js';
export { type ImportanceOptions, inputMeanSquares } from './importance.js';
export {
  type LoadFilesOptions,
  type LoadOptions,
  loadModelFiles,
  type ProgressEvent,
  readTokenizer,
  type SourceOptions,
} from './load-model.js';
export { type FamilySources, isFamilySources, type WeightSources } from './load-weights.js';
export {
  hasNormRelu,
  type InputPlace,
  inputPlaces,
  type LowRank,
  type Mask,
  type MaskPlace,
  type MaskRule,
  maskAt,
  maskPlaces,
  type PartialDType,
  type Predictor,
  type PredictorDType,
  partialDTypes,
  placesName,
  placeWidth,
  predictorDTypes,
  predictorSizes,
  predictsAt,
  sparsePlaces,
  withNormRelu,
  withoutMasks,
} from './masks.js';
export type { Model } from './model.js';
export { companionFiles, type ModelFolder, modelTexts, readTexts, tokenizerFiles } from './model-folder.js';
export { notFiniteError } from './not-finite.js';
export { type PerplexityOptions, perplexity, TokenLoss } from './perplexity.js';
export { applyPlan, parsePlan, planConfigFile, planJson, type SparsityPlan } from './plan.js';
export { type ModelPlan, type PlanOptions, planModel } from './plan-model.js';
export { planValues } from './plan-values.js';
export { type OpenedPlan, openPlan } from './plan-weights.js';
export { alibiTable, ropeTable } from './positions.js';
export {
  isSparse,
  type Projection,
  parameterCount,
  projections,
  type QkvRole,
  type Role,
  sitesOf,
  sparseSites,
} from './projections.js';
export { relufiedConfig } from './relufied-config.js';
export { type RelufyOptions, relufy } from './relufy.js';
export type { ReuseOptions, SequenceReuse } from './reuse.js';
export type { TokenLogprob } from './sampling.js';
export * as sampling from './sampling.js';
export { type FamilyTensor, type GatherOptions, gatherTensors, refuseRepeated } from './save-weights.js';
export { signThreshold } from './sign-predictor.js';
export {
  loadModel,
  looksLikePath,
  type ModelSource,
  type ModelUrls,
  openModelFiles,
  withOpenPlan,
} from './source.js';
export type {
  Activation,
  AttentionMixer,
  ModelSpec,
  NormSpec,
  PositionSpec,
  RopeScaling,
  Rwkv4Mixer,
} from './spec.js';
export { attentionOf, headRows, mixedWidth } from './spec.js';
export type { DraftSource, Speculate, SpeculateOptions } from './speculation/options.js';
export type { ModelStats, NeuronStats, Rate, SpeculationStats } from './statistics.js';
export type { StepActivity } from './step-activity.js';
export type {
  ContinuationScore,
  ForwardOptions,
  ForwardResult,
  ScoreOptions,
  ScoreRequest,
  ScoreResult,
} from './step-results.js';
