// Text that somebody else's file wrote, made safe to show: what a terminal would obey, or what would turn the order of
// letters round, is written out instead. One place for every command, the chat, the tables and error messages.
import { jsonText } from './json.js';

/** C0 and DEL, C1. Of them line break and tab are meant. */
const controls = /(?![\n\t])\p{Cc}/gu;

/**
 * Controls; marks and overrides of direction, separators of lines and paragraphs, and what is drawn as nothing and joins
 * nothing (zero width space, byte order mark, tags of language). Joiners and variation selectors stay: emoji need them.
 */
const unsafe =
  /(?![\n\t])\p{Cc}|[\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\u{fff9}-\u{fffb}\u{e0001}]/gu;

/**
 * The text as a terminal may have it: control characters as escapes (`\x1b`, `\u202e`), or as the `replacement` that is
 * given. Line breaks and tabs stay; the carriage return before a line break goes.
 */
export function printable(text: string, replacement?: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(unsafe, (found) => replacement ?? escaped(found));
}

/** For what reads a pipe: line ends and directions are its own business, the controls of a terminal are nobody's. */
export function pipeable(text: string): string {
  return text.replaceAll(controls, (control) => (control === '\r' ? control : escaped(control)));
}

/** JSON of the same value whose text a terminal may have. */
export function printableJson(value: unknown, indent?: number): string {
  const units = (found: string) =>
    Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`);
  return jsonText(value, indent).replaceAll(unsafe, (found) => units(found).join(''));
}

function escaped(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}
