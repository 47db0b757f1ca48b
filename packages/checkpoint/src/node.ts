export { type FolderOptions, folderFiles } from './node/folder-files.js';
export { writeSafetensors } from './node/write-safetensors.js';
