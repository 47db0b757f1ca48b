// `loadModel` in Node, where a model is most often a folder.
import { stat } from 'node:fs/promises';
import { type LoadOptions, loadModel as load, type Model, type ModelSource } from '@relufy/models';
import { resolveSource } from '../source.js';

/**
 * Loads a model: config, weights, tokenizer.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return load(await resolveSource(source, exists), options);
}

/** A folder, or a single file, which the loader refuses or reads in its own words. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
