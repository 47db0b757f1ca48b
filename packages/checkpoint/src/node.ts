export { type FolderWriteOptions, toWriteError, writeAtomically, writeFolder } from './node/atomic.js';
export {
  folderHolder,
  inLockedFolder,
  type LockHolder,
  type LockWaitOptions,
  whileLocked,
} from './node/file-lock.js';
export { type FolderOptions, folderFiles } from './node/folder-files.js';
export { hubCacheDir } from './node/hub/environment.js';
export { hubDataFiles, hubFiles } from './node/hub/hub-files.js';
export { type HubId, parseHubId } from './node/hub/id.js';
export type { HubOptions } from './node/hub/options.js';
export type { HubProgress } from './node/hub/progress.js';
export {
  type NamedFileOptions,
  readNamedFile,
  readNamedFileIfThere,
  type StreamOptions,
  streamNamedFile,
} from './node/named-file.js';
export { openRowFile } from './node/row-file.js';
export { localUrlFiles } from './node/url-files.js';
export { writeGguf } from './node/write-gguf.js';
export { writeSafetensors } from './node/write-safetensors.js';
