export { type ByteSource, type ModelFiles, memoryFiles, type ReadTextOptions } from './byte-source.js';
export type { Checkpoint, Rows, TensorInfo } from './checkpoint.js';
export { type HttpFilesInit, httpFiles } from './http-files.js';
export { openCheckpoint } from './open.js';
export {
  encodeSafetensors,
  type SafetensorsOptions,
  streamSafetensors,
  type TensorToWrite,
} from './safetensors/write.js';
