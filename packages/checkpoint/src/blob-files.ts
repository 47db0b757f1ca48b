// A model's folder of blobs: files that a person picked or dropped on a page, or that a page keeps in its own storage.
// Only what is asked for is read. Does not own: formats; finding or keeping the files.
import { anObject, aText, checkValue, RelufyError, show } from '@relufy/tensor';
import { type ByteSource, checkFileName, checkRange, type ModelFiles, readTextThrough } from './byte-source.js';
import { withGguf } from './gguf/folder.js';

/**
 * The files of a folder by their names in it. A `File` is a `Blob`.
 * @throws RelufyError `option` for what is no blob.
 */
export function blobFiles(name: string, contents: Readonly<Record<string, Blob>>): ModelFiles {
  checkValue('blobFiles: name', name, aText);
  checkValue('blobFiles: contents', contents, anObject);
  for (const [file, content] of Object.entries(contents))
    if (!(content instanceof Blob))
      throw new RelufyError('option', `blobFiles: contents of ${show(file)}: expected a Blob, got ${show(content)}.`);
  const open: ModelFiles['open'] = async (file, signal) => {
    signal?.throwIfAborted();
    checkFileName(name, file);
    const blob = Object.hasOwn(contents, file) ? contents[file] : undefined;
    return blob && blobSource(`${name}/${file}`, blob);
  };
  return withGguf({
    name,
    open,
    readText: (file, options) => readTextThrough(open, file, options),
    list: async () => Object.keys(contents),
  });
}

/** A blob as a source. */
export function blobSource(name: string, blob: Blob): ByteSource {
  const source = {
    name,
    size: blob.size,
    async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (error) {
        throw new RelufyError(
          'io',
          `${name}: expected ${length} bytes at ${offset}, got ${error instanceof Error ? error.message : error}. The file may have changed or moved; pick it again.`,
          { cause: error },
        );
      }
    },
    async close(): Promise<void> {},
  };
  return source;
}
