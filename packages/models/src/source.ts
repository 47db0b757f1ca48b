// What `loadModel` accepts where there is no file system: a URL of a folder, or files of your own.
import { httpFiles, type ModelFiles } from '@relufy/checkpoint';
import { RelufyError, show } from '@relufy/tensor';
import { type LoadOptions, loadModelFiles } from './load-model.js';
import type { Model } from './model.js';

/** A folder in Hugging Face layout: its path (Node), its URL, or an object that opens its files. */
export type ModelSource = string | URL | ModelFiles;

/**
 * Loads a model: config, weights, tokenizer.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return loadModelFiles(await openModelFiles(source), options);
}

/** The files behind a source, without reading any. */
export async function openModelFiles(source: ModelSource): Promise<ModelFiles> {
  if (typeof source === 'object' && !(source instanceof URL)) return source;
  const base = typeof location === 'undefined' ? undefined : location.href;
  if (!URL.canParse(String(source), base))
    throw new RelufyError(
      'option',
      `loadModel: expected the URL of a model's folder, or its files, got ${show(source)}.`,
    );
  return httpFiles(new URL(String(source), base));
}
