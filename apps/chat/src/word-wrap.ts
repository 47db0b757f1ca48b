// Breaks a text that comes in pieces between words, so that a terminal does not break it within one. A word is held
// back until it is whole. Nothing is lost: pieces and breaks add up to the text, spaces at a break aside. Colours take no
// column.

/** Letters of East Asian scripts and emoji take two columns of a terminal. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/gu;
const joined = /\p{Mark}|\u200d|\p{Cc}\[[\d;]*m/gu;

export class WordWrap {
  #word = '';
  #spaces = '';
  #column = 0;
  /** Columns that the lines begin with into which a line is broken. */
  indent = 0;

  /** What can be written of the text so far, for lines of at most `columns`; undefined: lines are not broken. */
  push(text: string, columns: number | undefined): string {
    let out = '';
    for (const part of text.split(/(\s)/)) {
      if (/^\s$/.test(part)) {
        out += this.#place(columns);
        if (part === '\n') out += this.#newline();
        else this.#spaces += part;
      } else this.#word += part;
    }
    return out;
  }

  /** The rest, on the line where it stands. */
  release(): string {
    const out = this.#place() + this.#spaces;
    this.#column += this.#spaces.length;
    this.#spaces = '';
    return out;
  }

  /** The rest. The next text begins a line of its own. */
  flush(columns: number | undefined): string {
    const out = this.#place(columns) + this.#spaces;
    this.#newline();
    return out;
  }

  #newline(): string {
    this.#column = 0;
    this.#spaces = '';
    return '\n';
  }

  /** The word that is whole now, on this line or on the next. */
  #place(columns = Number.POSITIVE_INFINITY): string {
    const word = this.#word;
    if (word === '') return '';
    const spaces = this.#spaces;
    const width = columnsOf(word);
    this.#word = '';
    this.#spaces = '';
    // a word that no line can hold is left to the terminal
    if (this.#column > 0 && this.#column + spaces.length + width > columns) {
      // an indentation that leaves no line to write on is none
      const indent = 2 * this.indent < columns ? this.indent : 0;
      this.#column = indent + width;
      return `\n${' '.repeat(indent)}${word}`;
    }
    this.#column += spaces.length + width;
    return spaces + word;
  }
}

/** Columns that a text takes, good enough to break lines. */
export function columnsOf(text: string): number {
  const bare = text.replaceAll(joined, '');
  return [...bare].length + (bare.match(wide)?.length ?? 0);
}

/** The end of a text, in so many columns, with a sign where it was cut. */
export function cutTo(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let [kept, width] = ['', 1];
  for (const character of [...text].reverse()) {
    width += columnsOf(character);
    if (width > columns) break;
    kept = character + kept;
  }
  return `…${kept}`;
}
