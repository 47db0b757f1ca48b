// What `loadModel` accepts in Node: also a folder's or file's path, and names on the hub through the shared cache.
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { httpFiles, type ModelFiles } from '@relufy/checkpoint';
import { folderFiles, hubFiles, parseHubId } from '@relufy/checkpoint/node';
import { checkLoadOptions, type LoadOptions, loadModelFiles, type SourceOptions } from '../load-model.js';
import type { Model } from '../model.js';
import type { ModelSource } from '../source.js';
import { createNodeBackend } from './backend.js';

/**
 * Loads a model: config, weights, tokenizer.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions(options);
  return loadModelFiles(await openModelFiles(source, options), options, createNodeBackend);
}

/** The files behind a source; those of the hub are brought into the cache first. */
export async function openModelFiles(source: ModelSource, options: SourceOptions = {}): Promise<ModelFiles> {
  if (typeof source === 'object' && !(source instanceof URL)) return source;
  const text = String(source);
  if (/^https?:/i.test(text)) return httpFiles(new URL(text));
  if (/^file:/i.test(text)) return folderFiles(fileURLToPath(text));
  // what lies there wins over what the hub might have under the same name
  const isName = parseHubId(text) !== undefined && text.includes('/') && !/^[./]/.test(text);
  if (/^hf:/.test(text) || (isName && !(await exists(text)))) return hubFiles(text, options);
  return folderFiles(text);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
