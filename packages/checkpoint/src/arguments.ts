// What the public calls of this package take besides their options: folders, addresses, names. Each call has the table of
// its options beside it; how a table is checked, and worded, is tensor's (checks.ts).
// Does not own what is found behind a name or an address.
import { anObjectThat, aText, checkValue, either, listOf, objectOf, RelufyError, show } from '@relufy/tensor';
import type { ModelFiles } from './byte-source.js';

/** What opens the files of a model. */
export const someFiles = anObjectThat('an object with name, open and readText', 'open', 'readText');

/** @throws RelufyError `option` for anything that does not open files. */
export function checkModelFiles(call: string, value: unknown): asserts value is ModelFiles {
  checkValue(`${call}: files`, value, someFiles);
}

export const isPath = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && !value.includes('\0');

/** @throws RelufyError `option` for what names no place on a disk. */
export function checkPath(call: string, value: unknown): asserts value is string {
  checkValue(`${call}: path`, value, {
    expected: 'the path of a file or folder',
    fits: isPath,
  });
}

/** How a server is waited for: longer than a timer counts would be no time at all. */
export const longestWaitMs = 2 ** 31 - 1;

/** Names and texts of http headers; which ones a server understands is its business. */
export const someHeaders = objectOf(aText, 'an object of texts');

export const listOfNames = listOf(aText, 'a list of file names');

const anAddress = either('a URL', aText, { expected: 'a URL', fits: (value) => value instanceof URL });

/** An absolute address, or on a page one relative to it. */
export function toUrl(where: string, address: unknown): URL {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  checkValue(where, address, anAddress);
  if (!URL.canParse(String(address), page))
    throw new RelufyError('option', `${where}: expected a URL, got ${show(String(address))}. Check the address.`);
  return new URL(String(address), page);
}
