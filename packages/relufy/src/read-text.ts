// Texts that a user hands to a command, from a file, a pipe or the command line: UTF-8 or UTF-16, with or without a byte
// order mark, as editors and PowerShell write them; the mark is no part of what is said. Anything else is refused.
// Does not own texts too long to be held (text-ids.ts).
import { readFile } from 'node:fs/promises';
import { RelufyError } from '@relufy/tensor';
import { usageError } from './failure.js';

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * The text of bytes, as they come. `where` says what is read, for the error.
 * @throws RelufyError `input` for bytes that are no text.
 */
export async function* decodeText(where: string, chunks: Chunks): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let held: Uint8Array = new Uint8Array(0);
  const decode = (bytes: Uint8Array, last: boolean): string => {
    try {
      decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
      return decoder.decode(bytes, { stream: !last });
    } catch {
      throw new RelufyError('input', `${where}: expected text in UTF-8 or UTF-16, got other bytes. Save it as UTF-8.`);
    }
  };
  for await (const chunk of chunks) {
    // its first four bytes say how a text is encoded
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    if (decoder === undefined && held.length < 4) continue;
    yield decode(held, false);
    held = new Uint8Array(0);
  }
  yield decode(held, true);
}

/** All of it at once. */
export async function decodeWhole(where: string, chunks: Chunks): Promise<string> {
  let text = '';
  for await (const part of decodeText(where, chunks)) text += part;
  return text;
}

/** @throws a usage error when it cannot be read, RelufyError `input` when it is no text. */
export async function readTextFile(where: string, path: string, expected = 'a text file'): Promise<string> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw usageError(`${where}: expected ${expected}, got ${JSON.stringify(path)}: ${error.message}.`);
  });
  return decodeWhole(`${where} ${JSON.stringify(path)}`, [bytes]);
}

/** What was typed or pasted. */
export function withoutMark(text: string): string {
  return text.replace(/^\ufeff/, '');
}

/** By its mark, or by the zero in each of its first two letters. @throws for UTF-32, which nobody decodes. */
function encodingOf([a, b, c, d]: Uint8Array): string {
  if ((a === 0xff && b === 0xfe && c === 0 && d === 0) || (a === 0 && b === 0)) throw new RangeError('UTF-32');
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0 && c === 0) return 'utf-16be';
  return b === 0 && (d === 0 || d === undefined) ? 'utf-16le' : 'utf-8';
}
