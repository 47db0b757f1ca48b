// One file of the hub -> one blob of the cache: resumed where an earlier download ended, checked by size and hash,
// by one process at a time.
// Owns: the partial file, the lock, the check. Does not own: requests (request.ts), the cache's layout (cache.ts).
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { constants, type FileHandle, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RelufyError, show } from '@relufy/tensor';
import { watched } from '../../bounded.js';
import { pause } from '../../pause.js';
import { whileLocked } from '../file-lock.js';
import { type HubCache, sizeOf } from './cache.js';
import type { RepositoryKind } from './id.js';
import { longestPauseMs, reasonOf } from './request.js';
import type { RepositoryFile } from './select.js';

/** The body of a file from `offset` on, and where it really begins (0 where the server ignores ranges). */
export type OpenBody = (
  file: RepositoryFile,
  offset: number,
) => Promise<{ offset: number; body: AsyncIterable<Uint8Array> }>;

export interface DownloadOptions {
  readonly kind: RepositoryKind;
  readonly repository: string;
  readonly cache: HubCache;
  readonly openBody: OpenBody;
  readonly timeoutMs: number;
  /** How often a download may break off without a byte gained before it is given up. */
  readonly attempts: number;
  readonly pauseMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onBytes: (loaded: number) => void;
}

/** Makes sure that the blob of `file` is in the cache. */
export async function downloadBlob(file: RepositoryFile, options: DownloadOptions): Promise<void> {
  const path = options.cache.blob(file.hash.hex);
  if (await isWhole(path, file, options)) return;
  await options.cache.makeFolder(dirname(path)).catch(toIoError(path));
  const lock = options.cache.lock(file.hash.hex);
  await options.cache.makeFolder(dirname(lock)).catch(toIoError(lock));
  const download = async (signal: AbortSignal): Promise<void> => {
    if (await isWhole(path, file, options)) return; // another process was faster
    const partial = `${path}.relufy.incomplete`;
    for (let fresh = false; ; fresh = true) {
      const digest = await complete(file, partial, { ...options, signal });
      if (digest === file.hash.hex) break;
      await rm(partial, { force: true });
      // What lay there from an earlier time may have been wrong; what was fetched just now must not be.
      if (fresh)
        throw new RelufyError(
          'io',
          `hub ${options.kind} ${show(options.repository)}: ${file.path}, expected ${file.hash.kind} hash ${file.hash.hex}, got ${digest}. The server or a proxy changes the file; try another network.`,
        );
    }
    await rename(partial, path).catch(toIoError(path));
  };
  await whileLocked(lock, { staleMs: 10_000, signal: options.signal }, download);
}

async function isWhole(path: string, file: RepositoryFile, { onBytes }: DownloadOptions): Promise<boolean> {
  if ((await sizeOf(path)) !== file.size) return false;
  onBytes(file.size);
  return true;
}

/** Brings the partial file to its full size; gives its hash. */
async function complete(file: RepositoryFile, partial: string, options: DownloadOptions): Promise<string> {
  const handle = await openPartial(partial).catch(toIoError(partial));
  try {
    const state: Partial = { handle, hash: newHash(file), size: (await handle.stat()).size };
    if (state.size > file.size) await restart(state, file);
    else await hashBeginning(state, partial, options.signal);
    options.onBytes(state.size);
    for (let failures = 0; state.size < file.size; ) {
      const before = state.size;
      const error = await fetchInto(state, file, options);
      if (state.size > before) failures = 0;
      if (error === undefined) continue;
      if (++failures >= options.attempts)
        throw new RelufyError(
          'io',
          `hub ${options.kind} ${show(options.repository)}: ${file.path}, expected ${file.size} bytes, got ${state.size}, then ${reasonOf(error)}, ${failures} times. Try again: the download goes on from there.`,
          { cause: error },
        );
      await pause(Math.min(longestPauseMs, options.pauseMs * 2 ** (failures - 1)), options.signal);
    }
    await handle.sync();
    return state.hash.digest('hex');
  } finally {
    await handle.close();
  }
}

/** What was fetched before goes on; what is not a plain file of one name (somebody's link, a pipe) makes way for one. */
async function openPartial(path: string): Promise<FileHandle> {
  const found = await lstat(path).catch(() => undefined);
  if (found && !(found.isFile() && found.nlink === 1)) await rm(path, { recursive: true });
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW = 0 } = constants; // Windows knows no O_NOFOLLOW
  return open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o666);
}

interface Partial {
  readonly handle: FileHandle;
  hash: Hash;
  size: number;
}

/** Appends what the server sends. Gives the error that broke it off, if it may pass; throws others. */
async function fetchInto(state: Partial, file: RepositoryFile, options: DownloadOptions): Promise<unknown> {
  try {
    const { offset, body } = await options.openBody(file, state.size);
    if (offset !== state.size) await restart(state, file);
    for await (const piece of watched(body, { idleMs: options.timeoutMs, signal: options.signal })) {
      if (state.size + piece.byteLength > file.size)
        throw new RelufyError(
          'io',
          `hub ${options.kind} ${show(options.repository)}: ${file.path}, expected ${file.size} bytes, got more. Try again later.`,
        );
      await append(state, piece);
      options.onBytes(state.size);
    }
    return state.size < file.size ? new Error('the end of the connection') : undefined;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (RelufyError.is(error)) throw error;
    return error;
  }
}

async function append(state: Partial, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.byteLength; ) {
    const { bytesWritten } = await state.handle.write(piece, done).catch(toIoError('the cache'));
    done += bytesWritten;
  }
  state.hash.update(piece);
  state.size += piece.byteLength;
}

async function restart(state: Partial, file: RepositoryFile): Promise<void> {
  await state.handle.truncate(0);
  state.hash = newHash(file);
  state.size = 0;
}

async function hashBeginning(state: Partial, path: string, signal: AbortSignal | undefined): Promise<void> {
  if (state.size === 0) return;
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    signal?.throwIfAborted();
    state.hash.update(piece as Uint8Array);
  }
}

/** Git's blob hash begins with a header; the SHA-256 of a large file is that of the bytes alone. */
function newHash({ hash, size }: RepositoryFile): Hash {
  return hash.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

function toIoError(path: string): (error: unknown) => never {
  return (cause) => {
    if (RelufyError.is(cause)) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    const remedy =
      code === 'ENOSPC' ? 'The disk is full; free some space.' : 'Check the folder, or name another by HF_HUB_CACHE.';
    throw new RelufyError('io', `${path}: expected to write it, got ${code}. ${remedy}`, { cause });
  };
}
