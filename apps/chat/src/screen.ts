// What a chat writes and where: at a terminal answers, status lines and notes, in colour where that is wanted; into a
// pipe the answers alone, with notes and complaints on the error stream.
// Does not own the words (describe.ts, commands.ts) or the prompt's editing (line-reader.ts).
import picocolors from 'picocolors';
import type { MaybeTerminal } from './line-reader.js';
import { WordWrap } from './word-wrap.js';

export interface ScreenOptions {
  readonly output: MaybeTerminal<NodeJS.WritableStream>;
  readonly error: NodeJS.WritableStream;
  readonly interactive: boolean;
  readonly color: boolean;
}

export class Screen {
  readonly prompt: string;
  readonly #options: ScreenOptions;
  readonly #colors: ReturnType<typeof picocolors.createColors>;
  readonly #wrap = new WordWrap();
  #lastCharacter = '\n';

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#colors = picocolors.createColors(options.color);
    this.prompt = this.#colors.bold(this.#colors.cyan('> '));
  }

  /** A piece of an answer. */
  text(text: string): void {
    const { interactive, output } = this.#options;
    // a model may write an escape sequence, and a terminal would obey it
    this.#write(interactive ? this.#wrap.push(text.replaceAll(controls, '\u{fffd}'), columnsOf(output)) : text);
  }

  /** The answer is whole. */
  endText(): void {
    this.#write(this.#wrap.flush(columnsOf(this.#options.output)));
    if (this.#lastCharacter !== '\n') this.#write('\n');
  }

  /** About the answer; for people only. */
  status(text: string): void {
    if (this.#options.interactive) this.#aside(text, this.#colors.dim);
  }

  /** What the chat itself has to say. */
  note(text: string): void {
    if (this.#options.interactive) this.#aside(text, this.#colors.dim);
    else this.#options.error.write(`${text}\n`);
  }

  complain(message: string): void {
    if (this.#options.interactive) this.#aside(message, this.#colors.red);
    else this.#options.error.write(`${message}\n`);
  }

  #aside(text: string, colored: (text: string) => string): void {
    const { output } = this.#options;
    const wrap = new WordWrap();
    const columns = columnsOf(output);
    const lines = wrap.push(text, columns) + wrap.flush(columns);
    output.write(`${colored(lines)}\n\n`);
  }

  #write(text: string): void {
    if (text === '') return;
    this.#options.output.write(text);
    this.#lastCharacter = text.at(-1) as string;
  }

  /** Leaves the line of the prompt. */
  leave(): void {
    if (this.#options.interactive) this.#options.output.write('\n');
  }
}

/** A terminal that does not know its width says 0. */
function columnsOf({ columns }: { readonly columns?: number }): number | undefined {
  return columns || undefined;
}

const controls = /(?![\n\t])\p{Cc}/gu;
