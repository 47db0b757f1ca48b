// Files of text that a user names on the command line, decoded by @relufy/tensor. Does not own texts too long to be held
// (text-ids.ts).
import { readFile } from 'node:fs/promises';
import { decodeWhole } from '@relufy/tensor';
import { usageError } from './failure.js';

/** @throws a usage error when it cannot be read, RelufyError `input` when it is no text. */
export async function readTextFile(where: string, path: string, expected = 'a text file'): Promise<string> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw usageError(`${where}: expected ${expected}, got ${JSON.stringify(path)}: ${error.message}.`);
  });
  return decodeWhole(`${where} ${JSON.stringify(path)}`, [bytes]);
}
