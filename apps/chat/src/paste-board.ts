// Pasted texts within the one line that a line editor knows: a line break is a character that no text has and that is
// drawn as a sign, and a text too long to look at is a note in square brackets until the line is sent.
// Does not own keys (terminal-keys.ts) nor messages (message-lines.ts).

/** A longer text is a note. */
const most = { lines: 10, characters: 2000 } as const;

export class PasteBoard {
  /** Stands for a line break; a noncharacter of Unicode, which exists for uses like this one. */
  static readonly newline = '\u{fdd0}';
  readonly #texts = new Map<string, string>();

  /** What the line editor gets for a pasted text. */
  take(pasted: string): string {
    const text = pasted
      .replaceAll(/\r\n|[\r\u2028\u2029]/g, '\n')
      .replaceAll(unwanted, '')
      .replace(/\n+$/, '');
    const lines = text.split('\n').length;
    if (lines <= most.lines && text.length <= most.characters) return text.replaceAll('\n', PasteBoard.newline);
    const size = lines > 1 ? `${lines} lines` : `${text.length} characters`;
    const note = `[pasted text ${this.#texts.size + 1}: ${size}]`;
    this.#texts.set(note, text);
    return note;
  }

  /** What was meant. */
  expand(line: string): string {
    let text = line;
    // not `replaceAll` with a text: `$&` in what was pasted would mean something
    for (const [note, pasted] of this.#texts) text = text.split(note).join(pasted);
    return text.replaceAll(PasteBoard.newline, '\n');
  }

  /** What a terminal shows of an edited line. */
  static shown(line: string): string {
    return line.replaceAll(PasteBoard.newline, '⏎');
  }
}

/** A terminal would obey them. */
const unwanted = /(?![\n\t])\p{Cc}|\ufeff/gu;
