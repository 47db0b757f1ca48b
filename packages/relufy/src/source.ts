// What a model can be named by: a bundled name, a URL, a path, a name on the hub, files of one's own. Turns names into
// files, so that every entry (library, command, browser) accepts the same. Does not own opening them (@relufy/models).
import { looksLikePath, type ModelFiles, type ModelSource, type ModelUrls } from '@relufy/models';
import { locate, nearest, RelufyError, show } from '@relufy/tensor';

/** Models that are packages of their own: name -> the URLs of their files. */
export type NamedModels = ReadonlyMap<string, () => ModelUrls['urls'] | Promise<ModelUrls['urls']>>;

/** What a bundle of relufy carries along. Imported when asked for. */
const bundled: NamedModels = new Map([
  ['llama-tales', async () => located('llama-tales', (await import('@relufy/llama-tales')).modelUrls)],
]);

function located(name: string, urls: () => ModelUrls['urls']): ModelUrls['urls'] {
  try {
    return locate(urls);
  } catch (error) {
    throw new RelufyError('io', `${name}: ${(error as Error).message}.`, { cause: error });
  }
}

export const bundledNames: readonly string[] = [...bundled.keys()];

/** The model that is used where none is named; the chat has its own (commands/chat.ts). */
export const defaultModel = 'llama-tales';

/** Whether a text that is neither a bundled name nor an absolute URL leads to a model: a folder (Node), a relative URL (browser). */
export type LocalCheck = (source: string) => Promise<boolean>;

/** How the files behind a source are opened: Node reads folders, a page does not. */
export type OpenFiles = (source: ModelSource) => Promise<ModelFiles>;

/**
 * The files that a source names. `packaged`: further models that are called by name.
 * @throws RelufyError `option` for a text that names nothing, saying what is accepted.
 */
export async function resolveSource(
  source: ModelSource,
  isLocal: LocalCheck,
  open: OpenFiles,
  packaged: NamedModels = new Map(),
): Promise<ModelFiles> {
  if (typeof source !== 'string') return open(source);
  const urlsOf = bundled.get(source) ?? packaged.get(source);
  if (urlsOf !== undefined) return open({ name: source, urls: await urlsOf() });
  if (/^(https?|file|hf):/i.test(source) || looksLikePath(source) || /^[\w-][\w.-]*\/[\w.-]+/.test(source))
    return open(source);
  if (await isLocal(source)) return open(source);
  const names = [...bundledNames, ...packaged.keys()];
  const meant = nearest(source, names);
  throw new RelufyError(
    'option',
    `model: expected ${names.map(show).join(' or ')} (bundled), a path or URL of a folder in Hugging Face layout or of a GGUF, or a name on the hub such as "facebook/opt-125m", got ${show(source)}. ${meant === undefined ? 'Check the name.' : `Did you mean ${meant}?`}`,
  );
}
