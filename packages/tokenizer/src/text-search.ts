// Where a text lies in another, in time that is linear in both, whatever they are: the engine's own search takes their
// product, minutes for a megabyte of one letter. Knuth, Morris and Pratt; short texts, and the way to the first letters of
// long ones, are left to the engine, which is faster.
// Does not own texts that arrive in pieces (text-stages.ts), nor patterns (regex.ts).

/** So many times the length of a text is what the engine takes at most for one that is no longer. */
const SHORT = 16;

/** Of each beginning of a word, how long its longest end is that is a beginning too. */
export function bordersOf(word: string): Int32Array {
  const borders = new Int32Array(word.length);
  for (let i = 1, k = 0; i < word.length; i++) borders[i] = k = following(word, borders, k, word.charCodeAt(i));
  return borders;
}

/** How much of the word's beginning a text ends with after one more character, where it was `k` before. */
export function following(word: string, borders: Int32Array, k: number, code: number): number {
  let known = k;
  while (known > 0 && code !== word.charCodeAt(known)) known = borders[known - 1]!;
  return code === word.charCodeAt(known) ? known + 1 : known;
}

/** Where a text that is not empty begins, each time; `overlapping`: also inside of the one before. */
export function* placesOf(text: string, part: string, overlapping = false): Generator<number, void, undefined> {
  if (part.length <= SHORT) {
    const by = overlapping ? 1 : part.length;
    for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + by)) yield at;
    return;
  }
  const head = part.slice(0, SHORT);
  const first = text.indexOf(head);
  if (first < 0 || first + part.length > text.length) return;
  const borders = bordersOf(part);
  let known = 0;
  for (let i = first; i < text.length; i++) {
    if (known === 0) {
      i = text.indexOf(head, i);
      if (i < 0) return;
    }
    known = following(part, borders, known, text.charCodeAt(i));
    if (known < part.length) continue;
    yield i + 1 - known;
    known = overlapping ? borders[known - 1]! : 0;
  }
}

/** `text.indexOf(part)` */
export function placeOf(text: string, part: string): number {
  if (part.length <= SHORT) return text.indexOf(part);
  for (const at of placesOf(text, part)) return at;
  return -1;
}

/** `text.lastIndexOf(part)` */
export function lastPlaceOf(text: string, part: string): number {
  if (part.length <= SHORT) return text.lastIndexOf(part);
  let last = -1;
  for (const at of placesOf(text, part, true)) last = at;
  return last;
}

/** `text.split(separator)` */
export function splitAt(text: string, separator: string): string[] {
  if (separator.length <= SHORT) return text.split(separator);
  const parts: string[] = [];
  let from = 0;
  for (const at of placesOf(text, separator)) {
    parts.push(text.slice(from, at));
    from = at + separator.length;
  }
  parts.push(text.slice(from));
  return parts;
}
