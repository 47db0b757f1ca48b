// Writes a model as a GGUF file on disk, atomically.
// Does not own: the conversion (../gguf/export.ts), temporary files (atomic.ts).
import { checkPath } from '../arguments.js';
import type { ModelFiles } from '../byte-source.js';
import { checkGgufExport, type GgufExportOptions, streamGguf } from '../gguf/export.js';
import { writeAtomically } from './atomic.js';

/** Streams a model in Hugging Face layout into a GGUF. On an error or abort the file at `path` is as it was. */
export async function writeGguf(path: string, files: ModelFiles, options: GgufExportOptions): Promise<void> {
  checkPath('writeGguf', path);
  checkGgufExport('writeGguf', files, options);
  await writeAtomically(path, streamGguf(files, options), options.signal);
}
