// A model's folder in memory.
// Does not own: formats. Like every `ModelFiles` here, a GGUF in it answers for the texts it makes superfluous.
import { anObject, aText, checkValue, RelufyError, show } from '@relufy/tensor';
import { checkFileName, type ModelFiles, memorySource, readTextThrough } from './byte-source.js';
import { withGguf } from './gguf/folder.js';

/** A folder in memory, for tests and for files that a user drops on a page. */
export function memoryFiles(name: string, contents: Readonly<Record<string, Uint8Array | string>>): ModelFiles {
  checkValue('memoryFiles: name', name, aText);
  checkValue('memoryFiles: contents', contents, anObject);
  for (const [file, content] of Object.entries(contents))
    if (typeof content !== 'string' && !(content instanceof Uint8Array))
      throw new RelufyError(
        'option',
        `memoryFiles: contents of ${show(file)}: expected bytes (a Uint8Array) or a text, got ${show(content)}.`,
      );
  const open: ModelFiles['open'] = async (file, signal) => {
    signal?.throwIfAborted();
    checkFileName(name, file);
    const content = Object.hasOwn(contents, file) ? contents[file] : undefined;
    if (content === undefined) return undefined;
    return memorySource(`${name}/${file}`, typeof content === 'string' ? new TextEncoder().encode(content) : content);
  };
  return withGguf({
    name,
    open,
    readText: (file, options) => readTextThrough(open, file, options),
    list: async () => Object.keys(contents),
  });
}
