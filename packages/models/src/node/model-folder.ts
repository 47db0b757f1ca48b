// Writes a model as a folder in Hugging Face layout, all of it or nothing: one writer for conversion, relufication and
// training. Does not own what it holds (../model-folder.ts), nor how a folder comes whole (@relufy/checkpoint/node).
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planWeightsFile } from '@relufy/checkpoint';
import { type FolderWriteOptions, writeFolder, writeSafetensors } from '@relufy/checkpoint/node';
import type { ModelFolder } from '../loading/model-folder.js';

export interface ModelFolderOptions extends FolderWriteOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * `contents` is asked once the folder may be written.
 * @throws RelufyError `io` when the folder exists and is not empty (unless it is to be replaced), or cannot be written;
 * nothing is left behind.
 */
export async function writeModelFolder(
  folder: string,
  contents: () => Promise<ModelFolder>,
  { signal, ...options }: ModelFolderOptions = {},
): Promise<void> {
  const write = async (staging: string): Promise<void> => {
    const model = await contents();
    try {
      const { texts, tensors, planTensors, metadata = { format: 'pt' }, alignment } = model;
      for (const [file, text] of texts) await writeFile(join(staging, file), text);
      const file = join(staging, 'model.safetensors');
      await writeSafetensors(file, tensors, { metadata, signal, ...(alignment !== undefined && { alignment }) });
      if (planTensors) await writeSafetensors(join(staging, planWeightsFile), planTensors, { signal });
    } finally {
      await model.close?.();
    }
  };
  await writeFolder(folder, write, options);
}
