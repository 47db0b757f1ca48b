// Python's view of characters: what is space, how case changes, where lines and words end.
import { lastPlaceOf, splitAt } from '../text-search.js';
import { scan } from './budget.js';

/** str.isspace: Unicode's spaces and the four information separators; JavaScript's `\s` has U+FEFF too. */
export const SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;
const spaces = new RegExp(`[${SPACE}]+`);
const onlySpaces = new RegExp(`^[${SPACE}]+$`);
const oneSpace = new RegExp(`[${SPACE}]`);

export const isBlank = (text: string): boolean => onlySpaces.test(text);

export function strip(text: string, chars: string | undefined, left: boolean, right: boolean): string {
  scan(text.length);
  if (chars === undefined) {
    let start = 0;
    let stop = text.length;
    while (left && start < stop && oneSpace.test(text[start]!)) start++;
    while (right && stop > start && oneSpace.test(text[stop - 1]!)) stop--;
    return text.slice(start, stop);
  }
  const set = new Set(Array.from(chars));
  const all = Array.from(text);
  let start = 0;
  let stop = all.length;
  while (left && start < stop && set.has(all[start]!)) start++;
  while (right && stop > start && set.has(all[stop - 1]!)) stop--;
  return all.slice(start, stop).join('');
}

/** str.split and str.rsplit. */
export function split(text: string, separator: string | undefined, most: number, fromRight: boolean): string[] {
  scan(text.length);
  if (separator === undefined) return splitBlank(text, most, fromRight);
  const parts = splitAt(text, separator);
  if (most < 0 || parts.length <= most + 1) return parts;
  if (fromRight) {
    const cut = parts.length - most;
    return [parts.slice(0, cut).join(separator), ...parts.slice(cut)];
  }
  return [...parts.slice(0, most), parts.slice(most).join(separator)];
}

function splitBlank(text: string, most: number, fromRight: boolean): string[] {
  let rest = strip(text, undefined, true, true);
  if (rest === '') return [];
  if (most < 0) return rest.split(spaces);
  const parts: string[] = [];
  if (!fromRight) {
    while (parts.length < most) {
      const at = rest.search(spaces);
      if (at < 0) break;
      parts.push(rest.slice(0, at));
      rest = strip(rest.slice(at), undefined, true, false);
    }
    rest = strip(text, undefined, false, true) === '' ? '' : rest;
    return [...parts, ...(most === 0 ? [strip(text, undefined, true, false)] : [keepEnd(text, rest)])];
  }
  const words = rest.split(spaces);
  if (most >= words.length - 1) return words;
  let left = strip(text, undefined, false, true);
  for (let i = 0; i < most; i++) {
    const word = words[words.length - 1 - i]!;
    parts.unshift(word);
    left = strip(left.slice(0, left.length - word.length), undefined, false, true);
  }
  return [left, ...parts];
}

/** What is left after the most splits keeps the spaces at its end. */
const keepEnd = (text: string, rest: string): string =>
  rest.search(spaces) < 0 ? rest : text.slice(lastPlaceOf(text, rest));

// biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at the information separators
const lineEnds = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

export function splitLines(text: string, keepEnds = false): string[] {
  scan(text.length);
  const lines: string[] = [];
  let from = 0;
  for (const match of text.matchAll(lineEnds)) {
    const end = match.index + match[0].length;
    lines.push(text.slice(from, keepEnds ? end : match.index));
    from = end;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

export function capitalize(text: string): string {
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0);
  return text === '' ? '' : titleCase(first) + text.slice(first.length).toLowerCase();
}

/** The title case of a letter: Ss for ß, and the digraphs that have one of their own. */
function titleCase(char: string): string {
  const digraph = 'ǅǈǋǲ'[['ǄǅǆǇǈǉǊǋǌǱǲǳ'.indexOf(char)].map((at) => Math.floor(at / 3))[0] ?? -1];
  if (digraph !== undefined && 'ǄǅǆǇǈǉǊǋǌǱǲǳ'.includes(char)) return digraph;
  const upper = char.toUpperCase();
  const first = String.fromCodePoint(upper.codePointAt(0)!);
  return first.length === upper.length ? upper : first + upper.slice(first.length).toLowerCase();
}

/** str.title: a letter after none begins a word, so an apostrophe ends one. */
export const title = (text: string): string =>
  text.replaceAll(/(?:\p{Cased}[\p{Cased}]*)/gu, (word) => capitalize(word));

export function swapCase(text: string): string {
  return Array.from(text, (char) => (char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase())).join('');
}

export const codePointIndex = (text: string, at: number): number =>
  at < 0 ? -1 : Array.from(text.slice(0, at)).length;
