// The keys of a terminal on their way to the line editor (Node's readline): a pasted text is taken out whole, so that
// its line breaks send nothing, and the keys that mean "a new line, not the end" are recognised.
// Does not own editing (readline) nor what is drawn (line-reader.ts). Node only.
import { emitKeypressEvents, type Key } from 'node:readline';
import { PassThrough } from 'node:stream';

/** Asks a terminal to mark what is pasted; one that cannot ignores it. */
export const pasteMarks = { on: '\u{1b}[?2004h', off: '\u{1b}[?2004l' } as const;

/** Alt+Enter as all terminals send it; Shift, Alt or Ctrl+Enter of terminals that tell them apart; Unicode's own. */
const newlineKeys = /^(?:\p{Cc}(?:[\r\n]|\[13;\d+u)|[\u2028\u2029])$/u;
/** The same as xterm's modifyOtherKeys has it, which Node takes for a key and three letters. */
const otherNewline = /^\p{Cc}\[27;\d;$/u;

interface RawInput extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
  isRaw?: boolean;
  setRawMode?(mode: boolean): unknown;
}

export interface KeyEvents {
  readonly paste: (text: string) => void;
  readonly newline: () => void;
}

/** What readline reads instead of the terminal. */
export class TerminalKeys extends PassThrough {
  readonly isTTY = true;
  readonly #input: RawInput;
  readonly #events: KeyEvents;
  #pasted: string[] | undefined;
  #skip = '';
  readonly #hear = (text: string | undefined, key: Key) => this.#key(key.sequence ?? text ?? '');
  readonly #end = () => this.end();
  readonly #fail = (error: Error) => this.destroy(error);

  constructor(input: RawInput, events: KeyEvents) {
    super();
    this.#input = input;
    this.#events = events;
    emitKeypressEvents(input);
    input.on('keypress', this.#hear);
    input.on('end', this.#end);
    input.on('error', this.#fail);
    input.resume();
  }

  get isRaw(): boolean {
    return this.#input.isRaw === true;
  }

  setRawMode(mode: boolean): this {
    this.#input.setRawMode?.(mode);
    return this;
  }

  /** The terminal is somebody else's again. */
  release(): void {
    this.#input.off('keypress', this.#hear);
    this.#input.off('end', this.#end);
    this.#input.pause();
  }

  #key(sequence: string): void {
    if (sequence === '\u{1b}[200~') this.#pasted = [];
    else if (this.#pasted !== undefined) {
      if (sequence !== '\u{1b}[201~') this.#pasted.push(sequence);
      else {
        const text = this.#pasted.join('');
        this.#pasted = undefined;
        this.#events.paste(text);
      }
    } else if (this.#skip.startsWith(sequence) && sequence !== '') {
      this.#skip = this.#skip.slice(sequence.length);
      if (this.#skip === '') this.#events.newline();
    } else if (otherNewline.test(sequence)) this.#skip = '13~';
    else if (newlineKeys.test(sequence)) this.#events.newline();
    else this.write(sequence);
  }
}
