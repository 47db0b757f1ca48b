// A text of any length as token ids, read and encoded in pieces, so that memory does not grow with it. Pieces end at line
// ends at which the ids are those of the whole: the ids of what stands on both sides together are those of the two, one
// after the other. Text without such a line end is held until one comes. Does not own the tokenizer (@relufy/tokenizer).
import { stat } from 'node:fs/promises';
import { streamNamedFile } from '@relufy/checkpoint/node';
import type { Model } from '@relufy/models';
import { decodeText, RelufyError } from '@relufy/tensor';
import { usageError } from './failure.js';

/**
 * The text of a file, to be read as often as it is asked for; a pipe's is held, since it comes once. `option` is what named
 * it.
 * @throws a usage error when its beginning is no text.
 */
export async function openText(
  path: string,
  option = '--data',
): Promise<() => AsyncIterable<string> | Iterable<string>> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === false) {
    const parts: string[] = [];
    let length = 0;
    for await (const part of readText(path, option)) {
      parts.push(part);
      length += part.length;
      if (length > mostOfPipe)
        throw usageError(
          `${option}: expected at most ${mostOfPipe} characters from a pipe, which are held, got more. Write them to a file.`,
        );
    }
    return () => parts;
  }
  for await (const _ of readText(path, option)) break;
  return () => readText(path, option);
}

/** The text of a file, plain or gzipped, as it is read. */
export async function* readText(path: string, option = '--data'): AsyncGenerator<string> {
  try {
    const refuse = (got: string) =>
      usageError(
        `${option}: expected a text file, plain or gzipped (.gz), got ${JSON.stringify(path)}: ${got.replace(/\.$/, '')}.`,
      );
    yield* decodeText(
      `${option}: ${JSON.stringify(path)}`,
      streamNamedFile(path, { gzip: path.endsWith('.gz'), refuse }),
    );
  } catch (error) {
    throw RelufyError.is(error) ? usageError(error.message) : error;
  }
}

const mostOfPipe = 1 << 28;
/** Held until a line ends: more is no text that people wrote. */
const longestLine = 1 << 24;

const lineEnd = /[\r\n]/;

/** Characters of a piece, at least; and of what is compared on either side of its end. */
const pieceLength = 1 << 16;
const reach = 256;

type Encode = Model['encode'];

/** Ends with an error between two texts when the signal has aborted. */
export async function* whileWanted(
  texts: AsyncIterable<string> | Iterable<string>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for await (const text of texts) {
    signal.throwIfAborted();
    yield text;
  }
}

/** The ids that `encode` gives for all texts together, in several arrays. */
export async function* textIds(
  texts: AsyncIterable<string> | Iterable<string>,
  encode: Encode,
): AsyncGenerator<readonly number[]> {
  const plain = (text: string) => encode(text, { addSpecialTokens: false });
  let lead: number | undefined;
  /** Of text after a line end: nothing is put in front of it, as it may be at the start of a text. */
  const behindLine = async (text: string) => {
    lead ??= (await plain('\n')).length;
    return (await plain(`\n${text}`)).slice(lead);
  };
  const isSafe = async (left: string, right: string): Promise<boolean> => {
    const both = await plain(left + right);
    const apart = [...(await plain(left)), ...(await behindLine(right))];
    return both.length === apart.length && both.every((id, at) => id === apart[at]);
  };
  let held = '';
  /** What is held is not looked through again for each text that is added. */
  let hasLineEnd = false;
  let frame: { readonly before: number[]; readonly after: number[] } | undefined;
  for await (const text of texts) {
    held += text;
    hasLineEnd ||= lineEnd.test(text);
    const end = held.length < pieceLength || !hasLineEnd ? undefined : await safeEnd(held, isSafe);
    if (end === undefined) {
      if (held.length > longestLine)
        throw usageError(
          `--data: expected a line end within ${longestLine} characters, got none. Divide the text into lines.`,
        );
      continue;
    }
    const piece = held.slice(0, end);
    held = held.slice(end);
    hasLineEnd = lineEnd.test(held);
    if (frame) yield await behindLine(piece);
    else {
      frame = await frameOf(encode);
      yield [...frame.before, ...(await plain(piece))];
    }
  }
  yield frame ? [...(await behindLine(held)), ...frame.after] : await encode(held);
}

/** The last of a few line ends that is safe. */
async function safeEnd(
  text: string,
  isSafe: (left: string, right: string) => Promise<boolean>,
): Promise<number | undefined> {
  let at = text.length - reach;
  for (let tries = 0; tries < 8; tries++) {
    // between the two of Windows as well
    at = Math.max(text.lastIndexOf('\n', at - 1), text.lastIndexOf('\r', at - 1));
    const end = at + 1;
    if (end < reach) return undefined;
    if (await isSafe(text.slice(end - reach, end), text.slice(end, end + reach))) return end;
  }
  return undefined;
}

/** What stands before and after a whole text. */
async function frameOf(encode: Encode): Promise<{ before: number[]; after: number[] }> {
  const [whole, inner] = [await encode('a'), await encode('a', { addSpecialTokens: false })];
  const at = Math.max(
    0,
    whole.findIndex((_, start) => inner.every((id, i) => id === whole[start + i])),
  );
  return { before: whole.slice(0, at), after: whole.slice(at + inner.length) };
}

/** The first `most` ids of pieces, in sequences of `length`; the last may be shorter. */
export async function* sequencesOf(
  pieces: AsyncIterable<readonly number[]>,
  length: number,
  most: number,
): AsyncGenerator<readonly number[]> {
  let ids: number[] = [];
  let left = most;
  for await (const piece of pieces) {
    for (const id of piece) {
      if (left === 0) break;
      left--;
      ids.push(id);
      if (ids.length < length) continue;
      yield ids;
      ids = [];
    }
    if (left === 0) break;
  }
  if (ids.length > 0) yield ids;
}
