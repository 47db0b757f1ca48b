// Text that somebody else's file wrote, made safe to show: what a terminal would obey, or what would turn the order of
// letters round, is written out instead. One function for every command, the chat, the tables and error messages.

/**
 * C0 without line break and tab, DEL and C1; marks and overrides of direction, separators of lines and paragraphs; what
 * is not drawn and is no part of a letter (zero width space, soft hyphen's kind, tags). Joiners stay: emoji need them.
 */
const unsafe =
  /(?![\n\t])\p{Cc}|[\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\u{fff9}-\u{fffb}\u{e0001}]/gu;

/**
 * The text with control characters written as escapes (`\x1b`, `\u202e`); line breaks and tabs stay. A carriage return
 * before a line break goes with it.
 */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(unsafe, (character) => {
    const code = character.codePointAt(0) as number;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
  });
}
