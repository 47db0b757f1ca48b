// The one place where text of a model, a file or a network becomes fit for a terminal. A terminal obeys escape
// sequences: they move the cursor, set titles, write to the clipboard. Here they become text that shows what was there.
// Does not own line breaking (word-wrap.ts) nor our own colours, which are added afterwards (screen.ts).

/** C0, DEL and C1 without line feed and tab; and what turns the direction of text around, so that it reads as another. */
const unsafe = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

/** `\x1b[2J` instead of a cleared screen. CR LF is a line break. */
export function escapeControls(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(unsafe, (character) => {
    const code = character.codePointAt(0) as number;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
