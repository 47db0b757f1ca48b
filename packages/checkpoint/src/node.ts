export { type FolderOptions, folderFiles } from './node/folder-files.js';
export { writeGguf } from './node/write-gguf.js';
export { writeSafetensors } from './node/write-safetensors.js';
