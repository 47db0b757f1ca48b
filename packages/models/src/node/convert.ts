// Writes a converted model as a folder, all of it or nothing. Does not own: what is written (../convert.ts), nor how a
// folder comes whole (@relufy/checkpoint/node).
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelFiles, planWeightsFile } from '@relufy/checkpoint';
import { writeFolder, writeSafetensors } from '@relufy/checkpoint/node';
import { aText, checkValue } from '@relufy/tensor';
import { type ConversionOptions, checkConversionOptions, planConversion } from '../convert.js';

/**
 * Converts a model into a folder in Hugging Face layout. Streams: memory used is one matrix.
 * @throws RelufyError `io` when the folder exists and is not empty, or cannot be written; nothing is left behind.
 */
export async function convertModel(files: ModelFiles, folder: string, options: ConversionOptions): Promise<void> {
  checkConversionOptions(options);
  checkValue('convert: folder', folder, aText);
  await writeFolder(folder, async (staging) => {
    const conversion = await planConversion(files, options);
    try {
      for (const [file, text] of conversion.texts) await writeFile(join(staging, file), text);
      await writeSafetensors(join(staging, 'model.safetensors'), conversion.tensors, {
        metadata: conversion.metadata,
        alignment: conversion.alignment,
        signal: options.signal,
      });
      if (conversion.planTensors)
        await writeSafetensors(join(staging, planWeightsFile), conversion.planTensors, { signal: options.signal });
    } finally {
      await conversion.close();
    }
  });
}
