export type { Checkpoint, ModelFiles } from '@relufy/checkpoint';
export { type ErrorCode, nearest, pipeable, printable, RelufyError, type WeightDType } from '@relufy/tensor';
export type { ChatMessage, ChatRole, ContentPart, ToolCall } from '@relufy/tokenizer';
export type { ConstraintOptions } from './constrained/constraint.js';
export type { JsonSchema } from './constrained/json-schema.js';
export { type Tool, type ToolCallFormat, type ToolChoice, toolCallFormats } from './constrained/tool-calls.js';
export { type Conversion, type ConversionOptions, planConversion, searchedDTypes } from './conversion/convert.js';
export { type ImportanceOptions, inputMeanSquares } from './conversion/importance.js';
export { type FamilyTensor, type GatherOptions, gatherTensors, refuseRepeated } from './conversion/save-weights.js';
export { buildDecoder, type Decoder } from './decoder/decoder.js';
export { type DecoderOptions, type KvCacheDType, planBuffers } from './decoder/decoder-buffers.js';
export {
  type DecoderForward,
  type DecoderProgram,
  ffnActivation,
  type ProgramOptions,
  type ReadSite,
  type Site,
  type WeightRead,
} from './decoder/decoder-program.js';
export { alibiTable, ropeTable } from './decoder/positions.js';
export {
  isSparse,
  type Projection,
  parameterCount,
  projections,
  type QkvRole,
  type Role,
  sitesOf,
  sparseSites,
} from './decoder/projections.js';
export type { Family, WeightMap, WeightPart } from './families/family.js';
export { families, type ParsedConfig, parseConfig } from './families/index.js';
export type { GenerateOptions, GenerateResult, GenerationStream, Piece, Prompt, Usage } from './generation/generate.js';
export type { TokenLogprob } from './generation/sampling.js';
export * as sampling from './generation/sampling.js';
export { fingerprint, formatFreeFingerprint } from './loading/fingerprint.js';
export {
  type LoadFilesOptions,
  type LoadOptions,
  loadModelFiles,
  type ProgressEvent,
  readTokenizer,
  type SourceOptions,
} from './loading/load-model.js';
export { type FamilySources, isFamilySources, type WeightSources } from './loading/load-weights.js';
export { companionFiles, type ModelFolder, modelTexts, readTexts, tokenizerFiles } from './loading/model-folder.js';
export { type ModelPlan, type PlanOptions, planModel } from './loading/plan-model.js';
export {
  loadModel,
  looksLikePath,
  type ModelSource,
  type ModelUrls,
  openModelFiles,
  withOpenPlan,
} from './loading/source.js';
export type { Model } from './model.js';
export { notFiniteError } from './running/not-finite.js';
export { type PerplexityOptions, perplexity, TokenLoss } from './running/perplexity.js';
export type { ModelStats, NeuronStats, Rate, SpeculationStats } from './running/statistics.js';
export type { StepActivity } from './running/step-activity.js';
export type {
  ContinuationScore,
  ForwardOptions,
  ForwardResult,
  ScoreOptions,
  ScoreRequest,
  ScoreResult,
} from './running/step-results.js';
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
} from './sparsity/masks.js';
export { fillPartial } from './sparsity/partial-predictor.js';
export { applyPlan, parsePlan, planConfigFile, planJson, type SparsityPlan } from './sparsity/plan.js';
export { planValues } from './sparsity/plan-values.js';
export { type OpenedPlan, openPlan } from './sparsity/plan-weights.js';
export { relufiedConfig } from './sparsity/relufied-config.js';
export { type RelufyOptions, relufy } from './sparsity/relufy.js';
export type { ReuseOptions, SequenceReuse } from './sparsity/reuse.js';
export { fillSigns, signThreshold } from './sparsity/sign-predictor.js';
export { fillTwoBits } from './sparsity/two-bit-predictor.js';
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
