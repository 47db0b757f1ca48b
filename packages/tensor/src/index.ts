export { type ActivationKind, activationCodes, isMaskCode, type MaskKind } from './activations.js';
export type {
  Backend,
  BufferPlace,
  BufferRange,
  BufferView,
  HostBackend,
  HostProgram,
  HostSession,
  LoadedProgram,
  MaybePromise,
  Session,
  Step,
} from './backend.js';
export { bundlerRemedy, locate } from './beside.js';
export {
  type BlockDType,
  blockDTypes,
  blockElement,
  blockRowBytes,
  blockSize,
  blocksOf,
  dequantizeRow,
  hasMinimum,
  isBlockDType,
  quantizeRow,
  scalesBytes,
  scalesOffset,
} from './block-format.js';
export {
  type BufferDecl,
  type BufferKind,
  byteCount,
  type Dim,
  describeBuffer,
  dimSize,
  elementCount,
  heldBytes,
  rowBytes,
  type StepLimits,
  type WeightDType,
  weightDTypes,
} from './buffer.js';
export { parseBytes } from './byte-size.js';
export {
  aBoolean,
  aFunction,
  aNumber,
  anObject,
  anObjectThat,
  anything,
  aSequence,
  aSignal,
  aText,
  aWhole,
  checkItems,
  checkOptions,
  checkValue,
  either,
  isList,
  listOf,
  type OptionRules,
  objectOf,
  oneOf,
  type Rule,
} from './checks.js';
export { ConfigReader, type ConfigSource } from './config-reader.js';
export {
  bf16ToF32,
  bytesPerElement,
  type DType,
  type FloatDType,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  narrowToBf16,
  widen,
} from './dtype.js';
export { encodeProgram, type RecordField, recordFields, recordWords } from './encode.js';
export { type ErrorCode, RelufyError, show, showNames } from './errors.js';
export { fetchCounter, fetchCounters, SlotCacheState, slotFields } from './fetch-rows.js';
export { areFinite, isFiniteBuffer } from './finite.js';
export { appendGradients, type GradientOptions, type GradientTape } from './gradient.js';
export { elementsOf, HostMemory, pendingOf, readElements } from './host-memory.js';
export { jsonText, parseJson } from './json.js';
export { nearest } from './nearest.js';
export { findNotFinite, type NotFinite } from './not-finite.js';
export type { Access, OpDefinition } from './op-rules.js';
export { type OpKind, opDefinition, opDefinitions, opTable } from './op-table.js';
export { type MemoryPlan, planMemory, toUnits, unitBytes } from './plan.js';
export { pipeable, printable, printableJson } from './printable.js';
export {
  type BuilderOptions,
  type Op,
  type OpFields,
  opFields,
  type Program,
  ProgramBuilder,
  printProgram,
  validateProgram,
} from './program.js';
export { createReferenceBackend } from './reference/executor.js';
export { activationFunctions } from './reference/kernels.js';
export { checkProgram, checkStep, viewLength, viewTypes } from './session-checks.js';
export { countCodes, dtypeCodes } from './shapes.js';
export { packSigns, signWords } from './signs.js';
export {
  checkInMemory,
  type RowFile,
  type StoredPlace,
  StoredRows,
  type SyncFile,
  type SyncFileHandle,
  storedRowBytes,
} from './stored-rows.js';
export { measureStreaming, type RecordSession, type StreamingOptions } from './streaming.js';
export { decodeText, decodeWhole, LineSplitter, withoutMark } from './text.js';
export { partSize, scheduleFields, trainingOpTable } from './training-ops.js';
export { packTwoBits, type TwoBitRows, twoBitCode, twoBitWords } from './two-bits.js';
export { yieldToEventLoop } from './yield.js';
