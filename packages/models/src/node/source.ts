// What `loadModel` accepts in Node: also a folder's or file's path, and names on the hub through the shared cache.
import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { httpFiles, type ModelFiles } from '@relufy/checkpoint';
import { folderFiles, type HubOptions, hubFiles, localUrlFiles, parseHubId } from '@relufy/checkpoint/node';
import { RelufyError, show } from '@relufy/tensor';
import { type LoadOptions, loadModelFiles, type SourceOptions } from '../loading/load-model.js';
import { checkLoadOptions, checkSource } from '../loading/load-options.js';
import { looksLikePath, type ModelSource, withOpenPlan } from '../loading/source.js';
import type { Model } from '../model.js';
import { createNodeBackend } from './backend.js';

/**
 * Loads a model: config, weights, tokenizer.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions('loadModel', options);
  checkSource('loadModel', source);
  const files = await openModelFiles(source, options);
  return loadModelFiles(files, await withOpenPlan(options, openModelFiles), createNodeBackend);
}

/** The files after a source; those of the hub are brought into the cache first. */
export async function openModelFiles(source: ModelSource, options: SourceOptions = {}): Promise<ModelFiles> {
  checkLoadOptions('openModelFiles', options);
  checkSource('openModelFiles', source);
  if (typeof source === 'object' && !(source instanceof URL))
    return 'urls' in source ? localUrlFiles(source.name ?? 'model', source.urls) : source;
  const text = String(source);
  if (/^https?:/i.test(text)) return httpFiles(addressOf(text));
  if (/^hf:/.test(text)) return hubFiles(text, ofSource(options));
  const path = /^file:/i.test(text) ? pathAt(text) : text.replace(/^~(?=$|[\\/])/, homedir());
  // what lies there wins over what the hub might have under the same name
  if (await exists(path)) return folderFiles(path);
  if (!/^file:/i.test(text) && !looksLikePath(text) && parseHubId(text) !== undefined && text.includes('/'))
    return hubFiles(text, ofSource(options));
  throw new RelufyError('io', `model: no such file or folder: ${show(text)}. Check the path.`);
}

function addressOf(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new RelufyError('option', `model: expected a URL, got ${show(text)}. Check the address.`);
}

/** Of a file's URL, which may name another machine, or nothing that a path can say. */
function pathAt(text: string): string {
  const url = addressOf(text);
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new RelufyError(
      'option',
      `model: expected the URL of a file on this machine, got ${show(text)}. Check the address.`,
      { cause },
    );
  }
}

/** What the hub takes of the options of loading. */
function ofSource({
  revision,
  subfolder,
  token,
  cacheDir,
  localFilesOnly,
  onProgress,
  signal,
}: SourceOptions): HubOptions {
  return { revision, subfolder, token, cacheDir, localFilesOnly, onProgress, signal };
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
