// Converts a model into a folder. Does not own what is written (../convert.ts), nor writing it (model-folder.ts).
import type { ModelFiles } from '@relufy/checkpoint';
import { aText, checkValue } from '@relufy/tensor';
import { type ConversionOptions, checkConversionOptions, planConversion } from '../conversion/convert.js';
import { writeModelFolder } from './model-folder.js';

/**
 * Converts a model into a folder in Hugging Face layout. Streams: memory used is one matrix.
 * @throws RelufyError `io` when the folder exists and is not empty, or cannot be written; nothing is left behind.
 */
export async function convertModel(files: ModelFiles, folder: string, options: ConversionOptions): Promise<void> {
  checkConversionOptions(options);
  checkValue('convert: folder', folder, aText);
  await writeModelFolder(folder, () => planConversion(files, options), { signal: options.signal });
}
