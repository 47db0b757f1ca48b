// A model's folder on disk. Every read goes to an open file handle at the offset asked for; nothing is cached.
// Owns: keeping inside the folder, links included. A link is followed within the folder, and from a snapshot of the
// Hugging Face cache (`models--*/snapshots/REVISION/file`) to that repository's `blobs/`, where the cache keeps the bytes.
// Does not own: formats, downloading.
import { type FileHandle, open as openFile, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { aBoolean, checkOptions, RelufyError, show } from '@relufy/tensor';
import { checkPath } from '../arguments.js';
import { type ByteSource, checkFileName, checkRange, type ModelFiles, readTextThrough } from '../byte-source.js';
import { withGguf } from '../gguf/folder.js';
import { malformed } from '../malformed.js';
import { openRowFile } from './row-file.js';

export interface FolderOptions {
  /** Follow links that leave the folder too: only for folders whose links you made yourself. Default: refuse them. */
  readonly followLinks?: boolean;
}

/**
 * The files of a folder. The path of a single file stands for a folder that holds this file only (and, where it is a
 * part of a split GGUF, the other parts).
 */
export async function folderFiles(path: string, options: FolderOptions = {}): Promise<ModelFiles> {
  checkPath('folderFiles', path);
  checkOptions('folderFiles', options, { followLinks: aBoolean });
  const { followLinks = false } = options;
  const isFolder = (await stat(path).catch(toIoError(path, 'a folder that holds a model'))).isDirectory();
  const folder = isFolder ? path : dirname(path);
  const root = await realpath(folder).catch(toIoError(folder, 'a readable folder'));
  const allowed = [root + sep, ...hubBlobs(root)];
  const isVisible = isFolder ? () => true : partOfSameModel(basename(path));
  // A link that the caller named is the caller's; only its neighbours are suspect.
  const named = isFolder ? undefined : await realpath(path);

  const open: ModelFiles['open'] = async (file, signal) => {
    signal?.throwIfAborted();
    checkFileName(path, file);
    if (!isVisible(file)) return undefined;
    const name = join(folder, file);
    const target = await realpath(join(root, file)).catch(missingIsUndefined(name));
    if (target === undefined) return undefined;
    if (!followLinks && target !== named && !allowed.some((prefix) => target.startsWith(prefix)))
      throw malformed(
        name,
        `link, expected to stay inside the folder, got one to ${show(target)}`,
        'If you made the link yourself, put the file in its place or pass followLinks.',
      );
    // Asked before opening, since opening a pipe would wait for its writer.
    if (!(await stat(target).catch(toIoError(name, 'a readable file'))).isFile())
      throw new RelufyError('io', `${name}: expected a file, got a folder or a device. Remove it.`);
    return fileSource(name, target);
  };
  return withGguf({
    name: path,
    open,
    readText: (file, options) => readTextThrough(open, file, options),
    list: async () => (await readdir(root).catch(toIoError(folder, 'a readable folder'))).filter(isVisible).sort(),
  });
}

/** An open file as a source. */
export async function fileSource(name: string, path: string): Promise<ByteSource> {
  const handle = await openFile(path, 'r').catch(toIoError(name, 'a readable file'));
  let size: number;
  try {
    size = (await handle.stat()).size;
  } catch (error) {
    await handle.close();
    throw ioError(name, 'a readable file', error);
  }
  let closing: Promise<void> | undefined;
  return {
    name,
    size,
    path,
    openRows: () => openRowFile(path),
    async read(offset, length, signal, into) {
      signal?.throwIfAborted();
      checkRange({ name, size }, offset, length);
      if (closing) throw new RelufyError('state', `${name}: read after close(). Open the file again.`);
      const out = into && into.length >= length ? into.subarray(0, length) : new Uint8Array(length);
      return readFully(handle, name, offset, out, signal);
    },
    close: () => {
      closing ??= handle.close();
      return closing;
    },
  };
}

async function readFully(
  handle: FileHandle,
  name: string,
  offset: number,
  out: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { length } = out;
  let done = 0;
  while (done < length) {
    const most = Math.min(length - done, 2 ** 30); // the system call takes less than 2^31 bytes
    const { bytesRead } = await handle.read(out, done, most, offset + done).catch(toIoError(name, 'readable bytes'));
    if (bytesRead === 0)
      throw new RelufyError(
        'io',
        `${name}: expected ${length} bytes at ${offset}, got ${done}: the file shrank while it was open. Load it again.`,
      );
    done += bytesRead;
    signal?.throwIfAborted();
  }
  return out;
}

/** Where the files of a snapshot in the Hugging Face cache really lie. */
function hubBlobs(root: string): string[] {
  const parts = root.split(sep);
  const at = parts.lastIndexOf('snapshots');
  if (at < 1 || at === parts.length - 1 || !/^(models|datasets|spaces)--/.test(parts[at - 1] as string)) return [];
  return [[...parts.slice(0, at), 'blobs', ''].join(sep)];
}

function partOfSameModel(file: string): (other: string) => boolean {
  const part = /^(.*)-\d{5}-of-(\d{5})\.gguf$/.exec(file);
  if (!part) return (other) => other === file;
  const [, stem, count] = part;
  return (other) => {
    const match = /^(.*)-\d{5}-of-(\d{5})\.gguf$/.exec(other);
    return match !== null && match[1] === stem && match[2] === count;
  };
}

const missingIsUndefined =
  (name: string) =>
  (error: unknown): undefined => {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw ioError(name, 'a readable file', error);
    return undefined;
  };

const toIoError =
  (name: string, expected: string) =>
  (error: unknown): never => {
    throw ioError(name, expected, error);
  };

function ioError(name: string, expected: string, cause: unknown): RelufyError {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
  const [got, remedy] =
    code === 'ENOENT' || code === 'ENOTDIR'
      ? ['nothing of that name', 'Check the path.']
      : code === 'EACCES' || code === 'EPERM'
        ? ['no permission', 'Check who may read it.']
        : [code, 'Check the disk.'];
  return new RelufyError('io', `${name}: expected ${expected}, got ${got}. ${remedy}`, { cause });
}
