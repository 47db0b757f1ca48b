// A model's folder in a browser's private file system (OPFS), or one that a person picked: whatever gives a
// FileSystemDirectoryHandle. Files of the private file system can be read in steps too (loadModel's memoryBudget).
// Does not own: formats; filling the folder; opening files in the threads that read them (@relufy/kernels).
import { checkValue, RelufyError, type RowFile, type SyncFileHandle } from '@relufy/tensor';
import { blobSource } from './blob-files.js';
import { type ByteSource, checkFileName, type ModelFiles, readTextThrough } from './byte-source.js';
import { withGguf } from './gguf/folder.js';

/** What of a directory handle TypeScript's DOM types leave out. */
type Named = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };

/**
 * The files of a folder behind a handle, such as `(await navigator.storage.getDirectory()).getDirectoryHandle('model')`.
 * @throws RelufyError `option` for what is no such handle.
 */
export function directoryFiles(directory: FileSystemDirectoryHandle): ModelFiles {
  checkValue('directoryFiles', directory, {
    expected: 'a FileSystemDirectoryHandle',
    fits: (value) => (value as FileSystemDirectoryHandle | null | undefined)?.kind === 'directory',
  });
  const name = directory.name || 'folder';
  const open: ModelFiles['open'] = async (file, signal) => {
    signal?.throwIfAborted();
    checkFileName(name, file);
    const handle = await fileAt(directory, file, `${name}/${file}`);
    return handle && handleSource(`${name}/${file}`, handle);
  };
  return withGguf({
    name,
    open,
    readText: (file, options) => readTextThrough(open, file, options),
    list: async () => {
      const names: string[] = [];
      for await (const entry of (directory as Named).keys()) names.push(entry);
      return names.sort();
    },
  });
}

async function fileAt(
  directory: FileSystemDirectoryHandle,
  file: string,
  where: string,
): Promise<FileSystemFileHandle | undefined> {
  const folders = file.split('/');
  const last = folders.pop() as string;
  try {
    let folder = directory;
    for (const part of folders) folder = await folder.getDirectoryHandle(part);
    return await folder.getFileHandle(last);
  } catch (error) {
    const { name } = error as DOMException;
    if (name === 'NotFoundError' || name === 'TypeMismatchError') return undefined;
    throw unreadable(where, error);
  }
}

async function handleSource(name: string, handle: FileSystemFileHandle): Promise<ByteSource> {
  const blob = await handle.getFile().catch((error: unknown) => {
    throw unreadable(name, error);
  });
  return { ...blobSource(name, blob), openRows: () => rowFile(name, blob.size, handle) };
}

/** While threads have it open to read, a browser lets nobody write to it or remove it, so there is nothing to look at. */
const rowFile = (path: string, size: number, handle: FileSystemFileHandle): RowFile => ({
  path,
  size,
  handle: handle as SyncFileHandle,
  read() {
    throw new RelufyError(
      'backend',
      `${path}: expected the wasm backend, whose threads read a file of a browser at once, got another one. Load the model without memoryBudget.`,
    );
  },
  check() {},
  close() {},
});

const unreadable = (name: string, cause: unknown): RelufyError =>
  new RelufyError(
    'io',
    `${name}: expected a readable file, got ${cause instanceof Error ? cause.message : cause}. Ask for the permission again, or look at the browser's storage.`,
    { cause },
  );
