// What `loadModel` accepts in Node: also a folder's path or `file:` URL.
import { fileURLToPath } from 'node:url';
import { httpFiles, type ModelFiles } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { type LoadOptions, loadModelFiles } from '../load-model.js';
import type { Model } from '../model.js';
import type { ModelSource } from '../source.js';

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
  if (/^https?:/.test(String(source))) return httpFiles(new URL(source));
  return folderFiles(String(source).startsWith('file:') ? fileURLToPath(source) : String(source));
}
