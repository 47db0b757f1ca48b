// Writing without halves: a file or a folder is what it was, or wholly the new one, whatever interrupts the writing.
// Owns: fsync, rename, and what is said when a file system refuses. Does not own: what is written
// (write-safetensors.ts, write-gguf.ts and the packages above), what a killed process leaves (leftovers.ts), downloads
// that resume (hub/).
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { aBoolean, aFunction, aText, checkOptions, checkValue, RelufyError, type Rule } from '@relufy/tensor';
import { checkPath } from '../arguments.js';
import { beside, clearLeftovers, release } from './leftovers.js';

const aContent: Rule = {
  expected: 'a text, bytes or pieces of bytes',
  fits: (value) =>
    typeof value === 'string' ||
    (typeof value === 'object' && value !== null && (value instanceof Uint8Array || Symbol.asyncIterator in value)),
};

/** For `catch`: an error of the file system becomes one that names the file and what to do. */
export const toWriteError =
  (path: string, what = 'it') =>
  (cause: unknown): never => {
    const { code, message } = cause as NodeJS.ErrnoException;
    const remedy = code === 'ENOSPC' ? 'The disk is full; free some space.' : 'Check that the folder can be written.';
    throw new RelufyError('io', `${path}: expected to write ${what}, got ${code ?? message}. ${remedy}`, { cause });
  };

/**
 * A text, bytes or pieces of them -> a file, by way of a temporary file beside it. On an error or abort the file at `path`
 * is as it was.
 */
export async function writeAtomically(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  checkPath('writeAtomically', path);
  checkValue('writeAtomically: content', content, aContent);
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const pieces = bytes instanceof Uint8Array ? [bytes] : bytes;
  signal?.throwIfAborted();
  const folder = dirname(resolve(path));
  await clearLeftovers(folder);
  const temporary = beside(resolve(path), 'tmp');
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx').catch(toWriteError(path));
    for await (const piece of pieces) {
      await writeFully(handle, piece).catch(toWriteError(path));
      signal?.throwIfAborted();
    }
    await handle.sync().catch(toWriteError(path));
    await handle.close();
    handle = undefined;
    await rename(temporary, path).catch(toWriteError(path));
  } catch (error) {
    await handle?.close();
    await rm(temporary, { force: true });
    throw error;
  } finally {
    release(temporary);
  }
  await syncFolder(folder);
}

export interface FolderWriteOptions {
  /** Take the place of a folder that is there; without it, one that holds files is an error. */
  readonly replace?: boolean;
  /** What the folder holds, for errors. */
  readonly what?: string;
}

/**
 * A folder, by way of one beside it that `write` fills: renamed at the end, removed on an error or abort.
 * @throws RelufyError `io` when the folder is occupied or cannot be written; what `write` throws, else.
 */
export async function writeFolder(
  folder: string,
  write: (staging: string) => Promise<void>,
  options: FolderWriteOptions = {},
): Promise<void> {
  checkPath('writeFolder', folder);
  checkValue('writeFolder: write', write, aFunction);
  checkOptions('writeFolder', options, { replace: aBoolean, what: aText });
  const target = resolve(folder);
  await clearLeftovers(dirname(target));
  if (options.replace !== true) await refuseOccupied(target);
  const staging = beside(target, 'tmp');
  const replaced = beside(target, 'old');
  try {
    await mkdir(staging, { recursive: true });
    await write(staging);
    await syncAll(staging);
    const old = await rename(target, replaced).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false;
        throw error;
      },
    );
    await rename(staging, target).catch(async (error: unknown) => {
      if (old) await rename(replaced, target);
      throw error;
    });
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => {});
    release(staging, replaced);
    if (isSystemError(error)) toWriteError(target, options.what)(error);
    // an error that names a file names the one that it would have become
    if (error instanceof Error) error.message = error.message.replaceAll(staging, target);
    throw error;
  }
  await rm(replaced, { recursive: true, force: true }).catch(() => {});
  release(staging, replaced);
  await syncFolder(dirname(target));
}

async function refuseOccupied(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RelufyError(
      'io',
      `${folder}: expected a folder to write, got ${error.code ?? error.message}. Choose another place.`,
      { cause: error },
    );
  });
  if (found.length > 0)
    throw new RelufyError(
      'io',
      `${folder}: expected no folder, or an empty one, got ${found.length} files. Choose another, or remove it.`,
    );
}

/** An error of the file system as Node throws it, not one that says already what happened. */
const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && !RelufyError.is(error) && typeof (error as NodeJS.ErrnoException).syscall === 'string';

async function writeFully(handle: FileHandle, piece: Uint8Array): Promise<void> {
  let done = 0;
  while (done < piece.byteLength) done += (await handle.write(piece, done)).bytesWritten;
}

/** What a folder holds, before its name says that it is whole: a power cut would leave a file without its bytes. */
async function syncAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncAll(path);
    else if (entry.isFile()) {
      const handle = await open(path, 'r+');
      await handle.sync().finally(() => handle.close());
    }
  }
  await syncFolder(folder);
}

/** So that the new name survives a power cut; some systems (Windows) cannot, and need not. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
