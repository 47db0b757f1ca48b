// What `loadModel` accepts where there is no file system: a URL of a folder, a name on the hub, or files of your own.
import { httpFiles, hubListing, type ModelFiles, urlFiles } from '@relufy/checkpoint';
import { RelufyError, show } from '@relufy/tensor';
import type { Model } from '../model.js';
import { type LoadFilesOptions, type LoadOptions, loadModelFiles, type SourceOptions } from './load-model.js';
import { checkLoadOptions, checkSource } from './load-options.js';

/** A model whose files lie apart, each at a URL of its own, as a bundler leaves them. */
export interface ModelUrls {
  /** How errors call it. Default: "model". */
  readonly name?: string;
  /** The name of each file in the folder, and where it lies: `{ 'config.json': new URL('./config.json', import.meta.url), ... }` */
  readonly urls: Readonly<Record<string, URL | string>>;
}

/**
 * A folder in Hugging Face layout or a GGUF file: its path (Node), its URL, the URL of each file, a name on the hub such
 * as `facebook/opt-125m`, or an object that opens its files.
 */
export type ModelSource = string | URL | ModelUrls | ModelFiles;

/** A text that can only be meant as a place on a disk: no name on the hub, and no bundled one, looks like it. */
export const looksLikePath = (source: string): boolean =>
  /^(?:\.{0,2}|~\w*)[\\/]|^(?:\.{1,2}|~)$|^[A-Za-z]:[\\/]|\\|\/$|[^:/]\/[^:/]+\/|\.(?:gguf|safetensors|bin|json|ckpt|pth?)$/i.test(
    source,
  ) && !/^[a-z][a-z\d+.-]+:/i.test(source);

const hub = 'https://huggingface.co';

/**
 * Loads a model: config, weights, tokenizer.
 * @throws RelufyError, one, saying what does not fit; nothing is left allocated.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions('loadModel', options);
  checkSource('loadModel', source);
  return loadModelFiles(await openModelFiles(source, options), await withOpenPlan(options, openModelFiles));
}

/** The options with plans' files in place of their names; a plan on the hub is the newest of its repository. */
export async function withOpenPlan(
  { plan, draftPlan, ...options }: LoadOptions,
  open: (source: ModelSource, options: SourceOptions) => Promise<ModelFiles>,
): Promise<LoadFilesOptions> {
  const { revision: _, subfolder: __, ...reach } = options;
  return {
    ...options,
    ...(plan !== undefined && { plan: await open(plan, reach) }),
    ...(draftPlan !== undefined && { draftPlan: await open(draftPlan, reach) }),
  };
}

/** The files after a source, without reading any. On a page the browser's own cache serves the hub's files. */
export async function openModelFiles(source: ModelSource, options: SourceOptions = {}): Promise<ModelFiles> {
  checkLoadOptions('openModelFiles', options);
  checkSource('openModelFiles', source);
  if (typeof source === 'object' && !(source instanceof URL))
    return 'urls' in source ? urlFiles(source.name ?? 'model', source.urls) : source;
  const [, id, revision = options.revision ?? 'main'] =
    /^(?:hf:)?([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?$/.exec(String(source)) ?? [];
  if (id !== undefined) {
    const folder = options.subfolder === undefined ? '' : `${encodeURI(options.subfolder)}/`;
    const headers = options.token ? { headers: { authorization: `Bearer ${options.token}` } } : {};
    const at = encodeURIComponent(revision);
    const listing = new URL(`api/models/${id}/tree/${at}/${folder}`.replace(/\/$/, ''), hub);
    return httpFiles(new URL(`${id}/resolve/${at}/${folder}`, hub), {
      ...headers,
      files: () => hubListing(listing, headers),
    });
  }
  const base = typeof location === 'undefined' ? undefined : location.href;
  if (!URL.canParse(String(source), base))
    throw new RelufyError(
      'option',
      `loadModel: expected the URL of a model's folder, a name such as "facebook/opt-125m", or files, got ${show(source)}.`,
    );
  return httpFiles(new URL(String(source), base));
}
