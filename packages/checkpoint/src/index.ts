export { checkModelFiles, someFiles } from './arguments.js';
export { blobFiles } from './blob-files.js';
export { chunksOf } from './bounded.js';
export type { ByteSource, ModelFiles, ReadTextOptions } from './byte-source.js';
export type { Checkpoint, Rows, TensorInfo } from './checkpoint.js';
export { directoryFiles } from './directory-files.js';
export type { TensorFacts } from './gguf/architecture.js';
export { ggufTensorNames, ggufToConfig } from './gguf/as-hugging-face.js';
export { dequantize, readableTypes } from './gguf/dequantize.js';
export { type GgufExportOptions, streamGguf } from './gguf/export.js';
export { GgufFields, type GgufMetadata, type GgufNumbers, type GgufValue } from './gguf/metadata.js';
export { openGguf } from './gguf/read.js';
export { ggufTokenizer } from './gguf/tokenizer.js';
export { type HttpFilesInit, httpFiles } from './http-files.js';
export { type HubListingOptions, hubListing } from './hub-listing.js';
export { memoryFiles } from './memory-files.js';
export { type HubId, parseHubId } from './node/hub/id.js';
export { type RepositoryFile, type Selection, selectFiles } from './node/hub/select.js';
export { openCheckpoint, openPlanWeights, openStateDict } from './open.js';
export {
  encodeSafetensors,
  type SafetensorsOptions,
  streamSafetensors,
  type TensorToWrite,
} from './safetensors/write.js';
export { sameTensor } from './same-tensor.js';
export { urlFiles } from './url-files.js';
export { planFiles, planWeightsFile } from './weight-files.js';
