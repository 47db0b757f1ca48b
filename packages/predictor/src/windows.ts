// The text of a calibration as windows of token ids. Does not own reading files or the tokenizer.
import type { Model } from '@relufy/models';

/** Texts, encoded one by one and put together; or token ids. */
export type CalibrationTexts = Iterable<string | readonly number[]> | AsyncIterable<string | readonly number[]>;

/** As many ids as are needed: a text that is longer is not read to its end. */
export async function firstIds(
  model: Pick<Model, 'encode'>,
  texts: CalibrationTexts,
  most: number,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const ids: number[] = [];
  for await (const text of texts) {
    signal?.throwIfAborted();
    const own = typeof text === 'string' ? await model.encode(text, { addSpecialTokens: false }) : text;
    for (const id of own) {
      if (ids.length >= most) return ids;
      ids.push(id);
    }
    if (ids.length >= most) return ids;
  }
  return ids;
}

/** Whole windows, and a last one of at least two. */
export function cutWindows(ids: readonly number[], window: number): (readonly number[])[] {
  const windows: (readonly number[])[] = [];
  for (let at = 0; at < ids.length; at += window) windows.push(ids.slice(at, at + window));
  return windows.filter(({ length }) => length > 1);
}

/** The first windows, as many tokens as given. */
export function firstWindows(windows: readonly (readonly number[])[], tokens: number): (readonly number[])[] {
  let room = tokens;
  return windows.flatMap((ids) => {
    const own = ids.slice(0, Math.max(0, room));
    room -= own.length;
    return own.length > 1 ? [own] : [];
  });
}
