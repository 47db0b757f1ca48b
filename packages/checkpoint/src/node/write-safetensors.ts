// Writes a safetensors file on disk: a reader sees the old file or the whole new one, never a part.
// Does not own: the layout (../safetensors/write.ts), temporary files (atomic.ts).
import { checkPath } from '../arguments.js';
import {
  checkSafetensorsOptions,
  type SafetensorsOptions,
  streamSafetensors,
  type TensorToWrite,
} from '../safetensors/write.js';
import { writeAtomically } from './atomic.js';

/** Streams tensors into a file; memory used: one piece. On an error or abort the file at `path` is as it was. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsOptions = {},
): Promise<void> {
  checkPath('writeSafetensors', path);
  checkSafetensorsOptions('writeSafetensors', tensors, options);
  await writeAtomically(path, streamSafetensors(tensors, options), options.signal);
}
