// Where bytes come from: one file (`ByteSource`) and a model's folder (`ModelFiles`), whatever lies behind them.
// Owns: the two interfaces, the rule for file names, reading text. Does not own: the folders (memory-files.ts,
// http-files.ts, node/folder-files.ts), nor any format.
import { aSignal, aText, aWhole, checkOptions, checkValue, RelufyError, type RowFile, show } from '@relufy/tensor';
import { malformed } from './malformed.js';

/** Random access to the bytes of one file, wherever it lies. */
export interface ByteSource {
  /** How errors call it. */
  readonly name: string;
  readonly size: number;
  /** Where it lies on this machine, for whoever maps it. */
  readonly path?: string;
  /** Opens it a second time for reads in steps, where the place can. */
  readonly openRows?: () => RowFile;
  /**
   * Exactly `length` bytes from `offset` on, or an error with code 'io'. Calls may overlap. `into`, at least as long: a place
   * that copies may put them there and give its beginning, so that many reads take the memory of one.
   */
  read(offset: number, length: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface ReadTextOptions {
  /** A longer file is an error and is not read. Default: 64 MiB; the largest tokenizers have half of it. */
  readonly limitBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A model's folder: a local one, one behind a URL, one in memory. */
export interface ModelFiles {
  /** How errors call it: a path, a URL, a hub id. */
  readonly name: string;
  /** undefined: there is no such file. */
  open(file: string, signal?: AbortSignal): Promise<ByteSource | undefined>;
  /** The whole file as UTF-8 text without a byte order mark; undefined: there is no such file. */
  readText(file: string, options?: ReadTextOptions): Promise<string | undefined>;
  /** The names of the files, where the place can tell (a web server cannot). */
  list?(signal?: AbortSignal): Promise<readonly string[]>;
}

/** Refuses every name that could leave the folder (`..`, absolute paths, drive letters, backslashes) or a terminal's line. */
export function checkFileName(where: string, file: string): void {
  checkValue(`${where}: file name`, file, aText);
  const leaves = file.split('/').some((part) => part === '' || part === '.' || part === '..');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL in a path ends it early in C, others move a cursor.
  if (leaves || file.length > 1000 || /[\\\u0000-\u001f\u007f-\u009f]|^[A-Za-z]:/.test(file))
    throw malformed(where, `file name, expected one inside the folder, got ${show(file)}`, 'Do not trust this model.');
}

/** Throws unless [offset, offset + length) lies inside the source. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!whole || offset + length > source.size)
    throw new RelufyError(
      'io',
      `${source.name}: read of ${length} bytes at ${offset}, expected a range within its ${source.size} bytes. The file may be truncated; download it again.`,
    );
}

/** Of a text for which nobody names a limit. */
export const maxTextBytes = 2 ** 26;

/** `readText` for any `open`. */
export async function readTextThrough(
  open: ModelFiles['open'],
  file: string,
  options: ReadTextOptions = {},
): Promise<string | undefined> {
  checkOptions('readText', options, { limitBytes: aWhole(0), signal: aSignal });
  const { limitBytes = maxTextBytes, signal } = options;
  const source = await open(file, signal);
  if (!source) return undefined;
  try {
    if (source.size > limitBytes)
      throw malformed(source.name, `size, expected at most ${limitBytes} bytes of text, got ${source.size}`);
    return decodeUtf8(source.name, await source.read(0, source.size, signal)).replace(/^\uFEFF/, '');
  } finally {
    await source.close();
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes -> text; bytes that are not UTF-8 are an error. A byte order mark is a character (it is one in vocabularies). */
export function decodeUtf8(where: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw malformed(where, 'text, expected UTF-8, got other bytes');
  }
}

/** A source over bytes in memory. Reads are views, not copies. */
export function memorySource(name: string, content: Uint8Array): ByteSource {
  // A Node Buffer would break its readers: its slice() is a view, where that of Uint8Array is a copy.
  const bytes = new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  const source = {
    name,
    size: bytes.byteLength,
    async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      return bytes.subarray(offset, offset + length);
    },
    async close(): Promise<void> {},
  };
  return source;
}
