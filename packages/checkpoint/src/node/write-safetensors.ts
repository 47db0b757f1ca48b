// Writes a safetensors file on disk, atomically: a reader sees the old file or the whole new one, never a part.
// Owns: the temporary file, fsync and rename. Does not own: the layout (../safetensors/write.ts).
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RelufyError } from '@relufy/tensor';
import { type SafetensorsOptions, streamSafetensors, type TensorToWrite } from '../safetensors/write.js';

/** Streams tensors into a file; memory used: one piece. On an error or abort the file at `path` is as it was. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsOptions = {},
): Promise<void> {
  await writeAtomically(path, streamSafetensors(tensors, options), options.signal);
}

/** Any pieces -> a file, by way of a temporary file beside it. */
export async function writeAtomically(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  const temporary = `${path}.${randomUUID()}.tmp`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx').catch(toIoError(path));
    for await (const piece of pieces) {
      await writeFully(handle, piece).catch(toIoError(path));
      signal?.throwIfAborted();
    }
    await handle.sync().catch(toIoError(path));
    await handle.close();
    handle = undefined;
    await rename(temporary, path).catch(toIoError(path));
  } catch (error) {
    await handle?.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

async function writeFully(handle: FileHandle, piece: Uint8Array): Promise<void> {
  let done = 0;
  while (done < piece.byteLength) done += (await handle.write(piece, done)).bytesWritten;
}

/** So that the new name survives a power cut; some systems (Windows) cannot, and need not. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

const toIoError =
  (path: string) =>
  (cause: NodeJS.ErrnoException): never => {
    const remedy =
      cause.code === 'ENOSPC' ? 'The disk is full; free some space.' : 'Check that the folder can be written.';
    throw new RelufyError('io', `${path}: expected to write it, got ${cause.code ?? cause.message}. ${remedy}`, {
      cause,
    });
  };
