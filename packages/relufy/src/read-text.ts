// Files of text that a user names on the command line, decoded by @relufy/tensor. Does not own texts too long to be held
// (text-ids.ts).
import { readNamedFile } from '@relufy/checkpoint/node';
import { decodeWhole } from '@relufy/tensor';
import { usageError } from './failure.js';

/** @throws a usage error when it cannot be read, RelufyError `input` when it is no text. */
export async function readTextFile(where: string, path: string, expected = 'a text file'): Promise<string> {
  const refuse = (got: string) => usageError(`${where}: expected ${expected}, got ${JSON.stringify(path)}: ${got}.`);
  const bytes = await readNamedFile(path, { refuse });
  return decodeWhole(`${where} ${JSON.stringify(path)}`, [bytes]);
}
