// A model's files that lie apart, each at a URL of its own: what a bundler makes of a folder. It renames them, and may
// write a small one into the code (`data:`). What is not named is not there; what is named and missing is an error.
// Does not own: reading a URL (http-files.ts; in Node also the disk, node/folder-files.ts).
import { anObject, aText, bundlerRemedy, checkValue, RelufyError } from '@relufy/tensor';
import { toUrl } from './arguments.js';
import { type ByteSource, checkFileName, type ModelFiles, maxTextBytes, readTextThrough } from './byte-source.js';
import { withGguf } from './gguf/folder.js';
import { openHttp } from './http-files.js';

/** Opens one URL under the name that errors call it by; undefined: nothing is there. */
export type OpenUrl = (
  url: URL,
  name: string,
  signal: AbortSignal | undefined,
  limitBytes: number | undefined,
) => Promise<ByteSource | undefined>;

const openUrl: OpenUrl = (url, name, signal, limitBytes) => openHttp(url, name, {}, signal, limitBytes);

/**
 * The files of a folder of which every file has its own URL, absolute or relative to the page.
 * @throws RelufyError `option` for what is no URL.
 */
export function urlFiles(
  name: string,
  urls: Readonly<Record<string, URL | string>>,
  open: OpenUrl = openUrl,
): ModelFiles {
  checkValue('urlFiles: name', name, aText);
  checkValue('urlFiles: urls', urls, anObject);
  const places = new Map(
    Object.entries(urls).map(([file, url]) => {
      checkFileName(name, file);
      return [file, toUrl(`${name}/${file}`, url)];
    }),
  );
  const openWithin = async (file: string, signal: AbortSignal | undefined, limitBytes: number | undefined) => {
    signal?.throwIfAborted();
    checkFileName(name, file);
    const url = places.get(file);
    if (url === undefined) return undefined;
    const where = url.protocol === 'data:' ? `${name}/${file}` : url.href;
    const source = await open(url, where, signal, limitBytes);
    if (source) return source;
    throw new RelufyError('io', `${name}: expected ${file} at ${where}, got nothing there. ${bundlerRemedy}.`);
  };
  return withGguf({
    name,
    open: (file, signal) => openWithin(file, signal, undefined),
    readText: (file, options) =>
      readTextThrough((path, signal) => openWithin(path, signal, options?.limitBytes ?? maxTextBytes), file, options),
    list: async () => [...places.keys()],
  });
}
