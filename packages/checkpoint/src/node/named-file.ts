// Files that somebody named: on the command line, in a config, by a variable. Such a name may stand for a pipe, a device or
// a file of any size, so a file's size is looked at before it is read, whatever has no size is read up to a limit, and a
// pipe is not waited for when nobody writes into it. The one place where a file of a stranger's choice is read whole or as it comes.
// Does not own a model's folder (folder-files.ts), nor what the bytes say.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { RelufyError } from '@relufy/tensor';

export interface NamedFileOptions {
  /** More is an error, of which no more than the limit was read. Default: 16 MiB. */
  readonly limitBytes?: number;
  /** Pipes and devices are an error too: for names that stand in other files. Default: they are read up to the limit. */
  readonly onlyFiles?: boolean;
  /** Unpacks gzip: to the limit, and to no more than a text usually does. */
  readonly gzip?: boolean;
  /** The error for what cannot be read; `got` says why. Default: one with the code `io`. */
  readonly refuse?: (got: string, cause?: unknown) => Error;
}

export interface StreamOptions extends Omit<NamedFileOptions, 'limitBytes'> {
  /** Hears how many bytes of the file were read, packed ones where it is packed. */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

/** Reports, results and journals of ours are far below; what may be larger says so. */
const usualLimit = 2 ** 24;
const pieceBytes = 2 ** 16;
/** JSON lines and CSV become a tenth or twentieth of their size; gzip can make a thousandth of what says nothing. */
const usualRatio = 100;
const alwaysBytes = 2 ** 24;
/** For a writer that opens its end of a pipe: one that is there does so at once. */
const writerMs = 500;
const pollMs = 10;

/**
 * All bytes of a file, in memory of their own.
 * @throws what `refuse` gives for a file that cannot be read, has no end, or more bytes than the limit.
 */
export async function readNamedFile(path: string, options: NamedFileOptions = {}): Promise<Uint8Array> {
  const { limitBytes = usualLimit, refuse = refusal(path), ...others } = options;
  const found = await stat(path).catch((error: Error) => {
    throw refuse(error.message, error);
  });
  const known = found.isFile() ? found.size : 0;
  if (known > limitBytes) throw refuse(`${known} bytes, more than ${limitBytes}`);
  let bytes = new Uint8Array(known);
  let length = 0;
  for await (const piece of streamNamedFile(path, { ...others, refuse })) {
    const end = length + piece.length;
    if (end > limitBytes) throw refuse(`more than ${limitBytes} bytes`);
    if (end > bytes.length) {
      const longer = new Uint8Array(Math.max(end, Math.min(limitBytes, 2 * bytes.length)));
      longer.set(bytes.subarray(0, length));
      bytes = longer;
    }
    bytes.set(piece, length);
    length = end;
  }
  return length === bytes.length ? bytes : bytes.slice(0, length);
}

/** The same; undefined where there is nothing of that name. */
export async function readNamedFileIfThere(
  path: string,
  options: NamedFileOptions = {},
): Promise<Uint8Array | undefined> {
  const isThere = await stat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT' && code !== 'ENOTDIR',
  );
  return isThere ? readNamedFile(path, options) : undefined;
}

/** A token, a name, a commit: its text; empty where it cannot be read. */
export const readSmallText = (path: string): Promise<string> =>
  readNamedFile(path, { limitBytes: 2 ** 16 }).then(
    (bytes) => new TextDecoder().decode(bytes),
    () => '',
  );

/** The bytes of a file of any length, as they come; each piece in memory of its own. */
export async function* streamNamedFile(path: string, options: StreamOptions = {}): AsyncGenerator<Uint8Array> {
  const { gzip = false, refuse = refusal(path), onRead } = options;
  let read = 0;
  const stored = pieces(path, options, (bytes) => {
    read += bytes;
  });
  if (!gzip) {
    for await (const piece of stored) {
      yield piece;
      onRead?.(read);
    }
    return;
  }
  const source = Readable.from(stored, { highWaterMark: 1 });
  // the error of either reaches the loop below
  const unpacked = pipeline(source, createGunzip(), () => {});
  let length = 0;
  try {
    for await (const piece of unpacked) {
      length += (piece as Uint8Array).length;
      const most = Math.max(alwaysBytes, usualRatio * read);
      if (length > most) throw refuse(`more than ${most} bytes out of ${read} packed ones`);
      yield piece as Uint8Array;
      onRead?.(read);
    }
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code?.startsWith('Z_') ? refuse((error as Error).message, error) : error;
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

async function* pieces(
  path: string,
  { onlyFiles = false, refuse = refusal(path) }: NamedFileOptions,
  onRead: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const toRefusal = (error: Error): never => {
    throw refuse(error.message, error);
  };
  // asked before opening: to open a device can have effects of its own
  const found = await stat(path).catch(toRefusal);
  if (found.isDirectory()) throw refuse('a folder');
  if (onlyFiles && !found.isFile()) throw refuse('a pipe or a device');
  // without O_NONBLOCK, to open a pipe waits for its writer; Windows has no such flag
  const { O_RDONLY, O_NONBLOCK = 0 } = constants;
  const file = await open(path, O_RDONLY | O_NONBLOCK).catch(toRefusal);
  try {
    for (let done = 0; ; ) {
      const piece = new Uint8Array(pieceBytes);
      const bytes = await (done === 0 ? firstBytes(file, piece, found) : someBytes(file, piece)).catch(toRefusal);
      if (bytes === undefined) throw refuse('a pipe that nobody writes into');
      if (bytes === 0) return;
      done += bytes;
      onRead(bytes);
      yield piece.subarray(0, bytes);
    }
  } finally {
    await file.close();
  }
}

/** undefined: of a pipe, whose other end nobody has opened. */
async function firstBytes(file: FileHandle, piece: Uint8Array, found: Stats): Promise<number | undefined> {
  for (let waited = 0; ; waited += pollMs) {
    const bytes = await someBytes(file, piece);
    if (bytes > 0 || !found.isFIFO()) return bytes;
    if (waited >= writerMs) return undefined;
    await wait(pollMs);
  }
}

/** A pipe whose writer has nothing to say yet is asked again, so that a signal can end the process meanwhile. */
async function someBytes(file: FileHandle, piece: Uint8Array): Promise<number> {
  for (;;) {
    const read = await file.read(piece, 0, piece.length, null).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EAGAIN') throw error;
      return undefined;
    });
    if (read !== undefined) return read.bytesRead;
    await wait(pollMs);
  }
}

const refusal =
  (path: string): NonNullable<NamedFileOptions['refuse']> =>
  (got, cause) =>
    new RelufyError('io', `${path}: expected a readable file, got ${got}. Check the path.`, { cause });
