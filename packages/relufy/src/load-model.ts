// `loadModel` where there is no file system; node/load-model.ts is the same for Node.
import { type LoadOptions, loadModel as load, type Model, type ModelSource, openModelFiles } from '@relufy/models';
import { resolveSource } from './source.js';

/**
 * Loads a model: config, weights, tokenizer.
 * @param source 'llama-tales' (bundled), the URL of a folder in Hugging Face layout, or an object that opens its files;
 * in Node also a folder's path.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 * @example
 * const model = await loadModel('llama-tales');
 * for await (const piece of model.generate('Once upon a time', { maxNewTokens: 50 })) show(piece.text);
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return load(await resolveSource(source, isRelativeUrl, (found) => openModelFiles(found, options)), options);
}

/** On a page, a path is a URL relative to it. */
async function isRelativeUrl(source: string): Promise<boolean> {
  return typeof location !== 'undefined' && /[/.]/.test(source) && URL.canParse(source, location.href);
}
